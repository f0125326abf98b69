import { parseArgs } from 'node:util';
import { Finding } from './finding.ts';
import { makeKeys } from './keys.ts';
import { everyCell, MODES, pointsOf, someCells, type Cell } from './matrix.ts';
import { play } from './play.ts';

/*
 * Kills davylamp with SIGKILL at every crash point of a rollback, and while git pushes: of a plain revert that a verdict decided, of a narrow one and a
 * restore that a person asked for, of a proposal; unsigned, signed by ssh and by gpg; on the embedded storage and on a Redis with
 * `appendfsync always`. Another process is started at once; in the end there has to be exactly one commit on the remote
 * (and one pull request), less than 60 s after that start.
 *
 * npm run test:chaos:rollback                        every point of every mode once, and every point on both storages
 * npm run test:chaos:rollback -- --seed 7            the same with other combinations
 * npm run test:chaos:rollback -- --full              every combination: every point of every mode 6 times
 * npm run test:chaos:rollback -- --times 5           everything 5 times
 * npm run test:chaos:rollback -- --only 'push-done'  only the plays whose name contains this
 */
const AT_ONCE = 2;
/** From the start of the next process to the end of the rollback. */
const SLOWEST_END_MS = 60_000;

const { values } = parseArgs({
  options: {
    full: { type: 'boolean', default: false },
    times: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
  },
});
const numberOf = (name: 'times' | 'seed') => {
  const number = Number(values[name]);
  if (Number.isSafeInteger(number) && number >= 1) return number;
  throw new RangeError(`--${name} takes a whole number from 1 on`);
};
const times = numberOf('times');
const seed = numberOf('seed');

const nameOf = ({ mode, signing, storage, point }: Cell) => `${mode}, ${signing}, ${storage}, at ${point}`;
const inSeconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;

const keys = await makeKeys();
const findings = { lost: 0, double: 0, slow: 0, wrong: 0 };
let slowest = 0;
const ends: { name: string; ms: number; storage: Cell['storage'] }[] = [];
const counted = new Map<string, number>();

async function perform(cell: Cell): Promise<void> {
  const name = nameOf(cell);
  const from = performance.now();
  let line: string;
  try {
    const { endedMs, rollback } = await play(cell, keys);
    slowest = Math.max(slowest, endedMs);
    if (endedMs >= SLOWEST_END_MS) throw new Finding('slow', `it ended ${inSeconds(endedMs)} after the restart`);
    ends.push({ name, ms: endedMs, storage: cell.storage });
    const of = `${cell.mode} ${cell.point}`;
    counted.set(of, (counted.get(of) ?? 0) + 1);
    line = `passed  kill -9 in ${name.padEnd(48)} ${rollback.state} ${inSeconds(endedMs)} after the restart`;
  } catch (error) {
    if (!(error instanceof Finding)) throw error;
    findings[error.kind] += 1;
    line = `FAILED  kill -9 in ${name.padEnd(48)} ${error.kind}: ${error.message}`;
  }
  process.stdout.write(`${line} (${inSeconds(performance.now() - from)})\n`);
}

try {
  const cells = values.full ? everyCell(keys.signings) : someCells(keys.signings, seed);
  const queue = Array.from({ length: times }, () => cells)
    .flat()
    .filter((cell) => nameOf(cell).includes(values.only));
  // Ctrl-C lets the plays that are under way end, and sums up.
  process.once('SIGINT', () => (queue.length = 0));
  const next = async () => {
    for (let cell = queue.shift(); cell !== undefined; cell = queue.shift()) await perform(cell);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, next));
} finally {
  await keys.close();
}

if (keys.skipped !== null) process.stdout.write(`skipped: whatever is signed by gpg (${keys.skipped})\n`);
for (const storage of ['embedded', 'redis'] as const) {
  const sorted = ends.filter((end) => end.storage === storage).toSorted((one, other) => one.ms - other.ms);
  const [median, last] = [sorted[Math.floor(sorted.length / 2)], sorted.at(-1)];
  if (median === undefined || last === undefined) continue;
  process.stdout.write(
    `${storage}: ${sorted.length} kills, ended ${inSeconds(median.ms)} after the restart in the median, ${inSeconds(last.ms)} at most (${last.name})\n`,
  );
}
const pairs = MODES.flatMap((mode) => pointsOf(mode).map((point) => `${mode} ${point}`));
const least = Math.min(...pairs.map((pair) => counted.get(pair) ?? 0));
const failed = Object.values(findings).reduce((sum, count) => sum + count);
process.stdout.write(
  `${ends.length + failed} kills, each point of each mode at least ${least} times: ${findings.lost} lost, ${findings.double} double, slowest end ${inSeconds(slowest)} after the restart (allowed: ${SLOWEST_END_MS / 1_000} s)\n`,
);
process.stdout.write(`${ends.length} passed, ${failed} failed${keys.skipped === null ? '' : ', 1 skipped'}\n`);
process.exitCode = failed > 0 || ends.length === 0 ? 1 : 0;
