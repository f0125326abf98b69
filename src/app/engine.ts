import { randomUUID } from 'node:crypto';
import { Analyses } from '../analysis/analyses.ts';
import { Conductor } from '../analysis/conductor.ts';
import { revisionOf } from '../analysis/revision.ts';
import { Timeline } from '../analysis/timeline.ts';
import { Changes } from '../changes.ts';
import type { Clock } from '../clock.ts';
import type { DeliveryState } from '../delivery/port.ts';
import { judgeNamed } from '../judges/registry.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import { tracedJudge } from '../observability/traced.ts';
import type { Tracing } from '../observability/tracing.ts';
import type { JobQueue } from '../queue/port.ts';
import type { Store } from '../store/port.ts';
import type { LiveParts } from './parts.ts';
import { createRolling } from './rolling.ts';
import { tellAnalysis, tellingReads } from './telling.ts';

const LOOKUP_TIMEOUT_MS = 10_000;

export interface EngineDependencies {
  store: Store;
  queue: JobQueue;
  clock: Clock;
  parts: LiveParts;
  log: Logger;
  metrics: Metrics;
  /** Named places at which tests end the process; nothing otherwise. */
  reach: (point: string) => void;
  complain: (what: string) => (error: unknown) => void;
  /** Null: nobody looks at spans. */
  tracing: Tracing | null;
}

/** The use cases and what drives them, wired to each other; they know the world as ports only. */
export type Engine = ReturnType<typeof createEngine>;

export function createEngine(deps: EngineDependencies) {
  const { store, queue, clock, parts, log, metrics, reach, complain, tracing } = deps;
  const { applications, deliveries, policies, repositories, sources } = parts;
  const changes = new Changes();
  const stateOf = async (application: string, signal: AbortSignal): Promise<DeliveryState | null> => {
    const delivery = deliveries.get(application);
    if (delivery?.can.observe !== true) return null;
    try {
      return await delivery.observe(signal);
    } catch (error) {
      signal.throwIfAborted();
      complain('a delivery could not be asked what it runs')(error);
      return null;
    }
  };
  const canObserve = (application: string) => deliveries.get(application)?.can.observe === true;
  const timeline = new Timeline({
    store,
    clock,
    deliveries,
    onFault: (application, error) => complain(`the delivery of ${application} could not be asked what it runs`)(error),
    onSeen: (application, state, signal) => rolling.ledgerWatch.see(application, state, signal),
  });
  const analyses = new Analyses({
    store,
    queue,
    clock,
    changes,
    applications,
    newId: () => randomUUID(),
    revisionOf: (application, named) => {
      const repository = repositories.get(policies.get(application)?.repository ?? '');
      const from = { application, repository, delivery: deliveries.get(application) };
      return revisionOf(named, from, AbortSignal.timeout(LOOKUP_TIMEOUT_MS));
    },
    stateOf,
    canObserve,
    knowsStart: (application, live, signal) => timeline.knowsStart(application, live, signal),
    onStarted: ({ application, kind, revision }) => {
      metrics.analysisStarted(application);
      if (kind === 'release') {
        rolling.ledger.noteLive(application, revision, clock.now()).catch(complain('what is released could not be stored'));
      }
      if (kind !== 'release' || canObserve(application)) return;
      // Nobody else can tell what is live: the analysis of a release says so.
      const state = { canary: revision, stable: null, phase: 'progressing' as const };
      timeline.see(application, state).catch(complain('what is released could not be stored'));
    },
  });
  const rolling = createRolling({ store, queue, clock, parts, log, metrics, changes, analyses, timeline, reach, complain });
  const { rollbacks, ledgerWatch } = rolling;
  const tellRead = tellingReads(log, clock);
  const conductor = new Conductor({
    store,
    clock,
    changes,
    applications,
    sources,
    judgeNamed: (name) => tracedJudge(tracing, name, judgeNamed(name)),
    reach,
    stateOf,
    canObserve,
    rollbackOf: (analysis) => (analysis.kind === 'recovery' ? analysis.rollback : rollbacks.idFor(analysis)),
    onEnded: async (analysis) => {
      if (analysis.kind !== 'recovery') return { rollback: await rollbacks.decide(analysis) };
      if (analysis.rollback !== null) await rollbacks.wake(analysis.rollback);
      return { rollback: analysis.rollback };
    },
    onTick: ({ decided, seconds }) => metrics.tick(decided ? 'decided' : 'measured', seconds),
    onRead: ({ source, missing, seconds }) => {
      metrics.sourceRead(source, missing.length === 0 ? 'ok' : 'missing', seconds);
      tellRead(source, missing);
    },
    onSettled: (analysis) => {
      tellAnalysis(analysis, log, metrics);
      ledgerWatch.ended(analysis).catch(complain(`the ledger of ${analysis.application} could not be written`));
    },
  });
  return {
    analyses,
    conductor,
    changes,
    timeline,
    ...rolling,
    /** Queues what is open again, so that a job that was lost is no analysis or rollback that is lost. */
    async drive(): Promise<void> {
      await analyses.drive();
      await rollbacks.drive();
    },
  };
}
