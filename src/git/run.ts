import { spawn, type ChildProcess } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError } from '../errors.ts';
import { gitError, readVersion } from './errors.ts';

/** The only place that starts git: no shell, an environment made from nothing, a time limit, bounded output. */

/** Nothing else is ever run; none of them checks files out, runs filters or reads a work tree. */
const SUBCOMMANDS = [
  'cat-file',
  'commit-tree',
  'diff-tree',
  'fast-import',
  'fetch',
  'init',
  'log',
  'ls-remote',
  'ls-tree',
  'merge-base',
  'merge-tree',
  'push',
  'repack',
  'rev-list',
  'rev-parse',
  'version',
] as const;
export type Subcommand = (typeof SUBCOMMANDS)[number];

/** `merge-tree --write-tree` came with 2.38. */
export const NEEDED_VERSION: readonly [number, number] = [2, 38];

const STDOUT_LIMIT = 16 * 1024 * 1024;
/** The end of stderr is kept: the fatal line stands there. */
const STDERR_LIMIT = 64 * 1024;
const VERSION_TIMEOUT_MS = 10_000;
/** git removes its lock files on SIGTERM; what still runs after this gets SIGKILL. */
const GRACE_MS = 2_000;
/** A process that left the group may hold the pipes open after git itself has ended. */
const PIPE_GRACE_MS = 1_000;
/** A transfer slower than this many bytes a second for so many seconds has died. */
const LOW_SPEED = { bytes: '100', seconds: '20' };

/** What of the machine's environment reaches git: how to find programs and how to get out of the network. */
const KEPT = ['SSH_AUTH_SOCK', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'HTTPS_PROXY', 'https_proxy', 'NO_PROXY', 'no_proxy'];

const CONFIG: Readonly<Record<string, string>> = {
  'core.hooksPath': '/dev/null',
  'core.fsmonitor': 'false',
  'credential.helper': '',
  'gc.auto': '0',
  'maintenance.auto': 'false',
  'init.defaultBranch': 'main',
  'protocol.ext.allow': 'never',
  'transfer.fsckObjects': 'true',
  // Harmless faults of old programs that stand in the history of many honest repositories.
  'fetch.fsck.zeroPaddedFilemode': 'warn',
  'fetch.fsck.badTimezone': 'warn',
  'fetch.fsck.missingSpaceBeforeDate': 'warn',
  // Packs are joined now and then; single objects would pile up.
  'fetch.unpackLimit': '1',
  'http.followRedirects': 'false',
  'http.lowSpeedLimit': LOW_SPEED.bytes,
  'http.lowSpeedTime': LOW_SPEED.seconds,
};

export interface GitPlace {
  /** HOME of git: an empty folder of our own. */
  home: string;
  /** The repository; null for commands that need none. */
  gitDir: string | null;
  /** Where programs are looked for; the PATH of this process when null. */
  searchPath: string | null;
  /** `file` lets tests use a folder as remote. */
  alsoAllow: 'file' | null;
}

/** Author and committer of a commit, and when. */
export interface Stamp {
  name: string;
  email: string;
  atSeconds: number;
}

export interface GitCall {
  subcommand: Subcommand;
  args: readonly string[];
  /** Written to standard input. */
  input?: string | Buffer;
  /** `latin1` keeps every byte of the output apart, as paths need not be UTF-8. */
  encoding?: 'utf8' | 'latin1';
  /** Configuration of this one call, secrets included: it travels in the environment, never in the arguments. */
  config?: Readonly<Record<string, string>>;
  /** More of the environment of this one call: where a signer finds its keys. */
  environment?: Readonly<Record<string, string>>;
  /** What git reads as the user's own file of attributes (gitattributes(5)); none when it is empty. */
  attributes?: string;
  /** A failure is the signer's. */
  signs?: boolean;
  /** Taken out of every error. */
  secrets?: readonly string[];
  /** Who and when, for `commit-tree`. */
  stamp?: Stamp;
  timeoutMs: number;
  /** Exit codes that are answers, not failures. */
  answers?: readonly number[];
  /** fail: more output than `maxBytes` is an error; cut: git is stopped there. */
  overflow?: 'fail' | 'cut';
  maxBytes?: number;
  signal: AbortSignal;
}

export interface GitAnswer {
  exitCode: number;
  stdout: string;
  stderr: string;
}

let attributeFiles = 0;

/** Runs a call with its attributes in a file; git reads them from nowhere else. */
async function withAttributes(place: GitPlace, call: GitCall): Promise<GitAnswer> {
  attributeFiles += 1;
  const file = join(place.home, `attributes-${process.pid}-${attributeFiles}`);
  const { attributes = '', ...rest } = call;
  try {
    await writeFile(file, attributes, { mode: 0o600 });
    return await runGit(place, { ...rest, config: { ...call.config, 'core.attributesFile': file } });
  } finally {
    await rm(file, { force: true });
  }
}

/** The environment of a git process: only what stands here. */
function environment(place: GitPlace, call: GitCall): Record<string, string> {
  const env: Record<string, string> = {
    PATH: place.searchPath ?? process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
    HOME: place.home,
    // A signer is handed the commit in a temporary file.
    TMPDIR: place.home,
    LC_ALL: 'C',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_SYSTEM: '/dev/null',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_NO_REPLACE_OBJECTS: '1',
    // Paths are names, never patterns.
    GIT_LITERAL_PATHSPECS: '1',
    GIT_SSH_COMMAND: 'ssh -o BatchMode=yes -o StrictHostKeyChecking=yes',
    GIT_ALLOW_PROTOCOL: place.alsoAllow === null ? 'https:http:ssh' : `https:http:ssh:${place.alsoAllow}`,
  };
  if (place.gitDir !== null) env['GIT_DIR'] = place.gitDir;
  for (const name of KEPT) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  if (call.stamp !== undefined) {
    const date = `@${call.stamp.atSeconds} +0000`;
    for (const role of ['AUTHOR', 'COMMITTER']) {
      env[`GIT_${role}_NAME`] = call.stamp.name;
      env[`GIT_${role}_EMAIL`] = call.stamp.email;
      env[`GIT_${role}_DATE`] = date;
    }
  }
  Object.assign(env, call.environment);
  const config = Object.entries({ ...CONFIG, ...call.config });
  env['GIT_CONFIG_COUNT'] = String(config.length);
  config.forEach(([key, value], index) => {
    env[`GIT_CONFIG_KEY_${index}`] = key;
    env[`GIT_CONFIG_VALUE_${index}`] = value;
  });
  return env;
}

/** Signals git and everything that it started (`git-remote-http`, `ssh`); they are one process group. */
function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    // The group has ended in the meantime.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * Runs one git command to its end.
 *
 * @throws CodedError `git_timeout`, `git_missing`, `git_output_too_large`, and what `gitError` makes of a failure
 * @throws the signal's reason when it is aborted
 */
export async function runGit(place: GitPlace, call: GitCall): Promise<GitAnswer> {
  if (!SUBCOMMANDS.includes(call.subcommand)) {
    throw new CodedError('git_argument_refused', `git ${String(call.subcommand)} is not one of the commands that are run.`);
  }
  if (call.args.some((argument) => argument.includes('\0'))) {
    throw new CodedError('git_argument_refused', 'An argument for git holds a NUL character.');
  }
  call.signal.throwIfAborted();
  if (call.attributes !== undefined && call.attributes !== '') return withAttributes(place, call);

  const child = spawn('git', [call.subcommand, ...call.args], {
    cwd: '/',
    env: environment(place, call),
    // A group (and session) of its own: the whole of it can be ended, and nothing in it has a terminal to ask on.
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });

  const maxBytes = call.maxBytes ?? STDOUT_LIMIT;
  const chunks: Buffer[] = [];
  let size = 0;
  let stderr = '';
  let stopped: 'timeout' | 'aborted' | 'overflow' | null = null;
  const timers = new Set<NodeJS.Timeout>();

  const stop = (why: NonNullable<typeof stopped>): void => {
    if (stopped !== null) return;
    stopped = why;
    signalGroup(child, 'SIGTERM');
    timers.add(setTimeout(() => signalGroup(child, 'SIGKILL'), GRACE_MS));
  };
  const onAbort = (): void => stop('aborted');
  call.signal.addEventListener('abort', onAbort, { once: true });
  timers.add(setTimeout(() => stop('timeout'), call.timeoutMs));

  child.stdout.on('data', (chunk: Buffer) => {
    const room = maxBytes - size;
    if (chunk.length > room) stop('overflow');
    if (room > 0) chunks.push(chunk.subarray(0, room));
    size += chunk.length;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-STDERR_LIMIT);
  });
  // git may end without having read its input; its exit code tells what happened.
  child.stdin.on('error', () => undefined);
  child.stdin.end(call.input ?? '');

  let exitCode: number | null;
  try {
    exitCode = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', () => {
        timers.add(
          setTimeout(() => {
            child.stdout.destroy();
            child.stderr.destroy();
          }, PIPE_GRACE_MS),
        );
      });
      child.once('close', resolve);
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new CodedError('git_missing', 'git was not found: install git 2.38 or newer and put it on PATH.', { cause: error });
  } finally {
    for (const timer of timers) clearTimeout(timer);
    call.signal.removeEventListener('abort', onAbort);
  }

  const cause = stopped as 'timeout' | 'aborted' | 'overflow' | null;
  if (cause === 'aborted') call.signal.throwIfAborted();
  if (cause === 'timeout') {
    throw new CodedError('git_timeout', `git ${call.subcommand} took longer than ${call.timeoutMs / 1000} s and was stopped.`, {
      retryable: true,
      details: { subcommand: call.subcommand, timeoutMs: call.timeoutMs },
    });
  }
  const stdout = Buffer.concat(chunks).toString(call.encoding ?? 'utf8');
  if (cause === 'overflow') {
    if (call.overflow === 'cut') return { exitCode: 0, stdout, stderr };
    throw new CodedError('git_output_too_large', `git ${call.subcommand} printed more than ${maxBytes} bytes.`, {
      details: { subcommand: call.subcommand },
    });
  }
  if (exitCode !== null && (call.answers ?? [0]).includes(exitCode)) return { exitCode, stdout, stderr };
  throw gitError({ subcommand: call.subcommand, exitCode, stderr, secrets: call.secrets ?? [], signs: call.signs ?? false });
}

/**
 * The version of git that would be used; asked once at start.
 *
 * @throws CodedError `git_missing`, `git_too_old`
 */
export async function checkGit(place: Pick<GitPlace, 'home' | 'searchPath'>, signal: AbortSignal): Promise<string> {
  const answer = await runGit(
    { home: place.home, gitDir: null, searchPath: place.searchPath, alsoAllow: null },
    { subcommand: 'version', args: [], timeoutMs: VERSION_TIMEOUT_MS, signal },
  );
  return readVersion(answer.stdout, NEEDED_VERSION);
}
