import { createHash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { CodedError, codeOf } from '../errors.ts';
import { Attributes } from './attributes.ts';
import type { LocalGit } from './deltas.ts';
import { filesIn, isFolder } from './files.ts';
import { Known } from './known.ts';
import { isCommitId } from './names.ts';
import { runGit, type GitAnswer, type GitCall, type GitPlace } from './run.ts';
import type { SshConfig } from './schema.ts';
import { Scratch } from './scratch.ts';
import { sshEnvironment } from './ssh.ts';
import { abortable, Turns } from './turns.ts';

export interface Credential {
  username: string;
  token: string;
}

export interface MirrorLog {
  info(facts: Record<string, unknown>, sentence: string): void;
  warn(facts: Record<string, unknown>, sentence: string): void;
}

/** Time limits, in milliseconds. */
export interface Limits {
  localMs: number;
  fetchMs: number;
  /** The first fetch, which brings the whole history. */
  cloneMs: number;
  pushMs: number;
}

export interface CloneOptions {
  /** Name of the repository, for the log. */
  name: string;
  url: URL;
  branch: string;
  folder: string;
  credential: () => Promise<Credential | null>;
  ssh: SshConfig | null;
  log: MirrorLog;
  clock: Clock;
  limits: Limits;
  searchPath: string | null;
  alsoAllow: 'file' | null;
}

/** Name of the remote in git's configuration: a constant, so that neither address nor name is ever an argument. */
export const REMOTE = 'o';

/** Every fetch that brings something leaves a pack behind; above this many the small ones are joined. */
const PACKS = 50;

/** What a killed git may leave behind in the folder of the mirror; each of them would stop every later fetch. */
const LOCKS = ['packed-refs', 'shallow', 'config', 'HEAD'];
const CRASH_REPORT = 'fast_import_crash_';
const LOCKED = /cannot lock ref|\.lock': File exists/;
const FETCH = ['--no-tags', '--no-auto-maintenance', '--no-write-fetch-head', '--no-recurse-submodules'];
/** Where other branches of the remote are kept that were looked at. */
const OTHERS = 'refs/davylamp/others';

/**
 * The kept bare clone on disk: made, fetched, mended, and asked for commits.
 *
 * A clone that git finds damaged is thrown away and fetched anew by the next `refresh`; unpushed commits in it are lost,
 * which is harmless as they can be made again, id by id.
 */
export class Clone {
  /** Fetch, revert and push take turns; reads may run at any time. */
  readonly turns = new Turns();
  readonly #options: CloneOptions;
  readonly #place: GitPlace & { gitDir: string };
  readonly #closing = new AbortController();
  readonly #scratch: Scratch;
  readonly #sshEnvironment: Record<string, string>;
  /** A fetch that has its place in the queue and has not begun: whoever asks now may share it. */
  #nextFetch: Promise<{ head: string }> | null = null;
  #isOpen = false;
  #isDamaged = false;
  /** Head whose whole history was walked without a fault. */
  #walkedHead = '';
  /** The head as it was fetched last; null when it has to be read. */
  #head: string | null = null;
  readonly known = new Known();
  /** When the last fetch that succeeded began. */
  #fetchedAt = -Infinity;
  /** Commit that was pushed to the branch after the last fetch; it is not in the mirror itself yet. */
  #pushedHead: string | null = null;
  #attributes = new Attributes();
  /** Counts the mirrors that stood in this folder: a fault of an earlier one says nothing of this one. */
  #generation = 0;

  constructor(options: CloneOptions) {
    this.#options = options;
    // As many listeners as there are callers, each gone with its call: more than ten are no leak.
    setMaxListeners(0, this.#closing.signal);
    const id = createHash('sha256').update(options.url.href).digest('hex').slice(0, 16);
    this.#place = {
      home: join(options.folder, 'home'),
      gitDir: join(options.folder, `${id}.git`),
      searchPath: options.searchPath,
      alsoAllow: options.alsoAllow,
    };
    this.#scratch = new Scratch(join(options.folder, `${id}.scratch`), join(this.#place.gitDir, 'objects'));
    this.#sshEnvironment = sshEnvironment(options.ssh);
  }

  /** Makes or mends the clone and fetches the branch. A caller who gives up does not stop the fetch of the others. */
  async refresh(signal: AbortSignal): Promise<{ head: string }> {
    signal.throwIfAborted();
    this.#nextFetch ??= this.turns.take(() => {
      this.#nextFetch = null;
      return this.#refreshInTurn();
    }, this.#closing.signal);
    return abortable(this.#nextFetch, signal);
  }

  /** Whether the mirror is as new as that, in milliseconds. */
  fetchedWithin(recent: number): boolean {
    return this.#options.clock.now() - this.#fetchedAt < recent;
  }

  /** The fetched branch head; makes and fetches the mirror when there is none yet, and a damaged one anew. */
  async ready(signal: AbortSignal): Promise<string> {
    if (!this.#isOpen) await this.turns.take(() => this.#open(), this.#closing.signal);
    const head = this.#isDamaged ? null : await this.readHead(signal);
    return head ?? (await this.refresh(signal)).head;
  }

  /** Ends a running fetch and waits for whoever has a turn. */
  async close(): Promise<void> {
    this.#closing.abort(new CodedError('git_closed', `The mirror of ${this.#options.name} is closed.`, { retryable: true }));
    await this.turns.idle();
  }

  async #refreshInTurn(): Promise<{ head: string }> {
    const signal = this.#closing.signal;
    const began = this.#options.clock.now();
    if (this.#isDamaged) await this.#discard('it was found damaged');
    let head: string;
    try {
      head = await this.#fetch(signal);
    } catch (error) {
      if (codeOf(error) !== 'git_mirror_corrupt') throw error;
      head = await this.#mend(error instanceof CodedError ? String(error.details['reason']) : '', signal);
    }
    this.#pushedHead = null;
    this.#fetchedAt = began;
    this.known.noteOnBranch(head);
    await this.#joinPacks(signal);
    this.#options.log.info(
      { repository: this.#options.name, head, ms: this.#options.clock.now() - began },
      'fetched the repository',
    );
    return { head };
  }

  /** A lock that nobody holds is taken away; everything else is cloned anew. */
  async #mend(reason: string, signal: AbortSignal): Promise<string> {
    if (LOCKED.test(reason)) {
      this.#isOpen = false;
      this.#isDamaged = false;
      try {
        return await this.#fetch(signal);
      } catch (error) {
        if (codeOf(error) !== 'git_mirror_corrupt') throw error;
      }
    }
    await this.#discard(reason);
    return this.#fetch(signal);
  }

  async #fetch(signal: AbortSignal): Promise<string> {
    await this.#open();
    const isFirst = (await this.#fetchedHead(signal)) === null;
    this.#head = null;
    await this.network(
      {
        subcommand: 'fetch',
        args: [...FETCH, '--no-show-forced-updates', '--end-of-options', REMOTE],
      },
      isFirst ? this.#options.limits.cloneMs : this.#options.limits.fetchMs,
      signal,
    );
    const head = await this.#fetchedHead(signal);
    if (head === null) throw this.damaged('it has no branch head after a fetch');
    return head;
  }

  /** The last commit of another branch, fetched; null when the remote has no such branch. To be called by whoever has the turn. */
  async tip(branch: string, signal: AbortSignal): Promise<string | null> {
    // A pattern that fits nothing is no error, and what the remote no longer has is taken away.
    const refspec = `+refs/heads/${branch}*:${OTHERS}/${branch}*`;
    const args = [...FETCH, '--prune', '--end-of-options', REMOTE, refspec];
    await this.network({ subcommand: 'fetch', args }, this.#options.limits.fetchMs, signal);
    return this.#verify(`${OTHERS}/${branch}`, signal);
  }

  /** Maintenance by ourselves, at a moment of our choice; a geometric repack touches only the small packs (git-repack(1)). */
  async #joinPacks(signal: AbortSignal): Promise<void> {
    const packs = (await filesIn(join(this.#place.gitDir, 'objects', 'pack'))).filter((file) => file.endsWith('.pack'));
    if (packs.length <= PACKS) return;
    await this.#run({ subcommand: 'repack', args: ['-d', '-l', '-q', '--geometric=2'] }, signal);
  }

  /** Makes the bare repository, or takes away what a killed git left in it: its locks would stop every later fetch. */
  async #open(): Promise<void> {
    if (this.#isOpen) return;
    const { gitDir, home } = this.#place;
    await mkdir(home, { recursive: true, mode: 0o700 });
    if (await isFolder(gitDir)) {
      for (const lock of [`refs/remotes/${REMOTE}/${this.#options.branch}`, ...LOCKS]) {
        await rm(join(gitDir, `${lock}.lock`), { force: true });
      }
      await removeFiles(join(gitDir, 'objects', 'pack'), 'tmp_');
      await removeFiles(gitDir, CRASH_REPORT);
    } else {
      await runGit(
        { ...this.#place, gitDir: null },
        {
          subcommand: 'init',
          args: ['--quiet', '--bare', '--template=', '--', gitDir],
          timeoutMs: this.#options.limits.localMs,
          signal: this.#closing.signal,
        },
      );
    }
    await this.#scratch.begin();
    this.#isOpen = true;
  }

  async #discard(reason: string): Promise<void> {
    this.#options.log.warn({ repository: this.#options.name, reason }, 'the mirror is thrown away and cloned anew');
    await rm(this.#place.gitDir, { recursive: true, force: true });
    await this.#scratch.clear();
    this.#isOpen = false;
    this.#isDamaged = false;
    this.#walkedHead = '';
    this.#head = null;
    this.known.clear();
    this.#fetchedAt = -Infinity;
    this.#pushedHead = null;
    this.#attributes = new Attributes();
    this.#generation += 1;
  }

  /** Notes that the clone cannot be used, and makes the error that says so. */
  damaged(reason: string): CodedError {
    this.#isDamaged = true;
    return new CodedError(
      'git_mirror_corrupt',
      'The local mirror is damaged: it is thrown away and cloned anew at the next try.',
      {
        retryable: true,
        details: { reason },
      },
    );
  }

  /** The branch head as it was fetched, or pushed by ourselves, last; null when nothing was fetched yet. */
  async readHead(signal: AbortSignal): Promise<string | null> {
    return this.#pushedHead ?? this.#fetchedHead(signal);
  }

  /** To be told of a push, which is the newest knowledge of the branch until the next fetch. */
  notePushed(commit: string): void {
    this.#pushedHead = commit;
  }

  /** To be called before each commit that is computed. */
  async prepare(): Promise<void> {
    // What was pushed and not fetched is nowhere else.
    if (this.#pushedHead === null) await this.#scratch.prepare();
  }

  async #fetchedHead(signal: AbortSignal): Promise<string | null> {
    this.#head ??= await this.#verify(`refs/remotes/${REMOTE}/${this.#options.branch}`, signal);
    return this.#head;
  }

  /** Full id of a commit in the mirror; null when it is not there, or when an abbreviation fits several. */
  async lookUp(revision: string, signal: AbortSignal): Promise<string | null> {
    if (!isCommitId(revision)) throw unknownCommit(revision, 'give a commit id of seven digits or more');
    return this.#verify(revision.toLowerCase(), signal);
  }

  async #verify(name: string, signal: AbortSignal): Promise<string | null> {
    const args = ['--verify', '--quiet', '--end-of-options', `${name}^{commit}`];
    const answer = await this.local({ subcommand: 'rev-parse', args, answers: [0, 1] }, signal);
    return answer.exitCode === 0 ? answer.stdout.trim() : null;
  }

  /** As `lookUp`, with a fetch when the mirror does not know the commit. @throws CodedError `commit_unknown` */
  async find(revision: string, signal: AbortSignal): Promise<string> {
    const known = this.known.isHere(revision) ? revision : await this.lookUp(revision, signal);
    if (known !== null) return known;
    const { head } = await this.refresh(signal);
    const fetched = await this.lookUp(revision, signal);
    if (fetched !== null) return fetched;
    await this.#walk(head, signal);
    throw unknownCommit(revision, 'check the revision that is reported (in full), the repository and the branch');
  }

  /**
   * A mirror that has lost a pack can look complete: git fetches nothing when it has the head. Before a commit is called
   * unknown, which is final, the history is walked once for each head.
   */
  async #walk(head: string, signal: AbortSignal): Promise<void> {
    if (this.#walkedHead === head) return;
    await this.local({ subcommand: 'rev-list', args: ['--count', '--end-of-options', head, '--'] }, signal);
    this.#walkedHead = head;
  }

  /** Whether one commit of the clone is, or is an ancestor of, another; full ids. */
  async isAncestor(ancestor: string, descendant: string, signal: AbortSignal): Promise<boolean> {
    const known = this.known.isAncestor(ancestor, descendant);
    if (known !== undefined) return known;
    const args = ['--is-ancestor', '--end-of-options', ancestor, descendant];
    const isSo = (await this.local({ subcommand: 'merge-base', args, answers: [0, 1] }, signal)).exitCode === 0;
    this.known.noteAncestor(ancestor, descendant, isSo);
    return isSo;
  }

  /** See `Attributes`; to be called by whoever has the turn. */
  readonly attributesOf = (git: LocalGit, commit: string): Promise<string> =>
    this.#attributes.of(git, commit, commit === this.#head);

  /** Runs a command that needs nothing but the clone and the commits that were computed on it. */
  async local(call: Omit<GitCall, 'timeoutMs' | 'signal'>, signal: AbortSignal): Promise<GitAnswer> {
    try {
      return await this.#run({ ...call, environment: { ...this.#scratch.environment(), ...call.environment } }, signal);
    } catch (error) {
      // A full disk would be filled further, one report for each try.
      if (call.subcommand === 'fast-import') await removeFiles(this.#place.gitDir, CRASH_REPORT);
      throw error;
    }
  }

  /** Runs a command on the clone alone. */
  async #run(call: Omit<GitCall, 'timeoutMs' | 'signal'>, signal: AbortSignal): Promise<GitAnswer> {
    const generation = this.#generation;
    try {
      return await runGit(this.#place, { ...call, timeoutMs: this.#options.limits.localMs, signal });
    } catch (error) {
      throw this.#noteDamage(error, generation);
    }
  }

  #noteDamage(error: unknown, generation: number): unknown {
    if (codeOf(error) === 'git_mirror_corrupt' && generation === this.#generation) this.#isDamaged = true;
    return error;
  }

  /** Runs a command that speaks to the remote; the credential is read for it alone and travels in git's environment. */
  async network(
    call: Pick<GitCall, 'subcommand' | 'args' | 'answers'>,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<{ answer: GitAnswer; secrets: string[] }> {
    const isFetch = call.subcommand === 'fetch';
    const config: Record<string, string> = { [`remote.${REMOTE}.url`]: this.#options.url.href };
    // A push that knew of the tracked branch would move it to a commit that the mirror itself does not hold.
    if (isFetch) {
      config[`remote.${REMOTE}.fetch`] = `+refs/heads/${this.#options.branch}:refs/remotes/${REMOTE}/${this.#options.branch}`;
    }
    const authorization = authorizationFor(this.#options.url, await this.#options.credential());
    const { secrets } = authorization;
    Object.assign(config, authorization.config);
    const environment = { ...this.#sshEnvironment, ...(isFetch ? {} : this.#scratch.environment()) };
    const generation = this.#generation;
    try {
      return { answer: await runGit(this.#place, { ...call, config, secrets, environment, timeoutMs, signal }), secrets };
    } catch (error) {
      throw this.#noteDamage(error, generation);
    }
  }
}

async function removeFiles(folder: string, prefix: string): Promise<void> {
  for (const file of (await filesIn(folder)).filter((name) => name.startsWith(prefix))) {
    await rm(join(folder, file), { force: true });
  }
}

/** Configuration that lets git in at one address, and what of it must not appear in any error. */
export function authorizationFor(url: URL, credential: Credential | null): { config: Record<string, string>; secrets: string[] } {
  if (credential === null) return { config: {}, secrets: [] };
  const basic = Buffer.from(`${credential.username}:${credential.token}`, 'utf8').toString('base64');
  return { config: { [`http.${url.href}.extraHeader`]: `Authorization: Basic ${basic}` }, secrets: [basic, credential.token] };
}

export function unknownCommit(revision: string, what: string): CodedError {
  return new CodedError('commit_unknown', `The repository does not have this commit: ${what}.`, {
    details: { revision: revision.slice(0, 100) },
  });
}
