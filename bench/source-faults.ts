/**
 * What faults of a metric store do to a service: never a rollback, never a pass while there are only faults, full speed
 * within one interval after they end. `--minutes N` makes the faults last longer.
 */
import process from 'node:process';
import { parseArgs } from 'node:util';
import { playFaultStory } from './fault-story.ts';

const EVERY_MS = 6_000;
const LEAST_TICKS = 5;

const { values } = parseArgs({ options: { minutes: { type: 'string' } } });
const minutes = Number(values.minutes ?? '0');
if (!Number.isFinite(minutes) || minutes < 0) throw new Error('--minutes takes a number');
const faultTicks = Math.max(LEAST_TICKS, Math.ceil((minutes * 60_000) / EVERY_MS));

const outcomes = await playFaultStory({
  everyMs: EVERY_MS,
  faultTicks,
  ticksAfter: faultTicks + 3,
  fullSpeed: true,
  tell: console.log,
});
for (const { kind, missed, backAfterMs, problems } of outcomes) {
  const back = backAfterMs === null || backAfterMs === Infinity ? 'never' : `${(backAfterMs / 1_000).toFixed(1)} s`;
  console.log(
    `${kind.padEnd(38)} ${String(missed).padStart(4)} ticks without a measurement, back after ${back.padStart(6)}  ${problems.length === 0 ? 'ok' : problems.join('; ')}`,
  );
}
const bad = outcomes.filter(({ problems }) => problems.length > 0).length;
console.log(bad === 0 ? 'no rollback and no pass from faults; full speed within one interval' : `${bad} kinds went wrong`);
process.exitCode = bad === 0 ? 0 : 1;
