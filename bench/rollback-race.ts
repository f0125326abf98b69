/**
 * 5 services on one Redis that all hear of 100 bad commits over 10 applications of one repository:
 * `node dist/bench/rollback-race.js [BAD-COMMITS-EACH] [RATE ...]`.
 *
 * Every bad commit changes a file of its own, so that each of them can be taken out alone, whatever the order. All five
 * are asked to analyse each of them at the same time, come to five verdicts of each, and are asked for each by a person
 * once more when all is done. Three times: alone, with somebody else who pushes to the same branch 2 times a second, and
 * 20 times a second or as often as git allows.
 *
 * Limits a day, the cool-down and the fleet breaker exist to hold exactly such a storm, so the configuration of this
 * bench turns them off: `maxPerDay: 1000` everywhere, `coolDown: 0s`, `fleet: { enabled: false }`.
 *
 * Asks for: exactly one rollback and one commit of ours for each bad commit, the remote clean for `git fsck --strict`,
 * every file of the applications as it was when it was good, every commit of the other one on the branch; and, at 2
 * pushes a second, a 99th percentile below 10 s from the decision to the commit on the remote.
 */
import { loadavg } from 'node:os';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Rollback } from '../src/rollback/record.ts';
import { startRedis, type RedisServer } from '../test/support/redis.ts';
import { client } from '../test/support/running-service.ts';
import { serve, type ServiceProcess } from '../test/support/service-process.ts';
import { startCommitter } from './committer.ts';
import { git } from './git-history.ts';
import { raceWorld, type RaceWorld } from './race-world.ts';

const PROCESSES = 5;
const APPLICATIONS = 10;
const MOST_MS = 10_000;
/** The rate at which the latency is asked for. */
const CALM_RATE = 2;
const DEADLINE_MS = 300_000;
const POLL_MS = 500;
const PAGE = 100;

const [each = 10, ...given] = process.argv.slice(2).map(Number);
const rates = given.length > 0 ? given : [0, CALM_RATE, 20];

const redis = await startRedis();
const problems: string[] = [];
const rows: Record<string, string | number>[] = [];
try {
  for (const rate of rates) await race(redis, rate);
} finally {
  await redis.stop();
}
console.table(rows);
console.log(`Asked for: p99 below ${MOST_MS / 1_000} s at ${CALM_RATE} pushes/s; nothing lost, nothing doubled at any rate.`);
for (const problem of problems.slice(0, 20)) console.log(`MISSED: ${problem}`);
process.exitCode = problems.length > 0 ? 1 : 0;

async function race(server: RedisServer, rate: number): Promise<void> {
  const world = await raceWorld(server, { applications: APPLICATIONS, each, name: `at-${rate}` });
  const services: ServiceProcess[] = [];
  try {
    for (let at = 1; at <= PROCESSES; at += 1) services.push(await serve(await world.configuration(`service-${at}`)));
    await Promise.all(services.map(({ logged }) => logged(({ msg }) => msg === 'fetched the repository')));
    const clients = services.map(({ address }) => client(address));
    const committer = rate > 0 ? startCommitter(await world.colleague('somebody'), rate) : null;
    const began = performance.now();
    const load = loadavg()[0] ?? Number.NaN;
    const telling = world.bad.flatMap(({ application, sha }) =>
      clients.map(async ({ call }) => {
        const { status } = await call('POST', '/api/v1/analyses', { application, revision: sha });
        if (status !== 202) problems.push(`at ${rate} pushes/s an analysis was answered with ${status}`);
      }),
    );
    await Promise.all(telling);
    const [first] = clients;
    if (first === undefined) throw new Error('there is no process');
    const all = await untilPushed(first, world.bad.length);
    const tookMs = performance.now() - began;
    const others = await committer?.stop();
    await askAgain(clients, world, rate);
    const latencies = await judge(world, all, rate, others?.count ?? 0);
    const at = (share: number) => latencies[Math.ceil(share * latencies.length) - 1] ?? Number.NaN;
    rows.push({
      'asked pushes/s': rate,
      reached: (others?.perSecond ?? 0).toFixed(1),
      rejected: others?.rejected ?? 0,
      rollbacks: all.length,
      commits: latencies.length,
      'p50 s': (at(0.5) / 1_000).toFixed(2),
      'p99 s': (at(0.99) / 1_000).toFixed(2),
      'max s': (at(1) / 1_000).toFixed(2),
      'all done s': (tookMs / 1_000).toFixed(1),
      'load before': load.toFixed(1),
      after: (loadavg()[0] ?? Number.NaN).toFixed(1),
    });
    if (rate === CALM_RATE && !(at(0.99) < MOST_MS))
      problems.push(`p99 was ${(at(0.99) / 1_000).toFixed(1)} s at ${rate} pushes/s`);
  } finally {
    await Promise.all(services.map((service) => service.stop()));
    await world.close();
  }
}

type Client = ReturnType<typeof client>;

/** All rollbacks, once each of them has its commit or has ended. */
async function untilPushed(from: Client, wanted: number): Promise<Rollback[]> {
  const end = performance.now() + DEADLINE_MS;
  for (;;) {
    const all = await rollbacksOf(from);
    const open = all.filter(({ revertCommit, state }) => revertCommit === null && (state === 'planned' || state === 'executing'));
    if ((all.length >= wanted && open.length === 0) || performance.now() > end) return all;
    await sleep(POLL_MS);
  }
}

async function rollbacksOf(from: Client): Promise<Rollback[]> {
  const all: Rollback[] = [];
  for (let cursor = ''; ;) {
    const { body } = await from.call<{ items: Rollback[]; next: string | null }>(
      'GET',
      `/api/v1/rollbacks?limit=${PAGE}${cursor}`,
    );
    all.push(...body.items);
    if (body.next === null) return all;
    cursor = `&cursor=${encodeURIComponent(body.next)}`;
  }
}

/** A person asks all five for each of them: it is the same rollback, and no commit follows. */
async function askAgain(clients: readonly Client[], world: RaceWorld, rate: number): Promise<void> {
  for (const { application, sha } of world.bad) {
    await Promise.all(
      clients.map(async ({ call }) => {
        const { status } = await call('POST', '/api/v1/rollbacks', { application, revision: sha, reason: 'once more' });
        if (status !== 202 && status !== 409) problems.push(`at ${rate} pushes/s the second request was answered with ${status}`);
      }),
    );
  }
}

/** What the remote and the records say. @returns milliseconds from decision to remote, sorted */
async function judge(world: RaceWorld, all: readonly Rollback[], rate: number, others: number): Promise<number[]> {
  const { bad, server } = world;
  const wrong = (what: string) => problems.push(`at ${rate} pushes/s ${what}`);
  const known = new Map(all.map((rollback) => [rollback.id, rollback]));
  if (all.length !== bad.length) wrong(`there are ${all.length} rollbacks of ${bad.length} bad commits`);
  for (const { id, state, code, sentence, revertCommit } of all) {
    if (revertCommit === null) wrong(`rollback ${id} has no commit: ${state}, ${code}, ${sentence}`);
  }
  const own = await world.own();
  const reverted = new Set(own.map(({ reverts }) => reverts));
  if (own.length !== bad.length) wrong(`there are ${own.length} commits of ours for ${bad.length} bad ones`);
  for (const { sha } of bad) if (!reverted.has(sha)) wrong(`${sha} was not reverted`);
  const files = await world.wrongFiles();
  if (files.length > 0) wrong(`${files.length} files are not what they were, ${files[0]} first`);
  const told = await world.fsck();
  if (told !== '') wrong(`git fsck says ${told}`);
  const theirs = Number(await git(server.repository, ['rev-list', '--count', '--grep=of somebody else', 'main', '--']));
  if (theirs !== others) wrong(`${theirs} commits of the other one are on the branch, ${others} were pushed`);
  const arrivals = await world.log.arrivals();
  const latencies = own.map(({ sha, rollback }) => {
    const decided = Date.parse(known.get(rollback)?.decidedAt ?? '');
    return (arrivals.get(sha) ?? Number.NaN) - decided;
  });
  if (latencies.some(Number.isNaN)) wrong('a commit of ours has no rollback, or came by no push');
  return latencies.toSorted((one, other) => one - other);
}
