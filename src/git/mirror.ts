import { systemClock, type Clock } from '../clock.ts';
import { CodedError, codeOf } from '../errors.ts';
import { carriedOver } from './carry.ts';
import { Clone, REMOTE, unknownCommit, type Credential, type Limits, type MirrorLog } from './clone.ts';
import { contentOf, filesAt, readFile, roots } from './content.ts';
import { deltas, type LocalGit } from './deltas.ts';
import { commitDraft, type Draft } from './draft.ts';
import { gitError, readPush } from './errors.ts';
import { diffOf, factsOf, type Facts, ownCommits, ownRollbacks, reverters, rollbackOf } from './history.ts';
import { Memo } from './memo.ts';
import { branchName, identity, repositoryUrl, rollbackId, type Identity } from './names.ts';
import type {
  CommitFacts,
  OwnRollback,
  PushResult,
  Repository,
  RestoreOrder,
  Reverter,
  RevertOrder,
  RevertResult,
  WriteOrder,
} from './port.ts';
import { reversalOf } from './revert.ts';
import type { Stamp } from './run.ts';
import type { SigningConfig, SshConfig } from './schema.ts';
import { signCommit } from './signing.ts';

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
  /** Paths absolute; null or nothing: commits are not signed. */
  signing?: SigningConfig | null;
  /** Paths absolute; for ssh:// addresses. Null or nothing: what ssh finds on the machine. */
  ssh?: SshConfig | null;
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

/** Each of them may hold a message of 64 KiB. */
const FACTS_KEPT = 100;
const ANSWERS_KEPT = 200;
const TEXTS_KEPT = 60;
/** Longer files are read again. */
const KEPT_TEXT = 64 * 1024;

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
  /** What a commit says of itself never changes. */
  readonly #facts = new Map<string, Facts>();
  /** Answers that follow from full commit ids alone. */
  readonly #texts = new Memo<string | null>(TEXTS_KEPT, (text) => (text ?? '').length <= KEPT_TEXT);
  readonly #diffs = new Memo<string>(TEXTS_KEPT, (text) => text.length <= KEPT_TEXT);
  readonly #contents = new Memo<string>(ANSWERS_KEPT);
  readonly #own = new Memo<string[]>(ANSWERS_KEPT);
  readonly #reverters = new Memo<Reverter[]>(ANSWERS_KEPT);
  readonly #signing: SigningConfig | null;
  readonly #limits: Limits;
  readonly #clock: Clock;
  readonly #log: MirrorLog;

  constructor(options: RepositoryOptions) {
    this.name = options.name;
    this.branch = branchName(options.branch);
    this.#author = identity(options.author);
    this.#signing = options.signing ?? null;
    this.#limits = { ...LIMITS, ...options.limits };
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log;
    this.#clone = new Clone({
      name: this.name,
      url: repositoryUrl(options.url, options.alsoAllow ?? null),
      branch: this.branch,
      folder: options.folder,
      credential: options.credential,
      ssh: options.ssh ?? null,
      log: options.log,
      clock: this.#clock,
      limits: this.#limits,
      searchPath: options.searchPath ?? null,
      alsoAllow: options.alsoAllow ?? null,
    });
  }

  async refresh(signal: AbortSignal, recent = 0): Promise<{ head: string }> {
    const head = recent > 0 && this.#clone.fetchedWithin(recent) ? await this.#clone.ready(signal) : null;
    return head === null ? this.#clone.refresh(signal) : { head };
  }

  async commit(revision: string, signal: AbortSignal): Promise<CommitFacts> {
    await this.#clone.ready(signal);
    const sha = await this.#clone.find(revision, signal);
    // Read after the search, which may have fetched.
    const head = await this.#clone.ready(signal);
    const known = this.#facts.get(sha);
    const [[facts], onBranch] = await Promise.all([
      known === undefined ? factsOf(this.#git(signal), sha, 1) : [known],
      this.#clone.isAncestor(sha, head, signal),
    ]);
    if (facts === undefined) throw this.#clone.damaged('it does not show a commit that it has');
    if (onBranch && head !== sha) this.#clone.known.noteOnBranch(sha);
    if (this.#facts.size >= FACTS_KEPT) this.#facts.clear();
    this.#facts.set(sha, facts);
    return { ...facts, onBranch };
  }

  async commitsTouching(
    range: { from: string | null; to: string; paths: readonly string[]; limit: number },
    signal: AbortSignal,
  ): Promise<CommitFacts[]> {
    await this.#clone.ready(signal);
    const to = await this.#clone.find(range.to, signal);
    const from = range.from === null ? null : await this.#clone.find(range.from, signal);
    const head = await this.#clone.ready(signal);
    if (range.paths.length === 0 || range.limit < 1) return [];
    const [found, onBranch] = await Promise.all([
      factsOf(this.#git(signal), from === null ? to : `${from}..${to}`, range.limit, roots(range.paths)),
      this.#clone.isAncestor(to, head, signal),
    ]);
    return found.map((facts) => ({ ...facts, onBranch }));
  }

  async contentOf(commit: string, paths: readonly string[], signal: AbortSignal): Promise<string> {
    const found = await this.#found(commit, signal);
    return this.#contents.of([found, ...paths], () => contentOf(this.#git(signal), found, paths));
  }

  async filesAt(commit: string, paths: readonly string[], limit: number, signal: AbortSignal): Promise<string[]> {
    return filesAt(this.#git(signal), await this.#found(commit, signal), paths, limit);
  }

  async readFile(commit: string, path: string, signal: AbortSignal): Promise<string | null> {
    const found = await this.#found(commit, signal);
    return this.#texts.of([found, path], () => readFile(this.#git(signal), found, path));
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
    const from = await this.#found(since, signal);
    const head = await this.#clone.ready(signal);
    return this.#own.of([from, head, id], () => ownCommits(this.#git(signal), `${from}..${head}`, id, this.#author));
  }

  async ownRollbacks(limit: number, signal: AbortSignal): Promise<OwnRollback[]> {
    const { head } = await this.#clone.refresh(signal);
    return ownRollbacks(this.#git(signal), head, limit, this.#author);
  }

  async reverters(bad: string, signal: AbortSignal): Promise<Reverter[]> {
    const facts = await this.commit(bad, signal);
    const head = await this.#clone.ready(signal);
    return this.#reverters.of([facts.sha, head], () => reverters(this.#git(signal), facts, head, this.#author));
  }

  async tipOf(branch: string, signal: AbortSignal): Promise<{ commit: string; rollback: string | null } | null> {
    const name = branchName(branch);
    await this.#clone.ready(signal);
    const commit = await this.#clone.turns.take(() => this.#clone.tip(name, signal), signal);
    return commit === null ? null : { commit, rollback: await rollbackOf(this.#git(signal), commit, this.#author) };
  }

  async revert(order: RevertOrder, signal: AbortSignal): Promise<RevertResult> {
    const bad = await this.commit(order.badCommit, signal);
    if (!bad.onBranch) throw this.#notOnBranch(bad.sha, 'nothing to take out there');
    return this.#write(order, signal, async (git, head, stamp) => {
      const { touched, wanted, conflicts } = await reversalOf(git, head, bad, stamp, this.#clone.attributesOf);
      return { head, wanted, conflicts, involved: touched.map(({ path }) => path), editsOnly: false };
    });
  }

  async carry(
    order: WriteOrder & { onto: string },
    known: { commit: string; head: string; touched: readonly string[] },
    signal: AbortSignal,
  ): Promise<RevertResult | null> {
    await this.#clone.ready(signal);
    const onto = await this.#clone.find(order.onto, signal);
    const isHere = this.#clone.known.isHere(known.commit) || (await this.#clone.lookUp(known.commit, signal)) !== null;
    if (!isHere || !(await this.#clone.isAncestor(known.head, onto, signal))) return null;
    const wanted = await carriedOver(this.#git(signal), known, onto, order.paths);
    if (wanted === null) return null;
    return this.#write(order, signal, async (_git, head) => ({
      head,
      wanted,
      conflicts: [],
      involved: known.touched,
      editsOnly: false,
    }));
  }

  async restore(order: RestoreOrder, signal: AbortSignal): Promise<RevertResult> {
    const good = await this.#found(order.good, signal);
    const paths = roots(order.paths);
    return this.#write(order, signal, async (git, head) => {
      if (!(await this.#clone.isAncestor(good, head, signal))) throw this.#notOnBranch(good, 'its content is not put back there');
      const wanted = order.paths.length === 0 ? [] : await deltas(git, head, good, paths);
      return { head, wanted, conflicts: [], involved: [], editsOnly: false };
    });
  }

  async edit(order: WriteOrder, signal: AbortSignal): Promise<RevertResult> {
    await this.#clone.ready(signal);
    return this.#write(order, signal, async (_git, head) => ({
      head,
      wanted: [],
      conflicts: [],
      involved: [],
      editsOnly: true,
    }));
  }

  async #write(
    order: WriteOrder,
    signal: AbortSignal,
    draft: (git: LocalGit, head: string, stamp: Stamp) => Promise<Draft>,
  ): Promise<RevertResult> {
    const onto = order.onto === undefined ? null : await this.#clone.find(order.onto, signal);
    const stamp = { ...this.#author, atSeconds: Math.floor(order.at / 1_000) };
    const signing = this.#signing;
    return this.#clone.turns.take(async () => {
      const head = onto ?? (await this.#clone.readHead(signal));
      if (head === null) throw this.#clone.damaged('it has no branch head');
      await this.#clone.prepare();
      const git = this.#git(signal);
      const sign = (unsigned: string) =>
        signing === null ? null : signCommit(git, signing, { unsigned, parent: head, message: order.message, stamp });
      const result = await commitDraft(git, await draft(git, head, stamp), order, stamp, sign);
      if (result.kind === 'commit') this.#clone.known.noteMade(result.commit, head);
      return result;
    }, signal);
  }

  #git(signal: AbortSignal): LocalGit {
    return (call) => this.#clone.local(call, signal);
  }

  async #found(commit: string, signal: AbortSignal): Promise<string> {
    await this.#clone.ready(signal);
    return this.#clone.find(commit, signal);
  }

  #notOnBranch(commit: string, what: string): CodedError {
    return new CodedError('commit_not_on_branch', `Commit ${commit} is not part of ${this.branch}: ${what}.`, {
      details: { commit, branch: this.branch },
    });
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
      if (ref === null && result !== 'race') this.#clone.notePushed(sha);
      const facts = { repository: this.name, commit: sha, ref: target, result, ms: this.#clock.now() - began };
      this.#log.info(facts, 'pushed to the repository');
      return result;
    }, signal);
  }

  async diff(commit: string, limit: number, signal: AbortSignal): Promise<string> {
    const found = await this.#found(commit, signal);
    return this.#diffs.of([found, limit], () => diffOf(this.#git(signal), found, limit));
  }

  async close(): Promise<void> {
    await this.#clone.close();
  }
}
