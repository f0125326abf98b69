/**
 * From the verdict to the commit on the remote, through the whole service, in a repository of 50,000 commits and 10,000
 * files over HTTP on loopback: `node dist/bench/verdict-to-remote.js [ROUNDS] [COMMITS] [FILES]`.
 *
 * Each round puts a bad commit and a later one on the remote and has the service analyse the bad one. It counts from the
 * moment that the stored analysis names as its end to the moment at which a hook of the remote saw the branch move:
 * decision, plan, guards, abort, fetch, commit and push. Beside it the very same commit goes out by hand on a copy of the
 * remote: a bare `git fetch` and a bare `git push`, with nothing computed in between. Exits with 1 when the 95th
 * percentile reaches 1 s, when our median is more than 1.5 times the one by hand, when the service was not ready before
 * the first clone was there, or when the mirror has more than doubled.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { startGitServer } from '../examples/demo/git-server.ts';
import type { Analysis } from '../src/analysis/record.ts';
import type { Rollback } from '../src/rollback/record.ts';
import { startPages } from '../test/support/pages.ts';
import { startRollout } from '../test/support/rollout.ts';
import { client } from '../test/support/running-service.ts';
import { serve } from '../test/support/service-process.ts';
import { commitText, copyOfHistory, git, importStream, pathOf, textOf } from './git-history.ts';
import { pushLog } from './push-log.ts';

const [rounds = 30, commits = 50_000, files = 10_000] = process.argv.slice(2).map(Number);
const GOAL_MS = 1_000;
const GOAL_RATIO = 1.5;
const MOST_GROWTH = 2;
const DEADLINE_MS = 60_000;
const REF = 'refs/heads/main';

const folder = await mkdtemp(join(tmpdir(), 'davylamp-verdict-'));
try {
  process.exitCode = (await measure()) ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}

async function measure(): Promise<boolean> {
  const root = join(folder, 'server');
  const remote = join(root, 'deploy.git');
  const copy = join(root, 'copy.git');
  if (await copyOfHistory(remote, commits, files)) console.log('made the history; it is kept in .cache/');
  const server = await startGitServer({ folder: root, token: null });
  await cp(remote, copy, { recursive: true });
  const [log, logOfCopy] = [await pushLog(remote), await pushLog(copy)];
  const urlOfCopy = server.url.replace('deploy.git', 'copy.git');
  const hand = join(folder, 'hand.git');
  await git(folder, ['clone', '--quiet', '--bare', urlOfCopy, hand]);
  const pages = await startPages();
  pages.set('canary', { errorShare: 0.5 });
  const rollout = await startRollout({ canary: null, stable: await git(remote, ['rev-parse', REF]) });
  const service = await serve(await configuration({ git: server.url, pages: pages.url, rollout: rollout.url }));
  try {
    const hadCloned = service.log.some(({ msg }) => msg === 'fetched the repository');
    const cloned = await service.logged(({ msg }) => msg === 'fetched the repository', 0, DEADLINE_MS);
    const before = await sizeOf(folder, 'data');
    console.log(
      `${commits} commits, ${files} files: ready ${hadCloned ? 'after' : 'before'} the first clone, which took ` +
        `${(Number(cloned['ms']) / 1_000).toFixed(1)} s; data folder ${megabytes(before)}`,
    );
    const api = client(service.address);
    const ours: number[] = [];
    const byHand: number[] = [];
    const load = loadavg()[0] ?? Number.NaN;
    for (let round = 0; round < rounds; round += 1) {
      const bad = await tell([remote, copy], round);
      Object.assign(rollout.state, { canary: bad, stable: await git(remote, ['rev-parse', `${bad}^`]), phase: 'progressing' });
      const pushes = await log.count();
      const { body } = await api.call<Analysis>('POST', '/api/v1/analyses', { application: 'shop', revision: bad });
      const ended = await api.until<Analysis>(`/api/v1/analyses/${body.id}`, ({ rollback }) => rollback !== null, DEADLINE_MS);
      const done = await api.until<Rollback>(
        `/api/v1/rollbacks/${ended.rollback}`,
        ({ state }) => ['recovered', 'not_recovered', 'held', 'refused', 'failed'].includes(state),
        DEADLINE_MS,
      );
      const arrived = (await log.arrivals(pushes)).get(done.revertCommit ?? '');
      if (done.state !== 'recovered' || arrived === undefined) throw new Error(`${done.state}: ${done.sentence}`);
      ours.push(arrived - Date.parse(ended.endedAt ?? ''));
      byHand.push(await pushedByHand({ remote, copy, hand, url: urlOfCopy, log: logOfCopy }, done.revertCommit ?? ''));
    }
    const after = await sizeOf(folder, 'data');
    const isSmall = after <= before * MOST_GROWTH;
    console.log(`data folder after ${rounds} rollbacks: ${megabytes(after)} ${isSmall ? 'ok' : 'MISSED'}`);
    console.log(`load of the machine: ${load.toFixed(1)} before, ${(loadavg()[0] ?? Number.NaN).toFixed(1)} after`);
    return report(ours, byHand) && isSmall && !hadCloned;
  } finally {
    await service.stop();
    await Promise.all([server.close(), pages.close(), rollout.close()]);
  }
}

async function configuration(urls: { git: string; pages: string; rollout: string }): Promise<string> {
  const counter = (codes: string) => ({ counter: `http_requests_total{service="shop"${codes}}` });
  const targets = ['canary', 'stable'].map((track) => ({ url: `${urls.pages}/${track}`, labels: { track } }));
  const config = {
    server: { listen: '127.0.0.1:0' },
    storage: { kind: 'embedded', path: './data' },
    sources: { pages: { type: 'scrape', targets } },
    repositories: { deploy: { url: urls.git, maxPerDay: 10_000 } },
    rollbacks: { maxPerDay: 10_000 },
    applications: {
      shop: {
        repository: 'deploy',
        paths: ['apps'],
        delivery: { type: 'http', url: urls.rollout },
        template: 'shop',
        mode: 'rollback',
        guards: { maxPerDay: 10_000 },
      },
    },
    templates: {
      shop: {
        every: '200ms',
        for: '10s',
        canary: { track: 'canary' },
        baseline: { track: 'stable' },
        recovery: { for: '400ms' },
        metrics: {
          errors: { type: 'proportion', source: 'pages', total: counter(''), events: counter(',code=~"5.."'), limit: '20%' },
        },
      },
    },
  };
  const file = join(folder, 'davylamp.yaml');
  await writeFile(file, JSON.stringify(config));
  return file;
}

/** A bad commit and a later one on every remote, behind the back of all. @returns the bad one */
async function tell(remotes: readonly string[], round: number): Promise<string> {
  const file = (round * 37) % files;
  const path = pathOf(file);
  const before = { 0: `key-0: round ${round}` };
  const beside = (file + 1) % files;
  const at = Math.floor(Date.now() / 1_000) - 10;
  const head = await git(remotes[0] ?? '', ['rev-parse', REF]);
  const stream = [
    commitText(REF, at, 'before\n', { [path]: textOf(file, before) }, head),
    commitText(REF, at + 1, `bad ${round}\n`, { [path]: textOf(file, { ...before, 3: `key-3: bad ${round}` }) }),
    commitText(REF, at + 2, 'later\n', { [pathOf(beside)]: textOf(beside, { 5: `key-5: ${round}` }) }),
  ];
  for (const remote of remotes) await importStream(remote, stream);
  return git(remotes[0] ?? '', ['rev-parse', `${REF}~1`]);
}

interface Hand {
  remote: string;
  copy: string;
  hand: string;
  url: string;
  log: Awaited<ReturnType<typeof pushLog>>;
}

/** The same commit by a bare fetch and a bare push. @returns milliseconds, the making of the commit not counted */
async function pushedByHand({ remote, hand, url, log }: Hand, commit: string): Promise<number> {
  const pushes = await log.count();
  const began = performance.now();
  await git(hand, ['fetch', '--quiet', '--no-tags', url, `+${REF}:refs/heads/fetched`]);
  const fetched = performance.now() - began;
  await handOver(remote, hand, commit);
  const from = Date.now();
  await git(hand, ['push', '--quiet', url, `${commit}:${REF}`]);
  const arrived = (await log.arrivals(pushes)).get(commit);
  if (arrived === undefined) throw new Error('by hand the commit did not arrive');
  return fetched + arrived - from;
}

/** The objects of one commit from one repository to another, as a pack by a pipe. */
async function handOver(from: string, to: string, commit: string): Promise<void> {
  const pack = spawn('git', ['--git-dir', from, 'pack-objects', '--quiet', '--revs', '--stdout'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const unpack = spawn('git', ['--git-dir', to, 'unpack-objects', '-q'], { stdio: ['pipe', 'ignore', 'inherit'] });
  pack.stdout.pipe(unpack.stdin);
  pack.stdin.end(`${commit}\n^${commit}^\n`);
  const [code] = (await once(unpack, 'close')) as [number | null];
  if (code !== 0) throw new Error(`git unpack-objects ended with ${String(code)}`);
}

function report(ours: readonly number[], byHand: readonly number[]): boolean {
  const [p50, p95] = [percentile(ours, 0.5), percentile(ours, 0.95)];
  const ratio = p50 / percentile(byHand, 0.5);
  const good = p95 < GOAL_MS && ratio <= GOAL_RATIO;
  console.log(
    `verdict to remote through the service, ${ours.length} rollbacks: median ${ms(p50)}, p95 ${ms(p95)} (goal < ${GOAL_MS} ms); ` +
      `fetch and push by hand: median ${ms(percentile(byHand, 0.5))}, p95 ${ms(percentile(byHand, 0.95))}; ` +
      `ratio ${ratio.toFixed(2)} (goal <= ${GOAL_RATIO}) ${good ? 'ok' : 'MISSED'}`,
  );
  return good;
}

function percentile(values: readonly number[], at: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * at) - 1)] ?? Number.NaN;
}

async function sizeOf(...path: string[]): Promise<number> {
  const entries = await readdir(join(...path), { recursive: true, withFileTypes: true });
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map(async (entry) => (await stat(join(entry.parentPath, entry.name)).catch(() => ({ size: 0 }))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

function ms(value: number): string {
  return `${Math.round(value)} ms`;
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`;
}
