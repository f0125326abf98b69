import type { Analysis } from '../analysis/record.ts';
import type { Changes } from '../changes.ts';
import type { Clock } from '../clock.ts';
import type { Delivery } from '../delivery/port.ts';
import { CodedError } from '../errors.ts';
import type { Forge, ProposalOrder } from '../forge/port.ts';
import type { Repository } from '../git/port.ts';
import type { LedgerEntry } from '../ledger/record.ts';
import type { Store } from '../store/port.ts';
import type { FleetPolicy } from './fleet.ts';
import type { Policy, Rank } from './policy.ts';
import type { Rollback } from './record.ts';
import type { Switches } from './switches.ts';

/** Where a process may die while a rollback runs, in the order of the way. */
export const EXECUTOR_POINTS = [
  'plan-start',
  'plan-fetched',
  'plan-computed',
  'plan-stored',
  'abort-start',
  'abort-done',
  'abort-stored',
  'push-fetched',
  'push-committed',
  'push-marked',
  'push-start',
  'push-done',
  'push-stored',
  'proposal-opened',
  'proposal-stored',
  'deliver-told',
  'deliver-synced',
  'recovery-started',
] as const;
export type ExecutorPoint = (typeof EXECUTOR_POINTS)[number];

/** What rollbacks ask the ledger. */
export interface LedgerView {
  /** What is known of a revision; null when nothing is. */
  entry(application: string, revision: string): Promise<LedgerEntry | null>;
  /** The newest revision before `before` that is known to be good by at least `lowest`; null when none is. */
  lastGood(
    application: string,
    query: { before: string; lowest: Rank; repository: Repository },
    signal: AbortSignal,
  ): Promise<LedgerEntry | null>;
  /** The newest revision before `before` that was judged by itself or ran to the end; null when none is known. */
  lastKnown(
    application: string,
    query: { before: string; others: readonly string[]; repository: Repository },
    signal: AbortSignal,
  ): Promise<string | null>;
}

/** What the executor and its steps work with. */
export interface ExecutorContext {
  store: Store;
  clock: Clock;
  /** Resolves after so many milliseconds. */
  pause: (ms: number) => Promise<void>;
  /** Tells this process from others on the same store. */
  self: string;
  changes: Changes;
  policies: ReadonlyMap<string, Policy>;
  repositories: ReadonlyMap<string, Repository>;
  deliveries: ReadonlyMap<string, Delivery>;
  /** The forge of a repository, by its name; null without one. */
  forgeOf: (repository: string) => Forge | null;
  /** What the pull request of a rollback says and whom it asks; its branch was pushed before. */
  proposalOrder: (rollback: Rollback, signal: AbortSignal) => Promise<ProposalOrder>;
  ledger: LedgerView;
  switches: Switches;
  /** What holds for all applications together; read anew at every use, since a reload may change it. */
  fleet: FleetPolicy;
  /** Whether what the store knows of a repository agrees with Git: after a loss of the data, not before it was read anew. */
  reconciled: (repository: string) => boolean;
  /** Starts, once, the check whether the metrics came back, and says how it stands. */
  recoveryOf: (rollback: Rollback) => Promise<Analysis>;
  onMoved: (rollback: Rollback) => void;
  /** Where a person looks at a rollback; null when no address is configured. */
  urlOf: (rollback: Rollback) => string | null;
  /** Named places at which tests end the process; nothing otherwise. */
  reach: (point: ExecutorPoint) => void;
}

/** What a step made of a rollback. */
export interface Step {
  next: Rollback;
  /** Run again at this time; without it, at once. */
  again?: number;
}

/** The repository and branch that were decided on: a configuration that names others now changes nothing of that. */
export function repositoryOf(context: Pick<ExecutorContext, 'policies' | 'repositories'>, rollback: Rollback): Repository {
  const { branch, repository } = policyOf(context, rollback);
  const found = configured(context.repositories.get(rollback.repository), 'repository', rollback.repository);
  if (branch === rollback.branch && repository === rollback.repository) return found;
  const where = `repository "${rollback.repository}", branch "${rollback.branch}"`;
  throw new CodedError(
    'configuration_changed',
    `it was decided for ${where}, which the application no longer has; put it back or refuse the rollback`,
  );
}

export function deliveryOf(context: ExecutorContext, rollback: Rollback): Delivery {
  return configured(context.deliveries.get(rollback.application), 'delivery of application', rollback.application);
}

export function policyOf(context: Pick<ExecutorContext, 'policies' | 'repositories'>, rollback: Rollback): Policy {
  return configured(context.policies.get(rollback.application), 'application', rollback.application);
}

function configured<T>(found: T | undefined, what: string, name: string): T {
  if (found !== undefined) return found;
  throw new CodedError(
    'configuration_changed',
    `the configuration no longer has the ${what} "${name}"; put it back or refuse the rollback`,
  );
}
