/**
 * From the verdict to the commit on the remote, in a repository of 50,000 commits and 10,000 files over HTTP on loopback:
 * `node dist/bench/git-revert.js [ROUNDS] [COMMITS] [FILES]`.
 *
 * Each round puts a bad commit and a later one on the remote. Then our repository fetches, reverts and pushes, and beside
 * it the very same commit goes out by hand: a bare `git fetch` and a bare `git push`, with nothing computed in between. The
 * two take turns in who comes first. Exits with 1 when our 95th percentile reaches 1 s, or when our median is more than 1.5
 * times the one by hand, for direct reverts or for those that have to be merged.
 */
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { startGitServer } from '../examples/demo/git-server.ts';
import { createRepository } from '../src/git/mirror.ts';
import { commitText, copyOfHistory, data, git, importStream, pathOf, textOf } from './git-history.ts';

const [rounds = 30, commits = 50_000, files = 10_000] = process.argv.slice(2).map(Number);
const GOAL_MS = 1_000;
const GOAL_RATIO = 1.5;
const REF = 'refs/heads/main';
const signal = new AbortController().signal;
const US = { name: 'davylamp', email: 'davylamp@example.com' };

const folder = await mkdtemp(join(tmpdir(), 'davylamp-git-bench-'));
try {
  process.exitCode = (await measure()) ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function measure(): Promise<boolean> {
  const began = performance.now();
  const remote = join(folder, 'server', 'deploy.git');
  const isNew = await copyOfHistory(remote, commits, files);
  if (isNew) console.log(`made the history in ${seconds(performance.now() - began)}; it is kept in .cache/`);
  const server = await startGitServer({ folder: join(folder, 'server'), token: null });
  const quiet = { info: () => undefined, warn: () => undefined };
  const repository = createRepository({
    name: 'shop',
    url: server.url,
    branch: 'main',
    folder: join(folder, 'ours'),
    credential: async () => null,
    author: US,
    log: quiet,
  });
  try {
    const clone = await timed(() => repository.refresh(signal));
    console.log(
      `${commits} commits, ${files} files: first clone ${seconds(clone)}, mirror ${megabytes(await sizeOf(folder, 'ours'))}`,
    );
    const hand = join(folder, 'hand.git');
    await git(folder, ['clone', '--quiet', '--bare', server.url, hand]);

    let good = true;
    for (const kind of ['direct', 'three-way'] as const) {
      const ours: number[] = [];
      const theirs: number[] = [];
      for (let round = 0; round < rounds; round += 1) {
        const story = await tell(remote, kind, round);
        const order = {
          badCommit: story.bad,
          message: `Revert "bad ${round}"\n`,
          at: 1_700_000_000_000 + round,
          paths: ['apps'],
        };
        let made = '';
        const asWeDo = async (): Promise<void> => {
          const ms = await timed(async () => {
            await repository.refresh(signal);
            const result = await repository.revert(order, signal);
            if (result.kind !== 'commit') throw new Error(result.kind);
            made = result.commit;
            const pushed = await repository.push(made, null, signal);
            if (pushed !== 'pushed') throw new Error(pushed);
          });
          ours.push(ms);
        };
        const byHand = async (): Promise<void> => {
          const fetching = await timed(() =>
            git(hand, ['fetch', '--quiet', '--no-tags', server.url, `+${REF}:refs/heads/fetched`]),
          );
          const same = await importStream(hand, [
            `commit refs/heads/round-${kind}-${round}\nmark :1\nauthor ${US.name} <${US.email}> 1700000000 +0000\n`,
            `committer ${US.name} <${US.email}> 1700000000 +0000\n${data(order.message)}from ${story.head}\n`,
            `M 100644 inline ${story.path}\n${data(story.reverted)}get-mark :1\n`,
          ]);
          theirs.push(fetching + (await timed(() => git(hand, ['push', '--quiet', server.url, `${same}:${REF}`]))));
          if (made !== '' && made !== same) throw new Error('by hand it is another commit');
        };
        const turns = round % 2 === 0 ? [asWeDo, byHand] : [byHand, asWeDo];
        for (const turn of turns) {
          await git(remote, ['update-ref', REF, story.head]);
          await turn();
        }
      }
      good = report(kind, ours, theirs) && good;
    }
    console.log(`mirror after ${2 * rounds} rounds: ${megabytes(await sizeOf(folder, 'ours'))}`);
    return good;
  } finally {
    await repository.close();
    await server.close();
  }
}

/** A bad commit and a later one, put on the remote behind the back of both. */
async function tell(remote: string, kind: 'direct' | 'three-way', round: number) {
  const file = (round * 37 + (kind === 'direct' ? 0 : 5_000)) % files;
  const path = pathOf(file);
  const before = { 0: `key-0: ${kind} ${round}` };
  const bad = { ...before, 3: 'key-3: bad' };
  const later = { ...bad, 9: 'key-9: later' };
  const beside = (file + 1) % files;
  const head = await git(remote, ['rev-parse', REF]);
  const at = 1_690_000_000 + round * 10;
  const last =
    kind === 'direct' ? { [pathOf(beside)]: textOf(beside, { 5: `key-5: ${round}` }) } : { [path]: textOf(file, later) };
  await importStream(remote, [
    commitText(REF, at, 'before\n', { [path]: textOf(file, before) }, head),
    commitText(REF, at + 1, `bad ${round}\n`, { [path]: textOf(file, bad) }),
    commitText(REF, at + 2, 'later\n', last),
  ]);
  const ids = (await git(remote, ['rev-list', '-2', REF])).split('\n');
  const reverted = textOf(file, kind === 'direct' ? before : { ...later, 3: textOf(file).split('\n')[3] ?? '' });
  return { head: ids[0] ?? '', bad: ids[1] ?? '', path, reverted };
}

function report(kind: string, ours: readonly number[], theirs: readonly number[]): boolean {
  const [p50, p95] = [percentile(ours, 0.5), percentile(ours, 0.95)];
  const ratio = p50 / percentile(theirs, 0.5);
  const good = p95 < GOAL_MS && ratio <= GOAL_RATIO;
  console.log(
    `${kind.padEnd(9)} verdict to remote: median ${ms(p50)}, p95 ${ms(p95)} (goal < ${GOAL_MS} ms); fetch and push by hand: ` +
      `median ${ms(percentile(theirs, 0.5))}, p95 ${ms(percentile(theirs, 0.95))}; ratio ${ratio.toFixed(2)} (goal <= ${GOAL_RATIO}) ` +
      (good ? 'ok' : 'MISSED'),
  );
  return good;
}

async function timed(task: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await task();
  return performance.now() - began;
}

async function sizeOf(...path: string[]): Promise<number> {
  const entries = await readdir(join(...path), { recursive: true, withFileTypes: true });
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map(async (entry) => (await stat(join(entry.parentPath, entry.name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

function percentile(values: readonly number[], at: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * at) - 1)] ?? NaN;
}

function ms(value: number): string {
  return `${Math.round(value)} ms`;
}

function seconds(value: number): string {
  return `${(value / 1_000).toFixed(1)} s`;
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`;
}
