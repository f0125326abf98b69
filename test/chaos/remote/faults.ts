import { DISK_PLAYS } from './disk-plays.ts';
import { MIRROR_PLAYS } from './mirror-plays.ts';
import { REMOTE_PLAYS } from './remote-plays.ts';
import { Skipped } from './plays.ts';

/*
 * What happens to the remote, the credential, the disk and the mirror while a bad release waits to be taken out. It resumes
 * by itself, and its one commit is on the remote within 10 s after the cause is gone.
 *
 * npm run test:chaos:remote               all of it (about 2 minutes)
 * npm run test:chaos:remote -- mirror     only the plays whose name contains this
 */

const wanted = process.argv[2] ?? '';
const counts = { passed: 0, failed: 0, skipped: 0 };
for (const { name, perform } of [...REMOTE_PLAYS, ...DISK_PLAYS, ...MIRROR_PLAYS].filter((play) => play.name.includes(wanted))) {
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
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
process.exitCode = counts.failed > 0 || counts.passed + counts.skipped === 0 ? 1 : 0;
