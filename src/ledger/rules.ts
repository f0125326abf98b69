import type { Analysis } from '../analysis/record.ts';
import { sameCommit } from '../analysis/revision.ts';
import type { DeliveryState, Liveness, Located } from '../delivery/port.ts';
import type { Rank } from '../rollback/policy.ts';
import type { Rollback } from '../rollback/record.ts';
import type { LedgerEntry } from './record.ts';

/** What somebody says of a revision, before it is weighed against what is known. */
export interface Claim {
  standing: 'good' | 'suspect' | 'bad';
  /** How it is known to be good; null for what is not, and for what a person says. */
  rank: Rank | null;
  by: string;
  reason: string;
  /** Analysis or rollback that it follows from. */
  reference: string | null;
  /** Of the evidence, milliseconds since the epoch. */
  at: number;
}

const STRONGEST_FIRST: readonly Rank[] = ['proved', 'completed', 'baked', 'seeded'];
const AUTOMATION: ReadonlySet<string> = new Set(['analysis', 'delivery', 'operator', 'rollback', 'davylamp']);

export function isAtLeast(rank: Rank | null, lowest: Rank): boolean {
  return rank !== null && STRONGEST_FIRST.indexOf(rank) <= STRONGEST_FIRST.indexOf(lowest);
}

export function isPerson(by: string): boolean {
  return !AUTOMATION.has(by);
}

/** How a person is written into the ledger: also one whose credential is named as a part of davylamp is. */
export function personNamed(name: string): string {
  return isPerson(name) ? name : `person ${name}`;
}

/**
 * Whether a claim changes what is known. Ranks only rise. What is bad or suspect becomes good by a person only, and what
 * a person said gives way to a person only: guards hold a rollback of what was called good until somebody looks.
 */
export function outweighs(claim: Claim, known: LedgerEntry | null): boolean {
  if (known === null) return true;
  const { standing, rank, by, reason } = known;
  if (isPerson(claim.by)) return standing !== claim.standing || by !== claim.by || reason !== claim.reason;
  if (isPerson(by) || standing === 'suspect') return false;
  if (standing === 'bad') return claim.standing === 'suspect';
  if (claim.standing !== 'good' || standing === 'unknown') return true;
  return claim.rank !== null && (rank === null || STRONGEST_FIRST.indexOf(claim.rank) < STRONGEST_FIRST.indexOf(rank));
}

/** What a final analysis says of the revision that it judged; null where it says nothing. */
export function claimOfAnalysis(analysis: Analysis): Claim | null {
  const { kind, phase, verdict, id: reference, sentence, endedAt, createdAt } = analysis;
  const at = Date.parse(endedAt ?? createdAt);
  if (kind === 'release' && phase === 'Successful' && verdict === 'pass') {
    return { standing: 'good', rank: 'proved', by: 'analysis', reason: 'its analysis passed', reference, at };
  }
  // A recovery is named after the bad revision, and judges what came after it.
  if (kind === 'recovery' || phase !== 'Failed' || verdict !== 'fail') return null;
  return { standing: 'bad', rank: null, by: 'analysis', reason: `its analysis failed: ${sentence}`, reference, at };
}

/** What a rollback says of the revisions that it is about; nothing before it is on the branch. */
export function claimsOfRollback(rollback: Rollback): { revision: string; claim: Claim }[] {
  const { state, code, badCommit, plan, id: reference, sentence, verdictSentence, updatedAt } = rollback;
  const from = { rank: null, by: 'rollback', reference, at: Date.parse(updatedAt) };
  if (state === 'not_recovered') {
    const reason = `taking it out did not help: ${sentence}`;
    return [{ revision: badCommit, claim: { ...from, standing: 'suspect', reason } }];
  }
  // One that was read back from Git is a failed one, since how it ended is not known.
  if (state !== 'pushed' && state !== 'synced' && state !== 'recovered' && code !== 'rebuilt') return [];
  // Of several commits that were taken out together nobody knows which one was to blame.
  const undone = plan?.undoes.length === 1 ? plan.undoes : [];
  const reason = `it was taken out: ${verdictSentence}`;
  return [...new Set([badCommit, ...undone])].map((revision) => ({ revision, claim: { ...from, standing: 'bad', reason } }));
}

/** What was seen of an application at its looks, as far as the next one needs it. Kept in the store. */
export interface Watched {
  stable: string | null;
  /** Time that the stable revision was seen healthy, milliseconds; what lies between two looks too far apart is not counted. */
  healthyMs: number;
  /** Of the last look, milliseconds since the epoch. */
  lookedAt: number;
  /** What the last look said of the stable revision. */
  health: Health;
  /** Revisions that were seen as a canary, newest last. */
  canaries: string[];
  /** Best that was noted of the stable revision. */
  noted: Rank | null;
  /** Whether what the cluster and the operator know of earlier revisions was asked for. */
  seeded: boolean;
}

/** `unsaid`: a release is under way or was aborted, so the phase speaks of the canary. */
type Health = 'well' | 'ill' | 'unsaid';

export interface Noted {
  revision: string;
  rank: Rank;
  by: 'delivery' | 'operator';
  reason: string;
}

/** Looks further apart than this say nothing of the time between them. */
const MOST_BETWEEN_MS = 90_000;
const MOST_CANARIES = 20;

/**
 * What one look at an application says: which revisions went live, and what is known of the stable one now.
 *
 * @param before null at the first look of all
 * @param now milliseconds since the epoch
 * @param bakeMs a stable revision that was healthy for so long counts as baked
 */
export function looked(
  before: Watched | null,
  state: DeliveryState,
  now: number,
  bakeMs: number,
): { watched: Watched; live: string[]; noted: Noted[] } {
  const canary = state.phase === 'aborted' || state.canary === state.stable ? null : state.canary;
  // An unknown stable revision is no news.
  const stable = state.stable ?? before?.stable ?? null;
  const stays = stable !== null && before !== null && before.stable !== null && sameCommit(before.stable, stable);
  const canaries = before?.canaries ?? [];
  const health = healthOf(state);
  const steady = stays && health === 'well' && before.health === 'well' && now - before.lookedAt <= MOST_BETWEEN_MS;
  const kept = stays && health !== 'ill' ? before.healthyMs : 0;
  const watched: Watched = {
    stable,
    healthyMs: kept + (steady ? now - before.lookedAt : 0),
    lookedAt: now,
    health,
    canaries: canary === null || includes(canaries, canary) ? canaries : [...canaries, canary].slice(-MOST_CANARIES),
    noted: stays ? before.noted : null,
    seeded: before?.seeded ?? false,
  };
  const live = [
    ...(stable === null || stays || includes(canaries, stable) ? [] : [stable]),
    ...(canary === null || includes(canaries, canary) ? [] : [canary]),
  ];
  const found = rankOf(watched, before === null, bakeMs);
  if (stable === null || found === null || isAtLeast(watched.noted, found.rank)) return { watched, live, noted: [] };
  return { watched: { ...watched, noted: found.rank }, live, noted: [{ revision: stable, by: 'delivery', ...found }] };
}

function rankOf(
  { stable, health, healthyMs, canaries }: Watched,
  isFirst: boolean,
  bakeMs: number,
): { rank: Rank; reason: string } | null {
  if (stable === null || health === 'ill') return null;
  if (health === 'well' && includes(canaries, stable)) {
    return { rank: 'completed', reason: 'it was the canary, was promoted to the end and is healthy' };
  }
  if (health === 'well' && healthyMs >= bakeMs) {
    return { rank: 'baked', reason: `it ran as the stable revision and was healthy for ${minutes(healthyMs)}` };
  }
  return isFirst ? { rank: 'seeded', reason: 'it was the stable revision when davylamp first looked' } : null;
}

/** What the phase says of the stable side. */
function healthOf({ phase, canary, stable, trouble }: DeliveryState): Health {
  if (stable === null) return 'unsaid';
  if (trouble !== undefined && trouble !== null && sameCommit(trouble.revision, stable)) return 'ill';
  if (phase === 'healthy') return 'well';
  // With a canary, it is the canary that is degraded.
  return phase === 'degraded' && (canary === null || sameCommit(canary, stable)) ? 'ill' : 'unsaid';
}

/**
 * What is known of revisions that ran before davylamp looked. Of what a cluster tells only the present stable revision
 * counts: an aborted canary of long ago stands there as any other replica set does.
 *
 * @param good newest first
 */
export function seedsOf(
  known: { history: readonly Liveness[]; good: Located['good']; state: DeliveryState },
  now: number,
  bakeMs: number,
): { live: { revision: string; at: number }[]; noted: Noted[] } {
  const { history, good, state } = known;
  const live = history.map(({ revision, from }) => ({ revision, at: from }));
  const current = history.find(
    ({ revision, role, to }) => to === null && role === 'stable' && state.stable !== null && sameCommit(revision, state.stable),
  );
  const fromCluster: Noted[] =
    current === undefined || now - current.from < bakeMs || healthOf(state) === 'ill'
      ? []
      : [
          {
            revision: current.revision,
            rank: 'baked',
            by: 'delivery',
            reason: `it had been the stable revision for ${minutes(now - current.from)} when davylamp first looked`,
          },
        ];
  const runsIll = [state.canary, healthOf(state) === 'ill' ? state.stable : null].filter((one) => one !== null);
  const fromOperator = good.flatMap(({ revision, since, healthyFor, how }, at): Noted[] => {
    // What is being released now is not known to be good, however often it was deployed before.
    if (includes(runsIll, revision)) return [];
    const healthyMs = healthyFor ?? (good[at - 1]?.since ?? now) - since;
    return [{ revision, rank: healthyMs >= bakeMs ? 'baked' : 'seeded', by: 'operator', reason: `it was healthy: ${how}` }];
  });
  return { live, noted: [...fromCluster, ...fromOperator] };
}

function includes(revisions: readonly string[], revision: string): boolean {
  return revisions.some((one) => sameCommit(one, revision));
}

function minutes(ms: number): string {
  return `${Math.floor(ms / 60_000)} minutes`;
}
