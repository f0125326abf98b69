import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** A script of children/, as it was compiled before the tests: a process runs no TypeScript. */
export function compiledChild(script: string): string {
  return fileURLToPath(new URL(`../../dist/test/conformance/children/${script}`, import.meta.url));
}

/** How a child process reaches the place of a test: a module that exports `open(place)`, and what to hand to it. */
export interface ChildAccess {
  /** Absolute path of the compiled module. */
  adapter: string;
  place: string;
}

/**
 * Runs a script of children/ and kills it with SIGKILL as soon as `enough` says so of the lines that it has printed.
 *
 * @returns the lines that were complete
 */
export async function runUntilKilled(
  script: string,
  access: ChildAccess,
  argument: string,
  enough: (lines: readonly string[]) => boolean,
): Promise<string[]> {
  const path = compiledChild(script);
  const child = spawn(process.execPath, [path, access.adapter, access.place, argument], { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    if (enough(lines)) child.kill('SIGKILL');
  });
  const [, signal] = (await once(child, 'close')) as [number | null, string | null];
  if (signal !== 'SIGKILL') throw new Error(`${script} ended by itself: ${errors}`);
  return lines;
}
