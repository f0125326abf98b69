import { API_PLAYS } from './api-plays.ts';
import type { PlayEntry } from './plays.ts';
import { QUEUE_PLAYS } from './queue-plays.ts';
import { ROLLBACK_PLAYS } from './rollback-plays.ts';

/*
 * What happens to a Redis while several processes work on it.
 *
 * node dist/test/chaos/redis/faults.js               all of it (about 10 minutes)
 * node dist/test/chaos/redis/faults.js 'kill -9'     only the plays whose name contains this
 */
const PLAYS: readonly PlayEntry[] = [...QUEUE_PLAYS, ...API_PLAYS, ...ROLLBACK_PLAYS];

const wanted = process.argv[2] ?? '';
let passed = 0;
let failed = 0;
for (const { name, perform } of PLAYS.filter((entry) => entry.name.includes(wanted))) {
  const shown = name.padEnd(56);
  const from = performance.now();
  let line: string;
  try {
    line = `passed  ${shown} ${await perform()}`;
    passed += 1;
  } catch (error) {
    line = `FAILED  ${shown} ${error instanceof Error ? error.message : String(error)}`;
    failed += 1;
  }
  process.stdout.write(`${line} (${((performance.now() - from) / 1_000).toFixed(0)} s)\n`);
}
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
