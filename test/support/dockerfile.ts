import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** One instruction, with its continuation lines; `COPY` in its parts. */
export type Instruction =
  | { name: 'COPY'; stage: number; from: string | null; sources: string[]; target: string }
  | { name: string; stage: number; text: string };

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The instructions of the Dockerfile in order; each `FROM` begins a stage. Knows as much of the syntax as the file uses. */
export function dockerfile(): Instruction[] {
  const text = readFileSync(join(ROOT, 'Dockerfile'), 'utf8')
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll('\\\n', ' ');
  let stage = -1;
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line): Instruction => {
      const [, name = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
      if (name === '') throw new Error(`not an instruction: ${line}`);
      if (name === 'FROM') stage += 1;
      if (name !== 'COPY') return { name, stage, text: rest };
      const words = rest.split(/\s+/);
      const from = /^--from=(.+)$/.exec(words[0] ?? '')?.[1] ?? null;
      const paths = from === null ? words : words.slice(1);
      return { name: 'COPY', stage, from, sources: paths.slice(0, -1), target: paths.at(-1) ?? '' };
    });
}

export function isCopy(instruction: Instruction): instruction is Extract<Instruction, { name: 'COPY'; sources: string[] }> {
  return 'sources' in instruction;
}

/** What `docker build` would send of a list of files: without those that .dockerignore names, which has no patterns. */
export function buildContext(files: readonly string[]): string[] {
  const ignored = readFileSync(join(ROOT, '.dockerignore'), 'utf8').split('\n').filter(Boolean);
  return files.filter((file) => !ignored.some((entry) => file === entry || file.startsWith(`${entry}/`)));
}
