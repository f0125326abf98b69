import type { RedisCondition } from './port.ts';

/** What the operator has agreed to. */
export interface RedisConsent {
  acceptNotDurable: boolean;
  acceptUnverified: boolean;
}

/** What davylamp needs to know of a Redis; null: the server did not say. */
export interface RedisFacts {
  version: string | null;
  role: string | null;
  maxmemoryPolicy: string | null;
  /** Whether an append-only file is written. */
  appendOnly: boolean | null;
  /** Whether the last write of it went well. */
  appendOnlyHealthy: boolean;
  usedBytes: number;
  /** 0: no bound. */
  maxBytes: number;
  cluster: boolean;
}

/** `ZADD … LT` and `LPOS` are used. */
const LEAST_VERSION = [6, 2] as const;

/** Reads the answer to INFO; every fact stands there, so that CONFIG, which managed servers forbid, is not needed. */
export function readInfo(info: string): RedisFacts {
  const fields = new Map<string, string>();
  for (const line of info.split(/\r?\n/)) {
    const colon = line.indexOf(':');
    if (colon > 0 && !line.startsWith('#')) fields.set(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  const flag = (name: string) => (fields.has(name) ? fields.get(name) === '1' : null);
  const bytes = (name: string) => Number(fields.get(name) ?? 0) || 0;
  return {
    version: fields.get('valkey_version') ?? fields.get('redis_version') ?? null,
    role: fields.get('role') ?? null,
    maxmemoryPolicy: fields.get('maxmemory_policy') ?? null,
    appendOnly: flag('aof_enabled'),
    appendOnlyHealthy: fields.get('aof_last_write_status') !== 'err',
    usedBytes: bytes('used_memory') - bytes('mem_not_counted_for_evict'),
    maxBytes: bytes('maxmemory'),
    cluster: flag('cluster_enabled') ?? false,
  };
}

/** Nothing could be asked: the user may not run INFO. */
export const UNKNOWN_FACTS: RedisFacts = {
  version: null,
  role: null,
  maxmemoryPolicy: null,
  appendOnly: null,
  appendOnlyHealthy: true,
  usedBytes: 0,
  maxBytes: 0,
  cluster: false,
};

const bad = (code: string, sentence: string): RedisCondition => ({ ok: false, code, sentence });

/**
 * What the facts mean, the worst first. A Redis that evicts keys loses open rollbacks and jobs silently; one without an
 * append-only file forgets them when it restarts.
 */
export function assess(facts: RedisFacts, consent: RedisConsent): RedisCondition {
  const { version, role, maxmemoryPolicy, appendOnly } = facts;
  if (role !== null && role !== 'master') {
    return bad('redis_readonly', 'The Redis is a replica and takes no writes. Point storage.url at the primary.');
  }
  if (version !== null && isOlder(version)) {
    return bad('redis_policy', `Redis ${version} is too old; davylamp needs ${LEAST_VERSION.join('.')} or newer.`);
  }
  if (maxmemoryPolicy !== null && maxmemoryPolicy !== 'noeviction') {
    return bad(
      'redis_policy',
      `The Redis evicts keys when it is full (maxmemory-policy ${maxmemoryPolicy}), which loses jobs and rollbacks silently. ` +
        'Set maxmemory-policy noeviction, or give davylamp a Redis of its own.',
    );
  }
  const unknown = [
    ...(maxmemoryPolicy === null ? ['maxmemory-policy'] : []),
    ...(appendOnly === null ? ['whether it writes an append-only file'] : []),
  ].join(' and ');
  if (unknown !== '' && !consent.acceptUnverified) {
    return bad(
      'redis_policy',
      `The Redis does not tell its ${unknown}. Let the user run INFO, or, when you know that it does not evict and does persist, set storage.acceptUnverified: true.`,
    );
  }
  if (appendOnly === false && !consent.acceptNotDurable) {
    return bad(
      'redis_policy',
      'The Redis writes no append-only file, so a restart of it forgets analyses, rollbacks and the journal. ' +
        'Set appendonly yes, or accept that with storage.acceptNotDurable: true.',
    );
  }
  if (facts.maxBytes > 0 && facts.usedBytes >= facts.maxBytes) {
    return bad('redis_full', 'Redis is full (maxmemory is reached). Give it more memory; nothing was lost.');
  }
  if (!facts.appendOnlyHealthy) {
    return bad('redis_unavailable', 'Redis cannot write its append-only file. Make room on the disk of Redis.');
  }
  if (appendOnly === false) {
    return {
      ok: true,
      code: 'not_durable',
      sentence: 'The Redis writes no append-only file, by consent: a restart of it forgets everything.',
    };
  }
  return { ok: true, code: 'ok', sentence: unknown === '' ? 'Redis answers' : `Redis answers; its ${unknown} is not known` };
}

/** The worst of several nodes of a cluster. */
export function worst(conditions: readonly RedisCondition[]): RedisCondition | undefined {
  return conditions.find(({ ok }) => !ok) ?? conditions.find(({ code }) => code !== 'ok') ?? conditions[0];
}

function isOlder(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major < LEAST_VERSION[0] || (major === LEAST_VERSION[0] && minor < LEAST_VERSION[1]);
}
