import type { Proposed } from '../../forge/port.ts';
import type { CommitFacts, Reverter } from '../../git/port.ts';
import type { LedgerEntry } from '../../ledger/record.ts';
import type { FleetPolicy } from '../fleet.ts';
import type { Policy } from '../policy.ts';
import type { Plan, Rollback } from '../record.ts';
import type { Switch } from '../switches.ts';
import type { Held } from './held.ts';

/** What earlier rollbacks say. */
export interface Past {
  /**
   * Rollbacks that were pushed within the last 24 hours, and those under way that were decided before this one: several
   * that fail together count each other.
   */
  today: { application: number; repository: number; everywhere: number };
  /** When rollbacks of the application took the very same lines out before, milliseconds since the epoch, newest first. */
  sameContent: readonly number[];
  /** Another rollback of the application, about another revision, that proposes to take the same commits out. */
  proposed?: { rollback: string; url: string | null } | null;
  /** One that a person refused, or whose proposal was closed without a merge. */
  refused?: { rollback: string; sentence: string } | null;
  /** The last rollback of the application that ran to its end, if it did not help and nobody has closed that. */
  unhelpful: string | null;
}

/** What others did about the bad commit already. */
export interface Reverts {
  /** Our own commit of this rollback that is on the branch, although the bad content is there. */
  own: string | null;
  /** Commits of other people that revert it, although the bad content is there. */
  byOthers: readonly Reverter[];
  /** Proposals to revert it, ours included, newest first. */
  proposals: readonly Proposed[];
}

/** What the cluster runs instead of what was judged. */
export type Running =
  | { kind: 'judged' }
  | { kind: 'other'; revision: string; how: string }
  | { kind: 'syncing'; revision: string }
  | { kind: 'unknown'; reason: string };

/** An application that turned bad, whoever said so. */
export interface BadOne {
  application: string;
  commit: string;
  /** Milliseconds since the epoch. */
  at: number;
}

/** An application that is being analysed. */
export interface Analysed {
  application: string;
  /** Its figures speak against it, and do not decide yet. */
  leans: boolean;
  /** When it is looked at next, and when it was looked at last, milliseconds since the epoch; null where it never was. */
  nextAt: number | null;
  lastAt: number | null;
}

/** The applications around this one. */
export interface Crowd {
  bad: readonly BadOne[];
  analysed: readonly Analysed[];
  /** What holds others of this application's crowd already. */
  incident: string | null;
}

/** Everything that the guards look at: read by the modules of `situation/`, judged here without input and output. */
export interface GuardFacts {
  /** Milliseconds since the epoch. */
  now: number;
  rollback: Rollback;
  policy: Policy;
  fleet: FleetPolicy;
  bad: CommitFacts;
  plan: Plan;
  /** Commits that the plan takes back. */
  undone: readonly CommitFacts[];
  /** Those of them that were not part of what was judged. */
  notJudged: readonly CommitFacts[];
  stopped: readonly Switch[];
  past: Past;
  reverts: Reverts;
  running: Running;
  /** What the ledger knows of the bad revision. */
  known: LedgerEntry | null;
  /** Since when the revision is live as far as anybody knows, milliseconds since the epoch. */
  liveSince: number | null;
  crowd: Crowd;
  /** Other applications that deploy the same paths, and were not found bad. */
  sharing: readonly string[];
}

/** A guard lets pass (null) or holds with a reason as data. */
export type Guard = (facts: GuardFacts) => Held | null;
