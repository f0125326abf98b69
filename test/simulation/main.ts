import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { nothing, type Share, type Sum } from './crew.ts';
import { MUTATIONS } from './mutations.ts';
import { play } from './schedule.ts';

/*
 * Plays schedules of rollbacks against a simulated remote, cluster, store and clock, and checks the rules of the design after
 * every step; then breaks one rule after the other in the code and shows that the schedules find it.
 *
 * npm run test:simulation                           100,000 schedules and all mutations
 * npm run test:simulation -- --seeds 1000           fewer
 * npm run test:simulation -- --from 500000          others
 * npm run test:simulation -- --seed 1328            one, with everything that happens in it
 */
const SEEDS = 100_000;
const MOST_THREADS = 4;
/** A broken rule has to be found within so many schedules. */
const FOUND_WITHIN = 10_000;
const SHOWN_BROKEN = 5;
const SHOWN_LINES = 80;
const MUTANT = fileURLToPath(new URL('mutant.js', import.meta.url));
const run = promisify(execFile);

const { values } = parseArgs({
  options: { seeds: { type: 'string' }, seed: { type: 'string' }, from: { type: 'string' } },
});

if (values.seed !== undefined) {
  process.exitCode = (await show(Number(values.seed), Infinity)) ? 0 : 1;
} else {
  const count = Number(values.seeds ?? SEEDS);
  const from = Number(values.from ?? 1);
  const sum = await playAll(from, from + count);
  const found = await mutations(from);
  const passed = sum.schedules - sum.broken.length + found.passed;
  const failed = sum.broken.length + found.failed;
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  process.exitCode = failed === 0 && sum.schedules === count ? 0 : 1;
}

async function playAll(from: number, until: number): Promise<Sum> {
  const began = performance.now();
  const threads = Math.max(1, Math.min(MOST_THREADS, availableParallelism()));
  const all = nothing();
  const crew = Array.from({ length: threads }, async (_, index) => {
    const share: Share = { from: from + index, until, stride: threads };
    const worker = new Worker(new URL('crew.js', import.meta.url), { workerData: share });
    worker.on('message', (sum: Sum) => join(all, sum));
    await once(worker, 'exit');
  });
  await Promise.all(crew);
  const seconds = (performance.now() - began) / 1_000;
  const per = ((seconds * 1_000 * threads) / Math.max(1, all.schedules)).toFixed(2);
  say(`${all.schedules} schedules, ${all.steps} steps, ${all.faults} faults, ${all.crashes} crashes in ${seconds.toFixed(1)} s`);
  say(`${threads} threads, ${per} ms a schedule; ${all.pushes} pushes, ${all.proposals} proposals, ${all.aborts} aborts`);
  const ends = Object.entries(all.ends).sort(([, one], [, other]) => other - one);
  say(`ends: ${ends.map(([end, times]) => `${end} ${times}`).join(', ')}`);
  for (const { seed } of all.broken.sort((one, other) => one.seed - other.seed).slice(0, SHOWN_BROKEN))
    await show(seed, SHOWN_LINES);
  if (all.broken.length > 0) say(`broken: ${all.broken.map(({ seed }) => seed).join(' ')}`);
  return all;
}

/** Plays a seed once more and tells what happened; whether all rules held. */
async function show(seed: number, lines: number): Promise<boolean> {
  const { violation, trace } = await play(seed, true);
  say('');
  for (const line of trace.slice(-lines)) say(line);
  say(`seed ${seed}: ${violation ?? 'all rules held'}`);
  if (violation !== null) say(`again: npm run test:simulation -- --seed ${seed}`);
  return violation === null;
}

/** Every broken rule has to be found, else the schedules look at something else. */
async function mutations(from: number): Promise<{ passed: number; failed: number }> {
  const began = performance.now();
  const next = MUTATIONS.entries();
  let passed = 0;
  let failed = 0;
  const crew = Array.from({ length: Math.min(2, availableParallelism()) }, async () => {
    for (const [index, { name }] of next) {
      const { stdout } = await run(process.execPath, [MUTANT, String(index), String(from), String(FOUND_WITHIN)]);
      const found = JSON.parse(stdout) as { schedules: number; seed: number; violation: string } | null;
      if (found === null) failed += 1;
      else passed += 1;
      const said = found === null ? `NOT found in ${FOUND_WITHIN} schedules` : `found after ${found.schedules}`;
      say(`broken on purpose: ${name}: ${said}${found === null ? '' : ` (${found.violation.slice(0, 110)})`}`);
    }
  });
  await Promise.all(crew);
  say(`${passed} of ${MUTATIONS.length} broken rules found in ${((performance.now() - began) / 1_000).toFixed(1)} s`);
  return { passed, failed };
}

function join(all: Sum, sum: Sum): void {
  all.schedules += sum.schedules;
  all.steps += sum.steps;
  all.faults += sum.faults;
  all.crashes += sum.crashes;
  all.pushes += sum.pushes;
  all.proposals += sum.proposals;
  all.aborts += sum.aborts;
  for (const [end, times] of Object.entries(sum.ends)) all.ends[end] = (all.ends[end] ?? 0) + times;
  all.broken.push(...sum.broken);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
