import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Analyses } from '../analysis/analyses.ts';
import type { Timeline } from '../analysis/timeline.ts';
import type { Changes } from '../changes.ts';
import type { Clock } from '../clock.ts';
import { codeOf } from '../errors.ts';
import { proposalOrder } from '../forge/ordering.ts';
import type { ForgeEvent } from '../forge/port.ts';
import type { MetricJudgement } from '../judges/judge.ts';
import { Ledger } from '../ledger/ledger.ts';
import { LedgerWatch } from '../ledger/watching.ts';
import { Notifier } from '../notify/notifier.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { JobQueue } from '../queue/port.ts';
import { repositoryOf, type ExecutorContext } from '../rollback/context.ts';
import { Executor } from '../rollback/executor.ts';
import { rollbackOfBranch } from '../rollback/proposing.ts';
import { noticesOf } from '../rollback/notices.ts';
import { previewOf, sketchOf } from '../rollback/preview.ts';
import { Reconciler } from '../rollback/reconciling.ts';
import type { Rollback } from '../rollback/record.ts';
import { reportOf } from '../rollback/report.ts';
import { ReturnWatch } from '../rollback/returning.ts';
import { Rollbacks } from '../rollback/rollbacks.ts';
import { Switches } from '../rollback/switches.ts';
import type { Store } from '../store/port.ts';
import type { LiveParts } from './parts.ts';
import { tellRollback } from './telling.ts';

/** Rollbacks that are looked through for what was not told yet. */
const MOST_RECENT = 200;
const JOURNAL_LIMIT = 500;
const HINT_TIMEOUT_MS = 60_000;

export interface RollingDependencies {
  store: Store;
  queue: JobQueue;
  clock: Clock;
  parts: LiveParts;
  log: Logger;
  metrics: Metrics;
  changes: Changes;
  analyses: Pick<Analyses, 'get' | 'startRecovery'>;
  timeline: Pick<Timeline, 'watch'>;
  /** Named places at which tests end the process; nothing otherwise. */
  reach: (point: string) => void;
  complain: (what: string) => (error: unknown) => void;
}

/** Everything around rollbacks, wired to each other: the ledger, the executor and its guards, and who is told. */
export type Rolling = ReturnType<typeof createRolling>;

export function createRolling(deps: RollingDependencies) {
  const { store, queue, clock, parts, log, metrics, changes, analyses, timeline, reach, complain } = deps;
  const { deliveries, policies, repositories, forges, applications } = parts;
  const ledger = new Ledger({ store, clock, policies, repositories });
  const ledgerWatch = new LedgerWatch({
    ledger,
    store,
    clock,
    policies,
    deliveries,
    onFault: (application, error) => complain(`the ledger of ${application} could not be written`)(error),
  });
  const switches = new Switches({ store, clock, repositories, applications });
  const urlOf = ({ id }: Pick<Rollback, 'id'>): string | null => {
    const { publicUrl } = parts.current.config.server;
    return publicUrl === undefined ? null : `${publicUrl.replace(/\/+$/, '')}/api/v1/rollbacks/${id}`;
  };
  /** Figures for the pull request; an analysis that is kept no more has none. */
  const metricsOf = async ({ analysis }: Rollback): Promise<readonly MetricJudgement[]> => {
    if (analysis === null) return [];
    try {
      return (await analyses.get(analysis)).judgement?.metrics ?? [];
    } catch (error) {
      if (codeOf(error) !== 'analysis_unknown') throw error;
      return [];
    }
  };
  const onMoved = (rollback: Rollback) => {
    tellRollback(rollback, log, metrics, clock);
    notifier.soon(rollback.id);
    ledgerWatch.moved(rollback).catch(complain(`the ledger of ${rollback.application} could not be written`));
  };
  const reconciler = new Reconciler({
    store,
    clock,
    policies,
    repositories,
    lookAtClusters: (signal) => timeline.watch(signal),
    onLost: () => {
      metrics.error('state_lost');
      log.error({ code: 'state_lost' }, 'the store was emptied; automatic rollbacks wait until Git was read again');
      ledgerWatch.forget();
    },
    onRemembered: (own) => ledgerWatch.remembered(own),
    onReconciled: (done) => log.info(done, 'the store agrees with Git'),
    onFault: (repository, error) => complain(`repository ${repository} could not be compared with the store`)(error),
  });
  const self = randomUUID();
  const context: ExecutorContext = {
    store,
    clock,
    pause,
    self,
    changes,
    policies,
    repositories,
    deliveries,
    forgeOf: (repository) => forges.get(repository) ?? null,
    proposalOrder: async (rollback, signal) => {
      const { forge } = parts.current.config.repositories[rollback.repository] ?? { forge: 'none' as const };
      const about = {
        repository: repositoryOf(context, rollback),
        forge,
        metrics: await metricsOf(rollback),
        url: urlOf(rollback),
      };
      return proposalOrder(rollback, about, signal);
    },
    ledger,
    switches,
    get fleet() {
      return parts.current.fleet;
    },
    reconciled: (repository) => reconciler.reconciled(repository),
    recoveryOf: async ({ id, application, badCommit, analysis }) => {
      const before = analysis === null ? {} : (await analyses.get(analysis)).arguments;
      return analyses.startRecovery({ rollback: id, application, revision: badCommit, arguments: before });
    },
    onMoved,
    urlOf,
    reach,
  };
  const executor = new Executor(context);
  const rollbacks = new Rollbacks({
    store,
    queue,
    clock,
    changes,
    policies,
    repositories,
    deliveries,
    ledger,
    switches,
    get fleet() {
      return parts.current.fleet;
    },
    sketchOf: (rollback, signal) => sketchOf(context, rollback, signal),
    previewOf: (rollback, signal) => previewOf(context, rollback, signal),
    onMoved,
  });
  const returns = new ReturnWatch({
    store,
    clock,
    changes,
    policies,
    repositories,
    onMoved,
    onFault: (_rollback, error) => complain('it could not be seen whether what was taken out is back')(error),
  });
  const notifier = new Notifier({
    store,
    clock,
    channels: parts.channels,
    routes: () => parts.current.config.notify.routes,
    noticesOf: async (id) => {
      const record = await store.get('rollback', id);
      if (record === undefined) return { notices: [], version: 0 };
      const entries = await store.journal({ subject: id, limit: JOURNAL_LIMIT });
      const rollback = await rollbacks.get(id);
      return { notices: noticesOf(rollback, entries, urlOf(rollback)), version: record.version };
    },
    recent: async () => (parts.channels.size === 0 ? [] : (await store.list('rollback', { limit: MOST_RECENT })).records),
    self,
    onSent: (channel, outcome) => metrics.notice(channel, outcome),
    onFault: (channel, error) => complain(`channel ${channel} could not be told`)(error),
  });
  return {
    rollbacks,
    executor,
    reconciler,
    ledger,
    ledgerWatch,
    switches,
    returns,
    notifier,
    /** What a forge's webhook says is a hint: what it is about is looked at now, and not only at its next turn. */
    hinted: ({ repository, branch, kind }: { repository: string } & Pick<ForgeEvent, 'branch' | 'kind'>): void => {
      const id = branch === null ? null : rollbackOfBranch(branch);
      if (id !== null) rollbacks.wake(id).catch(complain('a rollback could not be woken'));
      else if (kind === 'push') {
        const pushed = repositories.get(repository);
        pushed?.refresh(AbortSignal.timeout(HINT_TIMEOUT_MS)).catch(complain(`repository ${repository} could not be fetched`));
      }
    },
    report: (application: string, since: number, signal: AbortSignal) =>
      reportOf({ store, clock, policies, repositories }, application, since, signal),
  };
}
