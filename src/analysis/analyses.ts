import { createHash } from 'node:crypto';
import type { Changes } from '../changes.ts';
import type { Clock } from '../clock.ts';
import { committed } from '../commit.ts';
import { CodedError } from '../errors.ts';
import type { DeliveryState } from '../delivery/port.ts';
import type { JobQueue } from '../queue/port.ts';
import type { RecordWrite, Store, StoredRecord } from '../store/port.ts';
import { refuseUnlisted } from './arguments.ts';
import { noMeasurements } from './measuring.ts';
import { applicationUnknown } from './nearest.ts';
import type { AnalysisPlan } from './plan.ts';
import { isFinal, type Analysis, type AnalysisRequest, type Measurements } from './record.ts';
import { sameCommit } from './revision.ts';
import { endEntry, ended } from './run.ts';

/** What an analysis needs to know of an application. */
export interface AnalysedApplication {
  name: string;
  plan: AnalysisPlan;
  arguments: Readonly<Record<string, string>>;
  /** Names of those that a request may set instead. */
  requestArguments: readonly string[];
}

export interface AnalysesContext {
  store: Store;
  queue: JobQueue;
  clock: Clock;
  changes: Changes;
  applications: ReadonlyMap<string, AnalysedApplication>;
  newId(): string;
  /**
   * The full id of the revision that a request means; without one, what the delivery says is being released.
   * @throws CodedError `revision_unknown`
   */
  revisionOf(application: string, named: string | null): Promise<string>;
  /** What the delivery runs; null when it cannot be asked. */
  stateOf(application: string, signal: AbortSignal): Promise<DeliveryState | null>;
  /** Whether the delivery of the application can say what it runs. */
  canObserve(application: string): boolean;
  /** Whether it is known when the revision went live, and not only when davylamp first looked. */
  knowsStart(application: string, live: { revision: string; since: number }, signal: AbortSignal): Promise<boolean>;
  onStarted(analysis: Analysis): void;
}

interface KeyRecord {
  analysis: string;
  asked: string;
}

/** The use cases around analyses: start, look, list, cancel. What happens at a tick is in `conductor.ts`. */
export class Analyses {
  readonly #context: AnalysesContext;

  constructor(context: AnalysesContext) {
    this.#context = context;
  }

  /**
   * Stores the request, then queues its first tick; when it resolves, nothing of it can be lost.
   *
   * @param by.idempotencyKey the same key of the same caller yields the same analysis
   * @throws CodedError `application_unknown` (details.nearest), `argument_refused`, `revision_unknown`,
   *   `idempotency_mismatch`, `store_unavailable`, `queue_unavailable`
   */
  async start(
    request: AnalysisRequest,
    by: { name: string; idempotencyKey: string | null },
  ): Promise<{ analysis: Analysis; created: boolean }> {
    const application = this.#application(request.application);
    const asked = digest(JSON.stringify([request.application, request.revision ?? null, sortedEntries(request.arguments ?? {})]));
    const keyId = by.idempotencyKey === null ? null : digest(`${by.name}\n${by.idempotencyKey}`);
    if (keyId !== null) {
      const earlier = await this.#earlier(keyId, asked);
      if (earlier !== null) return { analysis: await this.#queued(earlier), created: false };
    }
    refuseUnlisted(request.arguments ?? {}, application);
    const revision = await this.#context.revisionOf(request.application, request.revision ?? null);
    const analysis = this.#fresh(application, revision, request.arguments ?? {});
    const writes = recordsOf(
      analysis,
      noMeasurements(application.plan, application.plan.template.baseline !== undefined),
      0,
      this.#context.clock.now(),
    );
    if (keyId !== null) {
      const value: KeyRecord = { analysis: analysis.id, asked };
      writes.push({ kind: 'idempotency', id: keyId, expect: 0, createdAt: this.#context.clock.now(), index: {}, value });
    }
    if (!(await committed(this.#context.store, writes))) {
      const earlier = keyId === null ? null : await this.#earlier(keyId, asked);
      if (earlier === null) throw new CodedError('conflict', 'the analysis is there already; ask again', { retryable: true });
      return { analysis: await this.#queued(earlier), created: false };
    }
    this.#context.onStarted(analysis);
    return { analysis: await this.#queued(analysis), created: true };
  }

  /**
   * Starts the check whether the metrics came back after a rollback. The id follows from the rollback's, so that it
   * is started once however often it is asked for.
   */
  async startRecovery(order: {
    rollback: string;
    application: string;
    revision: string;
    arguments: Readonly<Record<string, string>>;
  }): Promise<Analysis> {
    const application = this.#application(order.application);
    const id = `recovery-${order.rollback}`;
    const known = await this.#context.store.get('analysis', id);
    if (known !== undefined) return this.#queued(analysisIn(known));
    const { plan } = application;
    const analysis: Analysis = {
      ...this.#fresh(application, order.revision, order.arguments),
      id,
      kind: 'recovery',
      ticks: { planned: plan.recoveryTicks, done: 0, warmup: 0, everyMs: plan.everyMs },
      rollback: order.rollback,
    };
    await this.#created(analysis, noMeasurements(plan, false));
    return this.#queued(await this.get(id));
  }

  /**
   * Starts the analysis that finds out whether a revision is to blame for an alert. The id is the caller's, so that one
   * alert has one analysis however often it is told.
   *
   * @param order.liveSince when the revision went live, milliseconds since the epoch
   * @throws CodedError `application_unknown`, `store_unavailable`, `queue_unavailable`
   */
  async confirm(
    order: {
      id: string;
      application: string;
      revision: string;
      liveSince: number;
      alert: { name: string; fingerprint: string; startsAt: number };
    },
    signal: AbortSignal,
  ): Promise<{ analysis: Analysis; created: boolean }> {
    const application = this.#application(order.application);
    const known = await this.#context.store.get('analysis', order.id);
    if (known !== undefined) return { analysis: await this.#queued(analysisIn(known)), created: false };
    const { template } = application.plan;
    const state = await this.#context.stateOf(order.application, signal);
    if (state === null && this.#context.canObserve(order.application)) {
      const sentence = `what ${order.application} runs cannot be asked now, so it is not known what its alert is about`;
      throw new CodedError('delivery_unreachable', sentence, { retryable: true });
    }
    const isCanary = state === null || (state.canary !== null && sameCommit(state.canary, order.revision));
    const live = { revision: order.revision, since: order.liveSince };
    const startKnown = await this.#context.knowsStart(order.application, live, signal);
    const comparison = template.baseline !== undefined && isCanary ? 'baseline' : 'before-after';
    const { name, fingerprint, startsAt } = order.alert;
    const analysis: Analysis = {
      ...this.#fresh(application, order.revision, {}),
      id: order.id,
      kind: 'confirmation',
      confirmation: {
        comparison,
        liveSince: new Date(order.liveSince).toISOString(),
        startKnown,
        alert: { name, fingerprint, startsAt: new Date(startsAt).toISOString() },
      },
    };
    const twoSided = comparison === 'baseline' || template.control !== undefined;
    const created = await this.#created(analysis, noMeasurements(application.plan, twoSided));
    if (created) this.#context.onStarted(analysis);
    return { analysis: await this.#queued(created ? analysis : await this.get(order.id)), created };
  }

  /** @throws CodedError `analysis_unknown` */
  async get(id: string): Promise<Analysis> {
    return analysisIn(await this.#record(id));
  }

  /** @throws CodedError `analysis_unknown` */
  async measurements(id: string): Promise<Measurements> {
    await this.#record(id);
    const record = await this.#context.store.get('measurements', id);
    if (record === undefined) throw unknown(id);
    return measurementsIn(record);
  }

  async list(query: {
    application?: string;
    phase?: string;
    before?: string;
    limit: number;
  }): Promise<{ items: Analysis[]; next: string | null }> {
    const { phase, ...rest } = query;
    const page = await this.#context.store.list('analysis', { ...rest, ...(phase === undefined ? {} : { state: phase }) });
    return { items: page.records.map(analysisIn), next: page.next };
  }

  /**
   * Ends an analysis without a verdict; nothing is rolled back because of it.
   * @throws CodedError `analysis_unknown`, `analysis_ended`
   */
  async cancel(id: string, by: { name: string }): Promise<Analysis> {
    for (;;) {
      const record = await this.#record(id);
      const analysis = analysisIn(record);
      if (isFinal(analysis.phase)) {
        throw new CodedError(
          'analysis_ended',
          `the analysis ended already with phase ${analysis.phase}; there is nothing to cancel`,
        );
      }
      const cancelled = ended(
        analysis,
        { phase: 'Cancelled', verdict: null, code: 'cancelled', sentence: `cancelled by ${by.name}` },
        this.#context.clock.now(),
      );
      const entry = endEntry(cancelled, this.#context.clock.now());
      const write = writeOf(cancelled, record.version, record.createdAt, true);
      if (!(await committed(this.#context.store, [write], [entry]))) continue;
      this.#context.changes.announce(id);
      // The open record is settled (journal, metrics) by one last run of its job.
      await this.#context.queue.enqueue({ kind: 'tick', key: id });
      return cancelled;
    }
  }

  /** Queues every analysis that is not settled; used at start and now and then, so that a lost job is no lost analysis. */
  async drive(): Promise<number> {
    let driven = 0;
    let before: string | undefined;
    do {
      const page = await this.#context.store.list('analysis', {
        open: true,
        limit: 200,
        ...(before === undefined ? {} : { before }),
      });
      for (const record of page.records) await this.#queued(analysisIn(record));
      driven += page.records.length;
      before = page.next ?? undefined;
    } while (before !== undefined);
    return driven;
  }

  /** False when another process was faster. */
  async #created(analysis: Analysis, measurements: Measurements): Promise<boolean> {
    return committed(this.#context.store, recordsOf(analysis, measurements, 0, this.#context.clock.now()));
  }

  #application(name: string): AnalysedApplication {
    const application = this.#context.applications.get(name);
    if (application !== undefined) return application;
    throw applicationUnknown(name, this.#context.applications.keys());
  }

  #fresh(application: AnalysedApplication, revision: string, overrides: Readonly<Record<string, string>>): Analysis {
    const { plan } = application;
    return {
      id: this.#context.newId(),
      kind: 'release',
      application: application.name,
      revision,
      template: plan.templateName,
      templateDigest: plan.digest,
      judge: plan.judge,
      arguments: { ...application.arguments, ...overrides },
      phase: 'Pending',
      verdict: null,
      code: 'queued',
      sentence: 'stored and queued; the first look comes at once',
      ticks: { planned: plan.planned, done: 0, warmup: plan.warmup, everyMs: plan.everyMs },
      createdAt: new Date(this.#context.clock.now()).toISOString(),
      startedAt: null,
      endedAt: null,
      nextTickAt: null,
      judgement: null,
      warnings: [],
      rollback: null,
    };
  }

  async #queued(analysis: Analysis): Promise<Analysis> {
    const notBefore = analysis.nextTickAt === null ? undefined : Date.parse(analysis.nextTickAt);
    await this.#context.queue.enqueue({ kind: 'tick', key: analysis.id, ...(notBefore === undefined ? {} : { notBefore }) });
    return analysis;
  }

  async #earlier(keyId: string, asked: string): Promise<Analysis | null> {
    const record = await this.#context.store.get('idempotency', keyId);
    if (record === undefined) return null;
    const known = record.value as KeyRecord;
    if (known.asked !== asked) {
      throw new CodedError(
        'idempotency_mismatch',
        'this Idempotency-Key came before with a different request; use a new key for a new request',
      );
    }
    return this.get(known.analysis);
  }

  async #record(id: string): Promise<StoredRecord> {
    const record = await this.#context.store.get('analysis', id);
    if (record === undefined) throw unknown(id);
    return record;
  }
}

function unknown(id: string): CodedError {
  return new CodedError('analysis_unknown', `there is no analysis "${id}"; it may have been removed, or the id is mistyped`);
}

function sortedEntries(values: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(values).toSorted(([one], [other]) => (one < other ? -1 : 1));
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** Records are written by this module only, so their shape is known. */
export function analysisIn(record: StoredRecord): Analysis {
  return record.value as Analysis;
}

export function measurementsIn(record: StoredRecord): Measurements {
  return record.value as Measurements;
}

export function writeOf(analysis: Analysis, expect: number, createdAt: number, open: boolean): RecordWrite {
  return {
    kind: 'analysis',
    id: analysis.id,
    expect,
    createdAt,
    index: { application: analysis.application, state: analysis.phase, open },
    value: analysis,
  };
}

export function recordsOf(analysis: Analysis, measurements: Measurements, expect: number, createdAt: number): RecordWrite[] {
  return [
    writeOf(analysis, expect, createdAt, true),
    {
      kind: 'measurements',
      id: analysis.id,
      expect,
      createdAt,
      index: { application: analysis.application },
      value: measurements,
    },
  ];
}
