import type { Job } from '../port.ts';
import type { RedisClient } from '../../store/redis/port.ts';

/**
 * What BullMQ does not know: that a job which is asked for again while it waits is due at the earlier of the two times,
 * and that one which is asked for while it runs runs once more. BullMQ does the rest: adding, deduplicating by key,
 * promoting, handing out, locks, stalled jobs, ending.
 *
 * The scripts keep to the keys of one queue and to what BullMQ's own scripts read there (6.7: moveToDelayed,
 * changeDelay, requeueDeduplicatedJob): the score of a delayed job is its time * 4096; the marker wakes sleeping workers;
 * `dn:KEY` holds the job that is made when the running one of that key ends. The conformance suite fails when a newer
 * BullMQ does otherwise.
 *
 * @see https://docs.bullmq.io/guide/jobs/deduplication
 */

/** What a job carries. */
export interface JobData {
  key: string;
  /** When it is due, milliseconds since the epoch. */
  at: number;
  /** How often it had been started when its attempts began anew. */
  base: number;
  /** 1: made when the run before ended, and perhaps not due yet. */
  early?: 1;
}

const WAKE = `
local function wake(delayed, marker)
  local first = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  if first[2] then redis.call('ZADD', marker, tonumber(first[2]) / 4096, '1') end
end
`;

/** KEYS job, lock, delayed, marker, dn; ARGV id, at, name, key. Returns 0 when the job is gone. */
const NOTICE = `
${WAKE}
local text = redis.call('HGET', KEYS[1], 'data')
if not text then return 0 end
local at = tonumber(ARGV[2])
if redis.call('ZSCORE', KEYS[3], ARGV[1]) then
  local data = cjson.decode(text)
  if at < data.at then
    data.at = at
    redis.call('HSET', KEYS[1], 'data', cjson.encode(data), 'delay', 0)
    redis.call('ZADD', KEYS[3], at * 4096, ARGV[1])
    wake(KEYS[3], KEYS[4])
  end
elseif redis.call('EXISTS', KEYS[2]) == 1 then
  local known = redis.call('HGET', KEYS[5], 'data')
  if not known or at < cjson.decode(known).at then
    redis.call('HSET', KEYS[5], 'name', ARGV[3],
      'data', cjson.encode({ key = ARGV[4], at = at, base = 0, early = 1 }),
      'opts', cjson.encode({ de = { id = ARGV[4] } }))
  end
end
return 1
`;

/**
 * KEYS job, lock, active, stalled, delayed, marker, dn; ARGV id, token, at, mode. Returns 0 when another process holds the
 * lock, or the job waits already: it is no longer ours to move. A lock that ended while Redis was away is nobody's, and the
 * job would stand as running until two checks had found it.
 */
const PUT_OFF = `
${WAKE}
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[2] then return 0 end
local fields = redis.call('HMGET', KEYS[1], 'data', 'ats', 'timestamp')
redis.call('DEL', KEYS[2])
redis.call('SREM', KEYS[4], ARGV[1])
if redis.call('LREM', KEYS[3], -1, ARGV[1]) == 0 or not fields[1] then return 0 end
local data = cjson.decode(fields[1])
local at = tonumber(ARGV[3])
if ARGV[4] == 'again' then data.base = tonumber(fields[2])
elseif ARGV[4] == 'release' then data.base = data.base + 1 end
local asked = redis.call('HGET', KEYS[7], 'data')
if asked then
  at = math.min(at, cjson.decode(asked).at)
  redis.call('DEL', KEYS[7])
end
data.at = at
data.early = nil
redis.call('HSET', KEYS[1], 'data', cjson.encode(data), 'delay', math.max(0, at - tonumber(fields[3] or at)))
redis.call('ZADD', KEYS[5], at * 4096, ARGV[1])
wake(KEYS[5], KEYS[6])
return 1
`;

/** KEYS wait, delayed; ARGV prefix of the jobs. When the oldest waiting job is due, or nothing. */
const OLDEST = `
local id = redis.call('LINDEX', KEYS[1], -1)
local text = id and redis.call('HGET', ARGV[1] .. id, 'data')
local at = text and cjson.decode(text).at
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
if first[2] then at = math.min(at or math.huge, math.floor(tonumber(first[2]) / 4096)) end
return at
`;

/** `again`: attempts begin anew. `retry`: the next attempt. `release`: this start did not count. */
export type PutOffMode = 'again' | 'retry' | 'release';

/** The scripts of one queue on one connection. */
export interface QueueScripts {
  /** @returns whether the job is still there, to run at that time or earlier */
  notice(id: string, key: string, at: number): Promise<boolean>;
  /** Takes a running job back into the waiting ones. @returns whether it was still held by that token */
  putOff(id: string, key: string, token: string, at: number, mode: PutOffMode): Promise<boolean>;
  /** When the oldest waiting job is due. */
  oldest(): Promise<number | null>;
}

/** @param prefix the prefix of every key, with the braces of the hash tag */
export function queueScripts(client: RedisClient, prefix: string, kind: Job['kind']): QueueScripts {
  const at = (name: string) => `${prefix}:${kind}:${name}`;
  // A name of its own for each script: the library sends its hash, and the text only to a server that does not know it.
  if (!('davylampNotice' in client)) {
    client.defineCommand('davylampNotice', { numberOfKeys: 5, lua: NOTICE });
    client.defineCommand('davylampPutOff', { numberOfKeys: 7, lua: PUT_OFF });
    client.defineCommand('davylampOldest', { numberOfKeys: 2, lua: OLDEST });
  }
  const run = async (script: string, ...values: (string | number)[]): Promise<unknown> => {
    const command: unknown = Reflect.get(client, script);
    if (typeof command !== 'function') throw new TypeError(`${script} is not defined on the connection`);
    return Reflect.apply(command, client, values);
  };
  return {
    async notice(id, key, time) {
      const keys = [at(id), `${at(id)}:lock`, at('delayed'), at('marker'), at(`dn:${key}`)];
      return (await run('davylampNotice', ...keys, id, time, kind, key)) === 1;
    },
    async putOff(id, key, token, time, mode) {
      const keys = [at(id), `${at(id)}:lock`, at('active'), at('stalled'), at('delayed'), at('marker'), at(`dn:${key}`)];
      return (await run('davylampPutOff', ...keys, id, token, time, mode)) === 1;
    },
    async oldest() {
      const answer = await run('davylampOldest', at('wait'), at('delayed'), at(''));
      return typeof answer === 'number' ? answer : null;
    },
  };
}
