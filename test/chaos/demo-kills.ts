import { execFileSync, spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/*
 * Plays the bad release of the demo again and again and kills davylamp with SIGKILL each time at another place: at every
 * named crash point, and at moments that a seed draws. davylamp is started again at once; each time the demo itself checks
 * that the end is the same: recovered, the good content on the branch, exactly one revert commit.
 *
 * npm run test:chaos                 all of it (about 25 s each)
 * npm run test:chaos -- push-done    only the plays whose name contains this
 */
const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const DEMO = join(root, 'dist', 'examples', 'demo', 'main.js');
const SERVICE = join(root, 'dist', 'src', 'main.js');
const PLAYS = 20;
const LEAST_RANDOM = 3;
/** From the push of the bad release to the end of its story, roughly. */
const STORY_MS = { from: 200, to: 14_000 };
const PLAY_DEADLINE_MS = 150_000;
const SHOWN_LINES = 25;

interface Play {
  name: string;
  options: string[];
}

function plays(): Play[] {
  const points = execFileSync(process.execPath, [SERVICE, 'crash-points'], { encoding: 'utf8' })
    .split('\n')
    // The demo pushes; points of a proposal are passed in mode propose only.
    .filter((name) => name !== '' && !name.startsWith('proposal-'));
  const named = points.map((name, index) => ({ name, options: ['--crash', name, '--seed', String(100 + index)] }));
  const randomCount = Math.max(LEAST_RANDOM, PLAYS - named.length);
  // Evenly spread with a shift inside each part: together they cover the story, and no two runs of this file are alike.
  const part = (STORY_MS.to - STORY_MS.from) / randomCount;
  const random = Array.from({ length: randomCount }, (_, index) => {
    const ms = Math.round(STORY_MS.from + part * (index + Math.random()));
    return { name: `${String(ms)} ms after the push`, options: ['--kill-after-ms', String(ms), '--seed', String(200 + index)] };
  });
  return [...named, ...random];
}

async function run(play: Play): Promise<{ passed: boolean; said: string; output: string }> {
  const child = spawn(process.execPath, [DEMO, '--once', '--bad-only', ...play.options], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const deadline = setTimeout(() => child.kill('SIGTERM'), PLAY_DEADLINE_MS);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  clearTimeout(deadline);
  const outcome = outcomeIn(output.trimEnd().split('\n').at(-1) ?? '');
  if (code !== 0 || outcome?.rolledBack !== true) return { passed: false, said: `exit ${String(code)}`, output };
  const said = `one revert, ${String(outcome.revertCommit).slice(0, 7)}, pushed after ${String(outcome.secondsToRevert)} s, recovered after ${String(outcome.secondsToRecover)} s`;
  return { passed: true, said, output };
}

function outcomeIn(line: string): Record<string, unknown> | null {
  try {
    const outcome: unknown = JSON.parse(line);
    return typeof outcome === 'object' && outcome !== null ? { ...outcome } : null;
  } catch {
    // A play that was cut off ends with some other line.
    return null;
  }
}

const wanted = process.argv[2] ?? '';
let passed = 0;
let failed = 0;
for (const play of plays().filter(({ name }) => name.includes(wanted))) {
  const from = performance.now();
  const result = await run(play);
  const seconds = ((performance.now() - from) / 1_000).toFixed(0);
  process.stdout.write(
    `${result.passed ? 'passed' : 'FAILED'}  kill -9 at ${play.name.padEnd(24)} ${seconds.padStart(3)} s  ${result.said}\n`,
  );
  if (result.passed) passed += 1;
  else {
    failed += 1;
    process.stdout.write(
      `${result.output
        .trimEnd()
        .split('\n')
        .slice(-SHOWN_LINES)
        .map((line) => `        | ${line}`)
        .join('\n')}\n`,
    );
  }
}
process.stdout.write(`${String(passed)} passed, ${String(failed)} failed\n`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
