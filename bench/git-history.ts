import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, cp, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ENVIRONMENT = {
  PATH: process.env['PATH'] ?? '/usr/bin:/bin',
  LC_ALL: 'C',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_TERMINAL_PROMPT: '0',
};
const CACHE = join('.cache', 'git-bench');
const FILES_IN_FOLDER = 100;
const LINES = 12;
const OUTPUT_LIMIT = 64 * 1024 * 1024;
/** A chunk of a stream that git reads. */
const FLUSH_AT = 1024 * 1024;

/** @returns standard output without the last newline */
export async function git(gitDir: string, args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const { stdout } = await run('git', ['--git-dir', gitDir, ...args], {
    env: { ...ENVIRONMENT, ...env },
    maxBuffer: OUTPUT_LIMIT,
  });
  return stdout.replace(/\n$/, '');
}

/** Feeds `git fast-import`. @returns what it printed */
export async function importStream(gitDir: string, stream: Iterable<string>): Promise<string> {
  const child = spawn('git', ['--git-dir', gitDir, 'fast-import', '--quiet', '--done'], {
    env: ENVIRONMENT,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  const ended = once(child, 'close');
  let chunk = '';
  const flush = async (): Promise<void> => {
    if (!child.stdin.write(chunk)) await once(child.stdin, 'drain');
    chunk = '';
  };
  for (const part of stream) {
    chunk += part;
    if (chunk.length > FLUSH_AT) await flush();
  }
  child.stdin.end(`${chunk}done\n`);
  const [code] = (await ended) as [number | null];
  if (code !== 0) throw new Error(`git fast-import ended with ${String(code)}`);
  return stdout.trim();
}

export function pathOf(file: number): string {
  const folder = Math.floor(file / FILES_IN_FOLDER);
  return `apps/app-${String(folder).padStart(3, '0')}/file-${String(file % FILES_IN_FOLDER).padStart(3, '0')}.yaml`;
}

/** The text of a file; `changes` replaces lines by number. */
export function textOf(file: number, changes: Readonly<Record<number, string>> = {}): string {
  const lines = Array.from({ length: LINES }, (_, line) => changes[line] ?? `key-${line}: value ${line} of file ${file}`);
  return `${lines.join('\n')}\n`;
}

export function data(text: string): string {
  return `data ${Buffer.byteLength(text)}\n${text}\n`;
}

/** One commit of a stream, on top of `from` or of the commit before. */
export function commitText(ref: string, at: number, message: string, files: Readonly<Record<string, string>>, from = ''): string {
  const changes = Object.entries(files).map(([path, text]) => `M 100644 inline ${path}\n${data(text)}`);
  const parent = from === '' ? '' : `from ${from}\n`;
  return `commit ${ref}\ncommitter Ada <ada@example.com> ${at} +0000\n${data(message)}${parent}${changes.join('')}`;
}

function* history(commits: number, files: number): Generator<string> {
  const first = Object.fromEntries(Array.from({ length: files }, (_, file) => [pathOf(file), textOf(file)]));
  yield commitText('refs/heads/main', 1_500_000_000, 'begin\n', first);
  for (let index = 1; index < commits; index += 1) {
    // A step that shares no factor with the number of files goes through all of them.
    const file = (index * 7_919) % files;
    const text = textOf(file, { 0: `key-0: change ${index}` });
    yield commitText('refs/heads/main', 1_500_000_000 + index * 600, `Change ${index}\n`, { [pathOf(file)]: text });
  }
}

/**
 * A fresh copy of a bare repository of so many commits and files, made once and then kept in the cache.
 *
 * @returns whether it had to be made
 */
export async function copyOfHistory(to: string, commits: number, files: number): Promise<boolean> {
  const kept = join(CACHE, `v1-${commits}-${files}.git`);
  const isThere = await access(kept).then(
    () => true,
    () => false,
  );
  if (!isThere) {
    const fresh = `${kept}.new`;
    await rm(fresh, { recursive: true, force: true });
    await mkdir(CACHE, { recursive: true });
    await run('git', ['init', '--quiet', '--bare', '--template=', '--initial-branch=main', fresh], { env: ENVIRONMENT });
    await importStream(fresh, history(commits, files));
    await git(fresh, ['repack', '-a', '-d', '-q', '--write-bitmap-index']);
    await rename(fresh, kept);
  }
  await mkdir(dirname(to), { recursive: true });
  await cp(kept, to, { recursive: true });
  return !isThere;
}
