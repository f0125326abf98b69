import { CodedError } from '../errors.ts';

/**
 * What may reach git's command line. Everything here is decided before a process is started; git's own checks come
 * on top (`git check-ref-format` alone accepts `refs/heads/-x`, which a later command would read as an option).
 */

/** Shortest abbreviation of a commit id that is looked up; git itself prints seven digits at least. */
export const SHORTEST_ABBREVIATION = 7;

const BRANCH = /^[A-Za-z0-9._/-]{1,200}$/;
const COMMIT = new RegExp(`^[0-9a-f]{${SHORTEST_ABBREVIATION},64}$`, 'i');
const ROLLBACK = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$/;
const EMAIL = /^[A-Za-z0-9][^\s<>\p{Cc}]*@[^\s<>\p{Cc}]*[A-Za-z0-9]$/u;
const NAME = /^[^<>\p{Cc}]*[\p{L}\p{N}][^<>\p{Cc}]*$/u;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

function refused(what: string, rule: string): CodedError {
  return new CodedError('git_argument_refused', `${what} is refused: ${rule}.`);
}

/**
 * Checks the short name of a branch (`main`, `davylamp/rollback-1`); a leading `refs/heads/` is taken off.
 *
 * @throws CodedError `git_argument_refused`
 */
export function branchName(value: string): string {
  const name = value.startsWith('refs/heads/') ? value.slice('refs/heads/'.length) : value;
  const parts = name.split('/');
  const isPlain =
    BRANCH.test(name) &&
    name !== 'HEAD' &&
    !name.startsWith('refs/') &&
    !name.includes('..') &&
    parts.every((part) => part !== '' && !/^[.-]/.test(part) && !part.endsWith('.') && !part.endsWith('.lock'));
  if (!isPlain) {
    throw refused('The branch name', 'use letters, digits, ".", "_", "-" and "/", no part that begins with "-" or "."');
  }
  return name;
}

/** Whether the text is a commit id or an abbreviation of one; names of branches and tags are not looked up. */
export function isCommitId(value: string): boolean {
  return COMMIT.test(value);
}

export function isRollbackId(value: string): boolean {
  return ROLLBACK.test(value);
}

/** @throws CodedError `git_argument_refused` when the id of a rollback could mean something else to git */
export function rollbackId(value: string): string {
  if (!isRollbackId(value)) throw refused('The id of the rollback', 'use letters, digits, ".", "_", ":" and "-"');
  return value;
}

const PATH_LIMIT = 4_096;
/** What HFS+ and NTFS leave out of a name, so that another name is `.git` there (git-fsck(1), hasDotgit). */
const UNSEEN_IN_NAMES = /[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]|[ .]+$/g;

/**
 * Checks the path of a file that is written, in git's own form.
 *
 * @throws CodedError `git_argument_refused`
 */
export function filePath(value: string): string {
  const isPlain = value.split('/').every((part) => {
    return part !== '' && part !== '.' && part !== '..' && !/^(\.git|git~1)$/i.test(part.replaceAll(UNSEEN_IN_NAMES, ''));
  });
  if (!isPlain || value.length > PATH_LIMIT || value.includes('\0')) {
    throw refused('The path of a file', 'give it from the root of the repository, without "..", "." or ".git"');
  }
  return value;
}

/**
 * Checks a repository's address: https, ssh, or http on loopback; no password in it (and no user name unless ssh).
 * `file` is for tests, which say so.
 *
 * @throws CodedError `git_argument_refused`
 */
export function repositoryUrl(value: string, also: 'file' | null): URL {
  let url: URL;
  try {
    url = new URL(value);
  } catch (error) {
    throw new CodedError('git_argument_refused', 'The address of the repository is not a URL.', { cause: error });
  }
  const protocols = also === null ? ['https:', 'http:', 'ssh:'] : ['https:', 'http:', 'ssh:', `${also}:`];
  if (!protocols.includes(url.protocol)) throw refused('The address of the repository', 'use https:// or ssh://');
  if (url.protocol === 'http:' && !LOOPBACK.test(url.hostname)) {
    throw refused('The address of the repository', 'http:// is for loopback only, use https://');
  }
  if (url.password !== '' || (url.username !== '' && url.protocol !== 'ssh:')) {
    throw refused('The address of the repository', 'put the credential into tokenFile, not into the address');
  }
  if (url.hostname.startsWith('-') || url.username.startsWith('-') || /\p{Cc}|\s/u.test(value)) {
    throw refused('The address of the repository', 'it holds characters that have no place in an address');
  }
  return url;
}

export interface Identity {
  name: string;
  email: string;
}

/** What git leaves out at both ends of a name (git-commit-tree(1), COMMIT INFORMATION). */
const AROUND_NAMES = /^[\s.,:;<>"\\']+|[\s.,:;<>"\\']+$/g;

/**
 * Git drops characters from a name or an email without a word; a trailer scan by email would then miss our own commits, and
 * two ways to write a commit would not write the same one.
 *
 * @throws CodedError `git_argument_refused`
 */
export function identity(author: Identity): Identity {
  if (!NAME.test(author.name) || !EMAIL.test(author.email)) {
    throw refused('The author of the commits', 'give a name and an address such as davylamp@example.com');
  }
  return { name: author.name.replaceAll(AROUND_NAMES, ''), email: author.email };
}
