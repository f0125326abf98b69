import { DISK_PLAYS } from './disk-plays.ts';
import { MIRROR_PLAYS } from './mirror-plays.ts';
import { REMOTE_PLAYS } from './remote-plays.ts';
import { Skipped, type PlayEntry } from './plays.ts';

/*
 * What happens to the remote, the credential, the disk and the mirror while a bad release waits to be taken out. It resumes
 * by itself, and its one commit is on the remote within 10 s after the cause is gone.
 *
 * npm run test:chaos:remote               all of it (about 2 minutes)
 * npm run test:chaos:remote -- mirror     only the plays whose name contains this
 */

/** Most of the time they wait. */
const AT_ONCE = 2;

const wanted = process.argv[2] ?? '';
const counts = { passed: 0, failed: 0, skipped: 0 };
const waiting = [...MIRROR_PLAYS, ...DISK_PLAYS, ...REMOTE_PLAYS].filter(({ name }) => name.includes(wanted)).toReversed();

async function performAll(): Promise<void> {
  for (let play = waiting.pop(); play !== undefined; play = waiting.pop()) await performOne(play);
}

async function performOne({ name, perform }: PlayEntry): Promise<void> {
  const from = performance.now();
  let outcome: keyof typeof counts = 'passed';
  let said: string;
  try {
    said = await perform();
  } catch (error) {
    outcome = error instanceof Skipped ? 'skipped' : 'failed';
    said = error instanceof Error ? error.message : String(error);
  }
  counts[outcome] += 1;
  process.stdout.write(`${outcome}  ${name}: ${said} (${((performance.now() - from) / 1_000).toFixed(0)} s)\n`);
}

await Promise.all(Array.from({ length: AT_ONCE }, performAll));
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
process.exitCode = counts.failed > 0 || counts.passed + counts.skipped === 0 ? 1 : 0;
