import { systemClock, type Clock } from '../clock.ts';
import { CodedError, codeOf } from '../errors.ts';
import { Clone, REMOTE, unknownCommit, type Credential, type Limits, type MirrorLog } from './clone.ts';
import { gitError, readPush } from './errors.ts';
import { branchName, identity, isRollbackId, repositoryUrl, rollbackId, type Identity } from './names.ts';
import type { CommitFacts, OwnRollback, PushResult, Repository, RevertOrder, RevertResult } from './port.ts';
import { revertOn } from './revert.ts';

export interface RepositoryOptions {
  name: string;
  /** https:// or ssh://, http:// on loopback; without a credential. */
  url: string;
  branch: string;
  /** Folder of this repository alone, absolute; made when missing. Another address gets another mirror in it. */
  folder: string;
  /** Asked anew before every contact with the remote, so that a rotated token is used at once. */
  credential: () => Promise<Credential | null>;
  /** Author and committer of our commits; the email tells them from those of others. */
  author: Identity;
  log: MirrorLog;
  /** Only for the durations in the log. */
  clock?: Clock;
  limits?: Partial<Limits>;
  /** Where git is looked for, instead of the PATH of this process. */
  searchPath?: string;
  /** Lets tests use a folder as remote. */
  alsoAllow?: 'file';
}

const LIMITS: Limits = { localMs: 30_000, fetchMs: 60_000, cloneMs: 15 * 60_000, pushMs: 60_000 };

const TRAILER = 'Davylamp-Rollback';
/** What a revert commit of ours says of itself, in the order in which it is read. */
const OWN_TRAILERS = [TRAILER, 'Davylamp-Application', 'Reverts'];
const FULL_COMMIT_ID = /^([0-9a-f]{40}|[0-9a-f]{64})$/;
const MESSAGE_LIMIT = 64 * 1024;
const UTF8_BYTES_PER_CHARACTER = 4;

/** Against the first parent, so that a merge counts as what it brought to the branch. */
const CHANGED_NAMES = ['-1', '-z', '-m', '--first-parent', '--name-only', '--no-renames', '--format='];
const PATCH = ['-1', '-p', '-m', '--first-parent', '--format=', '--no-color', '--no-ext-diff', '--no-textconv'];

/**
 * A repository on a remote, seen through a kept bare mirror: one branch is fetched, nothing is ever checked out.
 *
 * @throws CodedError `git_argument_refused` for an address, branch or author that git might misread
 */
export function createRepository(options: RepositoryOptions): Repository {
  return new MirroredRepository(options);
}

class MirroredRepository implements Repository {
  readonly name: string;
  readonly branch: string;
  readonly #clone: Clone;
  readonly #author: Identity;
  readonly #limits: Limits;
  readonly #clock: Clock;
  readonly #log: MirrorLog;

  constructor(options: RepositoryOptions) {
    this.name = options.name;
    this.branch = branchName(options.branch);
    this.#author = identity(options.author);
    this.#limits = { ...LIMITS, ...options.limits };
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log;
    this.#clone = new Clone({
      name: this.name,
      url: repositoryUrl(options.url, options.alsoAllow ?? null),
      branch: this.branch,
      folder: options.folder,
      credential: options.credential,
      log: options.log,
      clock: this.#clock,
      limits: this.#limits,
      searchPath: options.searchPath ?? null,
      alsoAllow: options.alsoAllow ?? null,
    });
  }

  async refresh(signal: AbortSignal): Promise<{ head: string }> {
    return this.#clone.refresh(signal);
  }

  async commit(revision: string, signal: AbortSignal): Promise<CommitFacts> {
    await this.#clone.ready(signal);
    const sha = await this.#clone.find(revision, signal);
    // Read after the search, which may have fetched.
    const head = await this.#clone.ready(signal);
    const [shown, named, onBranch] = await Promise.all([
      this.#clone.local({ subcommand: 'log', args: ['-1', '--format=%P%x00%s%x00%B', '--end-of-options', sha, '--'] }, signal),
      this.#clone.local(
        {
          subcommand: 'log',
          args: [...CHANGED_NAMES, '--end-of-options', sha, '--'],
        },
        signal,
      ),
      this.#clone.isAncestor(sha, head, signal),
    ]);
    const [parents = '', subject = '', message = ''] = shown.stdout.split('\0');
    return {
      sha,
      parents: parents.split(' ').filter((parent) => parent !== ''),
      subject,
      message: message.trimEnd().slice(0, MESSAGE_LIMIT),
      paths: named.stdout.split('\0').filter((path) => path !== ''),
      onBranch,
    };
  }

  async isAncestor(ancestor: string, descendant: string, signal: AbortSignal): Promise<boolean> {
    await this.#clone.ready(signal);
    try {
      return await this.#clone.isAncestor(
        await this.#clone.find(ancestor, signal),
        await this.#clone.find(descendant, signal),
        signal,
      );
    } catch (error) {
      if (codeOf(error) === 'commit_unknown') return false;
      throw error;
    }
  }

  async ownCommits(since: string, rollback: string, signal: AbortSignal): Promise<string[]> {
    const id = rollbackId(rollback);
    await this.#clone.ready(signal);
    const from = await this.#clone.find(since, signal);
    const head = await this.#clone.ready(signal);
    const { stdout } = await this.#clone.local(
      {
        subcommand: 'log',
        args: [
          `--format=%H%x00%ce%x00%(trailers:key=${TRAILER},valueonly,unfold)%x00`,
          '--fixed-strings',
          `--grep=${TRAILER}: ${id}`,
          '--end-of-options',
          `${from}..${head}`,
          '--',
        ],
      },
      signal,
    );
    const fields = stdout.split('\0');
    const found: string[] = [];
    for (let index = 0; index + 2 < fields.length; index += 3) {
      const [sha = '', email, values = ''] = fields.slice(index, index + 3);
      if (email === this.#author.email && values.split('\n').includes(id)) found.push(sha.trim());
    }
    return found;
  }

  async ownRollbacks(limit: number, signal: AbortSignal): Promise<OwnRollback[]> {
    const { head } = await this.#clone.refresh(signal);
    const trailers = OWN_TRAILERS.map((key) => `%(trailers:key=${key},valueonly,unfold)`);
    const { stdout } = await this.#clone.local(
      {
        subcommand: 'log',
        args: [
          `--format=${['%H', '%ct', '%ce', ...trailers].join('%x00')}%x00`,
          `--max-count=${Math.max(1, Math.floor(limit))}`,
          '--fixed-strings',
          `--grep=${TRAILER}: `,
          '--end-of-options',
          head,
          '--',
        ],
      },
      signal,
    );
    const fields = stdout.split('\0').map((field) => field.trim());
    const found: OwnRollback[] = [];
    for (let index = 0; index + 5 < fields.length; index += 6) {
      const [commit = '', seconds = '', email, rollback = '', application = '', reverts = ''] = fields.slice(index, index + 6);
      const ours = email === this.#author.email && isRollbackId(rollback) && FULL_COMMIT_ID.test(reverts);
      if (ours) found.push({ commit, at: Number(seconds) * 1_000, rollback, application, reverts });
    }
    return found;
  }

  async revert(order: RevertOrder, signal: AbortSignal): Promise<RevertResult> {
    const bad = await this.commit(order.badCommit, signal);
    if (!bad.onBranch) {
      throw new CodedError(
        'commit_not_on_branch',
        `Commit ${bad.sha} is not part of ${this.branch}: nothing to take out there.`,
        {
          details: { commit: bad.sha, branch: this.branch },
        },
      );
    }
    const onto = order.onto === undefined ? null : await this.#clone.find(order.onto, signal);
    return this.#clone.turns.take(async () => {
      const head = onto ?? (await this.#clone.readHead(signal));
      if (head === null) throw this.#clone.damaged('it has no branch head');
      return revertOn((call) => this.#clone.local(call, signal), head, bad, this.#author, order);
    }, signal);
  }

  async push(commit: string, ref: string | null, signal: AbortSignal): Promise<PushResult> {
    const target = `refs/heads/${ref === null ? this.branch : branchName(ref)}`;
    await this.#clone.ready(signal);
    const sha = await this.#clone.lookUp(commit, signal);
    if (sha === null) throw unknownCommit(commit, 'it is not in the mirror, make it again');
    return this.#clone.turns.take(async () => {
      const began = this.#clock.now();
      const { answer, secrets } = await this.#clone.network(
        { subcommand: 'push', args: ['--porcelain', '--end-of-options', REMOTE, `${sha}:${target}`], answers: [0, 1] },
        this.#limits.pushMs,
        signal,
      );
      const failure = { subcommand: 'push', ...answer, secrets };
      const result = readPush(failure, target);
      if (result === null) throw gitError(failure);
      const facts = { repository: this.name, commit: sha, ref: target, result, ms: this.#clock.now() - began };
      this.#log.info(facts, 'pushed to the repository');
      return result;
    }, signal);
  }

  async diff(commit: string, limit: number, signal: AbortSignal): Promise<string> {
    await this.#clone.ready(signal);
    const sha = await this.#clone.find(commit, signal);
    const { stdout } = await this.#clone.local(
      {
        subcommand: 'log',
        args: [...PATCH, '--end-of-options', sha, '--'],
        maxBytes: limit * UTF8_BYTES_PER_CHARACTER,
        overflow: 'cut',
      },
      signal,
    );
    const text = stdout.trimStart();
    return text.length <= limit ? text : `${text.slice(0, Math.max(0, limit - 1))}…`;
  }

  async close(): Promise<void> {
    await this.#clone.close();
  }
}
