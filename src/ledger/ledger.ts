import { committed } from '../commit.ts';
import { applicationUnknown } from '../analysis/nearest.ts';
import { sameCommit } from '../analysis/revision.ts';
import type { Clock } from '../clock.ts';
import { CodedError, codeOf } from '../errors.ts';
import type { Repository } from '../git/port.ts';
import type { Policy, Rank } from '../rollback/policy.ts';
import type { JournalEntry, RecordWrite, Store, StoredRecord } from '../store/port.ts';
import type { LedgerEntry } from './record.ts';
import { isAtLeast, isPerson, outweighs, personNamed, type Claim } from './rules.ts';

export interface LedgerContext {
  store: Store;
  clock: Clock;
  policies: ReadonlyMap<string, Pick<Policy, 'repository' | 'paths'>>;
  repositories: ReadonlyMap<string, Repository>;
}

/** Good revisions that are considered, the ones that were heard of last. */
const MOST_GOOD = 100;
const MOST_SPOILED = 200;
/** Commits between a good and a bad revision that are looked through for a newer good one. */
const MOST_BETWEEN = 50;
const REQUEST_TIMEOUT_MS = 20_000;
/** A ledger is written beside other work, which must not wait for a Git server that is away. */
const LOOK_UP_TIMEOUT_MS = 5_000;
const FULL_ID = /^([0-9a-f]{40}|[0-9a-f]{64})$/;
const COMMIT_ID = /^[0-9a-f]{7,64}$/;

/**
 * What is known of the revisions of each application, and since when: the memory behind "the last good revision". Every
 * change is in the journal, stored together with it.
 */
export class Ledger {
  readonly #context: LedgerContext;

  constructor(context: LedgerContext) {
    this.#context = context;
  }

  /** @param revision full id */
  async entry(application: string, revision: string): Promise<LedgerEntry | null> {
    const record = await this.#context.store.get('revision', idOf(application, revision));
    return record === undefined ? null : entryIn(record);
  }

  /**
   * Newest first.
   * @throws CodedError `application_unknown`, `cursor_invalid`
   */
  async list(
    application: string,
    { standing, ...page }: { standing?: LedgerEntry['standing']; before?: string; limit: number },
  ): Promise<{ items: LedgerEntry[]; next: string | null }> {
    this.#policy(application);
    const query = { application, ...page, ...(standing !== undefined && { state: standing }) };
    const { records, next } = await this.#context.store.list('revision', query);
    return { items: records.map(entryIn), next };
  }

  /**
   * The newest revision on the branch, in its order and not in that of time, that comes before `before`, is known to be
   * good by at least `lowest` or by a person's word, and holds something else of the application than `before` does. What
   * holds the same as a revision that turned bad later is passed over.
   *
   * @param query.before full id of the bad revision
   * @throws CodedError those of git, `store_unavailable`
   */
  async lastGood(
    application: string,
    { before, lowest, repository }: { before: string; lowest: Rank; repository: Repository },
    signal: AbortSignal,
  ): Promise<LedgerEntry | null> {
    const policy = this.#context.policies.get(application);
    if (policy === undefined) return null;
    const { paths } = policy;
    const good = (await this.#standing(application, 'good', MOST_GOOD)).filter(
      ({ rank, by }) => isAtLeast(rank, lowest) || isPerson(by),
    );
    if (good.length === 0) return null;
    const spoiled = [
      ...(await this.#standing(application, 'bad', MOST_SPOILED)),
      ...(await this.#standing(application, 'suspect', MOST_SPOILED)),
    ];
    const badContent = await repository.contentOf(before, paths, signal);
    const isWayBack = (candidate: LedgerEntry, content: string): boolean =>
      content !== badContent &&
      !spoiled.some((one) => one.content === content && Date.parse(one.since) >= Date.parse(candidate.since));
    for (const candidate of good) {
      const { revision } = candidate;
      if (revision === before || !(await repository.isAncestor(revision, before, signal))) continue;
      if (!isWayBack(candidate, await repository.contentOf(revision, paths, signal))) continue;
      const newer = await newerThan(candidate, { good, before, paths, repository, isWayBack }, signal);
      return newer ?? candidate;
    }
    return null;
  }

  /**
   * The newest revision on the branch before `before` that was judged by itself, by an analysis or by a person, or is known to
   * have run to the end: what came after it is what was judged with `before`. A revision that was merely seen for a moment, or
   * that nobody deployed, is none.
   *
   * @param query.others revisions that are known from elsewhere: what the cluster runs as the stable one, what is being analysed
   * @returns null when nothing is known
   * @throws CodedError those of git, `store_unavailable`
   */
  async lastKnown(
    application: string,
    { before, others, repository }: { before: string; others: readonly string[]; repository: Repository },
    signal: AbortSignal,
  ): Promise<string | null> {
    const policy = this.#context.policies.get(application);
    if (policy === undefined) return null;
    const { paths } = policy;
    const known = await this.#standing(application, 'good', MOST_GOOD);
    const revisions = [...others, ...known.map(({ revision }) => revision)].filter((one) => !sameCommit(one, before));
    if (revisions.length === 0) return null;
    const content = async (commit: string) => repository.contentOf(commit, paths, signal);
    const judged = await content(before);
    let first: string | null = null;
    for (const revision of revisions) {
      if (!(await repository.isAncestor(revision, before, signal)) || (await content(revision)) === judged) continue;
      first = revision;
      break;
    }
    if (first === null) return null;
    const between = await repository.commitsTouching({ from: first, to: before, paths, limit: MOST_BETWEEN }, signal);
    const contents = new Set(known.map((entry) => entry.content));
    // The newest one made what was judged.
    for (const { sha } of between.slice(1)) {
      if (revisions.some((one) => sameCommit(one, sha)) || contents.has(await content(sha))) return sha;
    }
    return first;
  }

  /**
   * Something of davylamp found out that a revision is good. Ranks only rise, and what is bad stays bad.
   * @param at of the evidence, milliseconds since the epoch; now when left out
   * @returns what is known then; null when it is no revision of the application's repository
   */
  async note(
    application: string,
    revision: string,
    { at, ...found }: { rank: Rank; by: string; reason: string; reference: string | null; at?: number },
  ): Promise<LedgerEntry | null> {
    return this.claim(application, revision, { ...found, standing: 'good', at: at ?? this.#context.clock.now() });
  }

  /** A revision failed its analysis, or Git says that it was taken out. As `note`. */
  async noteBad(
    application: string,
    revision: string,
    { at, ...found }: { by: string; reason: string; reference: string | null; at?: number },
  ): Promise<LedgerEntry | null> {
    return this.claim(application, revision, { ...found, standing: 'bad', rank: null, at: at ?? this.#context.clock.now() });
  }

  /** To take a revision out did not help: it may not be to blame (design 5.5). As `note`. */
  async noteSuspect(
    application: string,
    revision: string,
    { at, ...found }: { reason: string; reference: string | null; at?: number },
  ): Promise<LedgerEntry | null> {
    const claim: Claim = { ...found, standing: 'suspect', rank: null, by: 'rollback', at: at ?? this.#context.clock.now() };
    return this.claim(application, revision, claim);
  }

  /** A revision took traffic; the earliest time that anybody knows of counts. As `note`. */
  async noteLive(application: string, revision: string, at: number): Promise<LedgerEntry | null> {
    return this.#changed(application, revision, (known) => {
      const firstLiveAt = new Date(at).toISOString();
      if (known !== null && known.firstLiveAt !== null && known.firstLiveAt <= firstLiveAt) return null;
      const unknown = { standing: 'unknown', rank: null, by: 'delivery', reason: 'it was seen live', reference: null } as const;
      return { code: 'seen_live', next: { ...unknown, since: this.#now(), ...known, firstLiveAt } };
    });
  }

  /** Weighs what somebody says against what is known. As `note`. */
  async claim(application: string, revision: string, claim: Claim): Promise<LedgerEntry | null> {
    return this.#changed(application, revision, (known) => {
      if (!outweighs(claim, known)) return null;
      const { standing, rank, by, reason, reference, at } = claim;
      const since = known?.standing === standing && !isPerson(by) ? known.since : new Date(at).toISOString();
      const code = isPerson(by) ? `marked_${standing}` : (rank ?? standing);
      // A person's word needs no rank, and leaves the one that was found out.
      const kept = isPerson(by) && standing === 'good' ? (known?.rank ?? null) : rank;
      return { code, next: { firstLiveAt: null, ...known, standing, rank: kept, by, reason, reference, since } };
    });
  }

  /**
   * A person says that a revision is good, whatever is known.
   * @param revision full id, or an abbreviation
   * @throws CodedError `application_unknown`, `configuration_changed`, `commit_unknown`, `commit_not_on_branch`, those of git
   */
  async markGood(application: string, revision: string, { by, reason }: { by: string; reason: string }): Promise<LedgerEntry> {
    return this.#marked(application, revision, { standing: 'good', by, reason });
  }

  /** A person says that a revision is bad, whatever is known. As `markGood`. */
  async markBad(application: string, revision: string, { by, reason }: { by: string; reason: string }): Promise<LedgerEntry> {
    return this.#marked(application, revision, { standing: 'bad', by, reason });
  }

  async #marked(
    application: string,
    named: string,
    { standing, by, reason }: { standing: 'good' | 'bad'; by: string; reason: string },
  ): Promise<LedgerEntry> {
    const { repository: name } = this.#policy(application);
    const repository = this.#context.repositories.get(name);
    if (repository === undefined) throw new CodedError('configuration_changed', `the configuration has no repository "${name}"`);
    // What is known already can be marked while Git is away.
    const known = FULL_ID.test(named) ? await this.entry(application, named) : null;
    const revision = known === null ? await this.#onBranch(repository, named) : known.revision;
    const at = this.#context.clock.now();
    const claim: Claim = { standing, rank: null, by: personNamed(by), reason, reference: null, at };
    const entry = await this.claim(application, revision, claim);
    if (entry === null) throw new CodedError('commit_unknown', `repository ${name} does not have commit ${revision}`);
    return entry;
  }

  async #onBranch(repository: Repository, named: string): Promise<string> {
    const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
    try {
      const commit = await repository.commit(named, signal);
      if (commit.onBranch) return commit.sha;
    } catch (error) {
      if (error instanceof CodedError || !signal.aborted) throw error;
      const sentence = `repository ${repository.name} did not answer within ${REQUEST_TIMEOUT_MS / 1_000} s; try again when it does`;
      throw new CodedError('git_timeout', sentence, { retryable: true, cause: error });
    }
    throw new CodedError(
      'commit_not_on_branch',
      `commit ${named} is not part of branch ${repository.branch}; name a commit that is`,
    );
  }

  async #changed(
    application: string,
    named: string,
    change: (known: LedgerEntry | null) => { code: string; next: Omit<LedgerEntry, keyof Identity> } | null,
  ): Promise<LedgerEntry | null> {
    const policy = this.#context.policies.get(application);
    const repository = policy && this.#context.repositories.get(policy.repository);
    // An image tag or a chart version is no commit.
    if (policy === undefined || repository === undefined || !COMMIT_ID.test(named)) return null;
    const revision = await this.#fullId(repository, named);
    if (revision === null) return null;
    let content: string | null | undefined;
    for (;;) {
      const record = await this.#context.store.get('revision', idOf(application, revision));
      const known = record === undefined ? null : entryIn(record);
      const changed = change(known);
      if (changed === null) return known;
      content ??= known?.content ?? (await this.#contentOf(repository, revision, policy.paths));
      if (content === undefined) return null;
      const next: LedgerEntry = { ...changed.next, application, revision, content, updatedAt: this.#now() };
      if (
        await committed(
          this.#context.store,
          [writeOf(next, record, this.#context.clock.now())],
          [this.#entryOf(next, known, changed.code)],
        )
      ) {
        return next;
      }
    }
  }

  /** Null: the repository has no such commit. */
  async #fullId(repository: Repository, named: string): Promise<string | null> {
    if (FULL_ID.test(named)) return named;
    try {
      return (await repository.commit(named, AbortSignal.timeout(LOOK_UP_TIMEOUT_MS))).sha;
    } catch (error) {
      if (codeOf(error) === 'commit_unknown') return null;
      throw error;
    }
  }

  /** Null: Git cannot say it now. Undefined: the repository has no such commit, so there is nothing to go back to. */
  async #contentOf(repository: Repository, revision: string, paths: readonly string[]): Promise<string | null | undefined> {
    const signal = AbortSignal.timeout(LOOK_UP_TIMEOUT_MS);
    try {
      return await repository.contentOf(revision, paths, signal);
    } catch (error) {
      if (codeOf(error) === 'commit_unknown') return undefined;
      if (error instanceof CodedError || signal.aborted) return null;
      throw error;
    }
  }

  async #standing(application: string, state: LedgerEntry['standing'], limit: number): Promise<LedgerEntry[]> {
    return (await this.#context.store.list('revision', { application, state, limit })).records.map(entryIn);
  }

  #entryOf(next: LedgerEntry, known: LedgerEntry | null, code: string): JournalEntry {
    const { application, revision, standing, rank, by, reason, reference } = next;
    const before = known === null ? null : { standing: known.standing, rank: known.rank, by: known.by };
    const subject = idOf(application, revision);
    const sentence = `${application} ${revision.slice(0, 12)} is ${standing} (${rank === null ? '' : `${rank}, `}${by}): ${reason}`;
    const details = { revision, standing, rank, by, reference, before };
    return { at: this.#context.clock.now(), event: 'ledger.marked', application, subject, code, sentence, details };
  }

  #policy(application: string): Pick<Policy, 'repository' | 'paths'> {
    const policy = this.#context.policies.get(application);
    if (policy !== undefined) return policy;
    throw applicationUnknown(application, this.#context.policies.keys());
  }

  #now(): string {
    return new Date(this.#context.clock.now()).toISOString();
  }
}

/**
 * The newest way back between a candidate and the bad revision. Usually one commit lies there, so that nobody has to be
 * asked; a good revision that did not change the application holds what the commit before it made.
 */
async function newerThan(
  { revision }: LedgerEntry,
  among: {
    good: readonly LedgerEntry[];
    before: string;
    paths: readonly string[];
    repository: Repository;
    isWayBack: (candidate: LedgerEntry, content: string) => boolean;
  },
  signal: AbortSignal,
): Promise<LedgerEntry | null> {
  const { good, before, paths, repository, isWayBack } = among;
  const between = await repository.commitsTouching({ from: revision, to: before, paths, limit: MOST_BETWEEN }, signal);
  // The newest one made the bad content.
  for (const { sha } of between.slice(1)) {
    const content = await repository.contentOf(sha, paths, signal);
    for (const candidate of good) {
      if (candidate.revision !== sha && candidate.content !== content) continue;
      if (!isWayBack(candidate, content)) continue;
      if (candidate.revision === sha || (await lies(candidate.revision, sha, before))) return candidate;
    }
  }
  return null;

  async function lies(middle: string, from: string, to: string): Promise<boolean> {
    return (await repository.isAncestor(from, middle, signal)) && repository.isAncestor(middle, to, signal);
  }
}

type Identity = Pick<LedgerEntry, 'application' | 'revision' | 'content' | 'updatedAt'>;

function idOf(application: string, revision: string): string {
  return `${application}/${revision}`;
}

function writeOf(entry: LedgerEntry, record: StoredRecord | undefined, now: number): RecordWrite {
  return {
    kind: 'revision',
    id: idOf(entry.application, entry.revision),
    expect: record?.version ?? 0,
    createdAt: record?.createdAt ?? now,
    index: { application: entry.application, state: entry.standing },
    value: entry,
  };
}

/** Records of revisions are written by this module only, so their shape is known. */
function entryIn(record: StoredRecord): LedgerEntry {
  return record.value as LedgerEntry;
}
