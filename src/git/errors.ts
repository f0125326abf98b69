import { CodedError } from '../errors.ts';
import type { PushResult } from './port.ts';

/**
 * The one place that reads git's words. Git promises no exit codes beyond "not 0", so its messages (in the C locale)
 * decide what a failure means. What is not recognised stays `git_failed` and is retried.
 */
export interface Failure {
  subcommand: string;
  exitCode: number | null;
  stderr: string;
  /** Texts that must not appear in any error. */
  secrets: readonly string[];
  /** Everything but the signature has been done before: what fails is the signer. */
  signs?: boolean;
}

const REASON_LIMIT = 300;

interface Meaning {
  code: string;
  retryable: boolean;
  pattern: RegExp;
  sentence: string;
}

/** First match wins: a full disk also ends as "index-pack failed", a refused credential as "unable to access". */
const MEANINGS: readonly Meaning[] = [
  {
    code: 'git_disk_full',
    retryable: true,
    pattern: /No space left on device|Disk quota exceeded|file write error|File too large/i,
    sentence: 'The disk of the mirror is full: make room in the data folder.',
  },
  {
    code: 'git_history_refused',
    retryable: false,
    pattern: /fsck error|fetch-pack: invalid index-pack output[^]*fsck|error in object|badGitmodules|contains forbidden/i,
    sentence: 'The remote sent an object that fails the check of git fsck: repair the history of the repository.',
  },
  {
    code: 'git_auth_failed',
    retryable: true,
    pattern:
      /could not read (Username|Password)|Authentication failed|Invalid username or (password|token)|returned error: 40[13]\b|HTTP 40[13]\b|Permission denied \(|access denied|not authori[sz]ed|Permission to \S+ denied/i,
    sentence:
      'The remote refused the credential: check tokenFile (or the ssh key) and what it may do; a new one is read at the next try.',
  },
  {
    code: 'git_host_key_refused',
    retryable: true,
    pattern: /Host key verification failed|No \S+ host key is known/i,
    sentence: 'The host shows a key that is not the known one: compare it, then put it into knownHostsFile.',
  },
  {
    code: 'git_branch_missing',
    retryable: true,
    pattern: /couldn't find remote ref|remote branch \S+ not found/i,
    sentence: 'The remote does not have the branch: check `branch` of the repository.',
  },
  {
    code: 'git_repository_missing',
    retryable: true,
    pattern: /repository '[^']*' not found|returned error: 404\b|does not appear to be a git repository|Repository not found/i,
    sentence: 'The remote does not know the repository, or hides it from this credential: check `url` and the token.',
  },
  {
    code: 'git_unreachable',
    retryable: true,
    pattern:
      /unable to access|Could not resolve host|Failed to connect|Couldn't connect|Connection (refused|reset|closed|timed out)|Operation timed out|hung up unexpectedly|early EOF|RPC failed|unexpected disconnect|Empty reply|Could not read from remote repository|certificate|returned error: (5\d\d|429)\b|Network is unreachable|expected flush after/i,
    sentence: 'The remote did not answer as a Git server should: check the address and the network.',
  },
  {
    code: 'git_mirror_corrupt',
    retryable: true,
    pattern:
      /not a git repository|bad (object|tree|config|index|signature)|(object|packfile|loose object) \S+.* (is corrupt|is empty|is truncated|cannot be accessed|does not match|not found)|unable to (read|parse|find|unpack) (tree|object|blob|commit|sha1|[0-9a-f]{40})|could not (read|parse) |missing (blob|tree|commit|object)|does not point to a valid object|broken ref|invalid sha1 pointer|failed to (read|parse|load|unpack|walk)|Could not read [0-9a-f]{40}|Failed to traverse|remote did not send all necessary objects|revision walk setup failed|inflate: data stream|cannot lock ref|\.lock': File exists|index-pack failed|packed-refs|bad shallow line|Not a valid (commit|object) name [0-9a-f]{40}(?![0-9a-f:])/i,
    sentence: 'The local mirror is damaged: it is thrown away and cloned anew at the next try.',
  },
];

/** Nothing else happens in such a call. */
const SIGNING: readonly Meaning[] = [
  ...MEANINGS.filter(({ code }) => code === 'git_disk_full'),
  {
    code: 'git_signing_failed',
    retryable: true,
    pattern: /(?:)/,
    sentence:
      'The commit could not be signed, so there is none: check the key of `signing` (no passphrase, readable for davylamp alone).',
  },
];

/**
 * Takes secrets and credentials in URLs and headers out of a text, so that it may be shown.
 */
export function scrub(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets) {
    if (secret !== '') clean = clean.replaceAll(secret, '***').replaceAll(encodeURIComponent(secret), '***');
  }
  return clean.replaceAll(/:\/\/[^/\s@]*@/g, '://***@').replaceAll(/(authorization:)[^\n]*/gi, '$1 ***');
}

/** The lines that tell most, on one line, without control and invisible characters, secrets or more than a screen line or three. */
function reasonOf(text: string, secrets: readonly string[]): string {
  const lines = scrub(text, secrets)
    .split('\n')
    .map((line) => line.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ').trim())
    .filter((line) => line !== '' && !line.startsWith('hint:'));
  const telling = lines.filter((line) => /^(fatal|error|remote):/.test(line));
  return (telling.length > 0 ? telling : lines).join('; ').slice(0, REASON_LIMIT);
}

/**
 * What the end of a git process means.
 *
 * Lines of the remote (`remote: ...`) are left out of the decision: a server's damaged disk must not make us throw
 * our mirror away, and what a hook prints is not ours to interpret.
 */
export function gitError(failure: Failure): CodedError {
  const local = failure.stderr
    .split('\n')
    .filter((line) => !line.startsWith('remote: '))
    .join('\n');
  const details = {
    subcommand: failure.subcommand,
    exitCode: failure.exitCode,
    reason: reasonOf(failure.stderr, failure.secrets),
  };
  for (const meaning of failure.signs === true ? SIGNING : MEANINGS) {
    if (meaning.pattern.test(local)) {
      return new CodedError(meaning.code, meaning.sentence, { retryable: meaning.retryable, details });
    }
  }
  return new CodedError('git_failed', `git ${failure.subcommand} failed: ${details.reason || 'it gave no reason'}.`, {
    retryable: true,
    details,
  });
}

const RACE = /fetch first|non-fast-forward|needs force|stale info|cannot lock ref|failed to update ref|incorrect old value/i;
const NO_RACE = /exists; cannot create|Permission denied|Read-only file system|No space left/i;
const REMOTE_FULL = /No space left on device|Disk quota exceeded|out of disk space/i;
/**
 * How forges say that a branch takes no direct push: GitHub (GH006 for protected branches, GH013 for rule sets), GitLab,
 * Gitea and Forgejo, Azure DevOps, Bitbucket.
 */
const PROTECTED =
  /\bGH0(06|13)\b|protected branch|TF402455|(modified|made|merged|changed) (only )?through (a )?(pull|merge) request|must use a pull request/i;
const SERVER_TROUBLE = /unpacker error|unpack failed|internal server error|failed to report status|timed? ?out|No space left/i;

/**
 * Reads the answer of `git push --porcelain` for one ref (git-push(1), OUTPUT: flag, from:to, summary, by tabs).
 *
 * @returns null when there is no line for the ref, which means that the connection broke before an answer
 * @throws CodedError `git_branch_protected` when the branch takes changes by a pull request only, `git_push_refused` when
 *   the remote says no for another reason, `git_remote_full` and `git_unreachable` when it is in trouble
 */
export function readPush(push: Failure & { stdout: string }, ref: string): PushResult | null {
  for (const line of push.stdout.split('\n')) {
    const [flag, fromTo, summary] = line.split('\t');
    if (fromTo === undefined || !fromTo.endsWith(`:${ref}`)) continue;
    if (flag === '=') return 'up_to_date';
    if (flag === ' ' || flag === '*') return 'pushed';
    const details = { reason: reasonOf(`${summary ?? ''}\n${remoteLines(push.stderr)}`, push.secrets) };
    const why = summary ?? '';
    if (RACE.test(why) && !NO_RACE.test(push.stderr)) return 'race';
    const said = `${why}\n${remoteLines(push.stderr)}`;
    if (REMOTE_FULL.test(said)) {
      throw new CodedError('git_remote_full', 'The disk of the remote is full: make room there.', { retryable: true, details });
    }
    if (PROTECTED.test(said)) {
      const sentence = `The remote takes no direct push to this branch: ${details.reason}.`;
      throw new CodedError('git_branch_protected', sentence, { details });
    }
    if (SERVER_TROUBLE.test(why)) {
      throw new CodedError('git_unreachable', 'The remote could not store the push; look at its log.', {
        retryable: true,
        details,
      });
    }
    throw new CodedError('git_push_refused', `The remote refused the push: ${details.reason}.`, { details });
  }
  return null;
}

/** git's own remarks on objects, which may push what a hook says out of sight. */
const OBJECT_REMARK = /^remote: warning: object [0-9a-f]+: /;

/** What the remote's hooks said to the person who pushes. */
function remoteLines(stderr: string): string {
  return stderr
    .split('\n')
    .filter((line) => line.startsWith('remote: ') && !OBJECT_REMARK.test(line))
    .map((line) => line.slice('remote: '.length))
    .join('\n');
}

/**
 * Reads `git version 2.39.5 (...)`.
 *
 * @throws CodedError `git_too_old`
 */
export function readVersion(stdout: string, needed: readonly [number, number]): string {
  const match = /git version (\d+)\.(\d+)[^\s]*/.exec(stdout);
  const [major, minor] = [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
  if (match === null || major < needed[0] || (major === needed[0] && minor < needed[1])) {
    throw new CodedError('git_too_old', `git ${needed.join('.')} or newer is needed: install it or put it first on PATH.`, {
      details: { found: stdout.trim().slice(0, 100) },
    });
  }
  return match[0].slice('git version '.length);
}
