import { pino } from 'pino';
import { isFinal, type Analysis, type AnalysisRequest, type Measurements } from '../../src/analysis/record.ts';
import { Changes } from '../../src/changes.ts';
import { systemClock } from '../../src/clock.ts';
import { CodedError } from '../../src/errors.ts';
import type { HttpDependencies } from '../../src/http/dependencies.ts';
import { EXAMPLES } from '../../src/http/examples.ts';
import type { JudgeTask, Judgement } from '../../src/judges/judge.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import type { LedgerEntry } from '../../src/ledger/record.ts';
import type { Report } from '../../src/rollback/report.ts';
import type { Rollback } from '../../src/rollback/record.ts';
import type { Switch, SwitchRequest } from '../../src/rollback/switches.ts';
import type { ChainedEntry } from '../../src/store/port.ts';

/** Analyses in memory: as strict as the real ones about names, keys and phases, without templates and ticks. */
export class AnalysesInMemory {
  readonly changes = new Changes();
  readonly records = new Map<string, Analysis>();
  readonly startedBy: { name: string; idempotencyKey: string | null }[] = [];
  readonly #keys = new Map<string, { id: string; asked: string }>();
  /** Thrown by every call while it is set. */
  fault: Error | undefined;
  reads = 0;

  async start(request: AnalysisRequest, by: { name: string; idempotencyKey: string | null }) {
    this.#check();
    if (request.application !== 'shop') {
      throw new CodedError('application_unknown', `there is no application "${request.application}"`, {
        details: { nearest: 'shop' },
      });
    }
    this.startedBy.push(by);
    const asked = JSON.stringify(request);
    const known = by.idempotencyKey === null ? undefined : this.#keys.get(by.idempotencyKey);
    if (known !== undefined) {
      if (known.asked !== asked) throw new CodedError('idempotency_mismatch', 'the key was used for another request');
      return { analysis: this.#record(known.id), created: false };
    }
    const id = `an-${this.records.size + 1}`;
    if (by.idempotencyKey !== null) this.#keys.set(by.idempotencyKey, { id, asked });
    const analysis: Analysis = {
      ...(EXAMPLES['Analysis'] as Analysis),
      id,
      phase: 'Pending',
      verdict: null,
      judgement: null,
      rollback: null,
      arguments: request.arguments ?? {},
    };
    this.records.set(id, analysis);
    return { analysis, created: true };
  }

  async get(id: string): Promise<Analysis> {
    this.#check();
    this.reads += 1;
    return this.#record(id);
  }

  async measurements(id: string): Promise<Measurements> {
    this.#record(id);
    return {
      series: { errors: { type: 'gauge', canary: [1, null], baseline: null } },
      times: [1, 2],
      cursors: { pages: { raw: 1 } },
      resumed: [],
    };
  }

  async list(query: { application?: string; phase?: string; before?: string; limit: number }) {
    this.#check();
    const all = [...this.records.values()]
      .reverse()
      .filter(({ phase }) => query.phase === undefined || phase === query.phase)
      .filter(({ application }) => query.application === undefined || application === query.application);
    const from = query.before === undefined ? 0 : Number(query.before);
    const items = all.slice(from, from + query.limit);
    return { items, next: from + items.length < all.length ? String(from + items.length) : null };
  }

  async cancel(id: string): Promise<Analysis> {
    if (isFinal(this.#record(id).phase)) throw new CodedError('analysis_ended', 'the analysis has ended');
    return this.move(id, { phase: 'Cancelled' });
  }

  /** What a tick would do. */
  move(id: string, change: Partial<Analysis>, announce = true): Analysis {
    const next = { ...this.#record(id), ...change };
    this.records.set(id, next);
    if (announce) this.changes.announce(id);
    return next;
  }

  #check(): void {
    if (this.fault !== undefined) throw this.fault;
  }

  #record(id: string): Analysis {
    const record = this.records.get(id);
    if (record === undefined) throw new CodedError('analysis_unknown', `there is no analysis "${id}"`);
    return record;
  }
}

/** Rollbacks in memory, with the states that the API's answers depend on. */
export class RollbacksInMemory {
  readonly records = new Map<string, Rollback>();
  readonly calls: unknown[] = [];

  async request(request: { application: string; revision: string; reason: string }, by: { name: string }) {
    this.calls.push({ request, by });
    if (request.revision.startsWith('dead')) throw new CodedError('commit_unknown', 'the repository does not have this commit');
    return { rollback: this.add({ state: 'planned' }), created: true };
  }

  add(change: Partial<Rollback>): Rollback {
    const rollback: Rollback = { ...(EXAMPLES['Rollback'] as Rollback), id: `rb-${this.records.size + 1}`, ...change };
    this.records.set(rollback.id, rollback);
    return rollback;
  }

  async get(id: string): Promise<Rollback> {
    const record = this.records.get(id);
    if (record === undefined) throw new CodedError('rollback_unknown', `there is no rollback "${id}"`);
    return record;
  }

  async journal(id: string): Promise<ChainedEntry[]> {
    await this.get(id);
    const entry = {
      at: 1,
      event: 'rollback.decided',
      application: 'shop',
      subject: id,
      code: 'analysis',
      sentence: 'bad',
      details: {},
    };
    return [{ ...entry, number: 1, previous: '0'.repeat(64), hash: 'a'.repeat(64) }];
  }

  async list(query: { application?: string; state?: string; before?: string; limit: number }) {
    const items = [...this.records.values()]
      .filter(({ state }) => query.state === undefined || state === query.state)
      .filter(({ application }) => query.application === undefined || application === query.application);
    return { items: items.slice(0, query.limit), next: null };
  }

  async preview(request: { application: string; revision?: string; reason: string }) {
    this.calls.push({ preview: request });
    const { application, badCommit, mode, plan } = this.add({ state: 'planned' });
    this.records.clear();
    return { application, badCommit, mode, state: null, code: 'planned', sentence: 'as asked', good: null, plan, guards: [] };
  }

  async approve(id: string, { plan = '' }: { plan?: string }, by: { name: string }): Promise<Rollback> {
    const rollback = await this.get(id);
    if (rollback.state !== 'held') throw new CodedError('rollback_not_held', `the rollback is ${rollback.state}`);
    if (rollback.plan?.hash !== plan) throw new CodedError('plan_changed', 'the plan is another one by now');
    const at = '2026-05-04T09:31:00.000Z';
    return { ...rollback, state: 'planned', approvals: [{ by: by.name, at, plan, expiresAt: at }] };
  }

  async refuse(id: string, by: { name: string; reason: string }): Promise<Rollback> {
    this.calls.push(by);
    const rollback = await this.get(id);
    if (rollback.state !== 'held') throw new CodedError('rollback_final', `the rollback is ${rollback.state}`);
    return { ...rollback, state: 'refused' };
  }
}

/** Kill switches in memory. */
export class SwitchesInMemory {
  readonly all: Switch[] = [];

  async set(request: SwitchRequest, by: { name: string }): Promise<Switch> {
    const { scope, name = null, stopped, reason } = request;
    const set: Switch = { scope, name, stopped, reason, by: by.name, at: '2026-05-04T09:31:00.000Z' };
    this.all.push(set);
    return set;
  }

  async list(): Promise<Switch[]> {
    return this.all;
  }
}

/** A ledger in memory, of the application shop. */
export class LedgerInMemory {
  readonly entries: LedgerEntry[] = [EXAMPLES['LedgerEntry'] as LedgerEntry];

  async list(application: string, query: { standing?: string; before?: string; limit: number }) {
    if (application !== 'shop') throw new CodedError('application_unknown', `there is no application "${application}"`);
    const items = this.entries.filter(({ standing }) => query.standing === undefined || standing === query.standing);
    const from = query.before === undefined ? 0 : Number(query.before);
    const next = from + query.limit < items.length ? String(from + query.limit) : null;
    return { items: items.slice(from, from + query.limit), next };
  }

  markGood = async (application: string, revision: string, word: { by: string; reason: string }) =>
    this.#mark('good', application, revision, word);
  markBad = async (application: string, revision: string, word: { by: string; reason: string }) =>
    this.#mark('bad', application, revision, word);

  #mark(standing: 'good' | 'bad', application: string, revision: string, word: { by: string; reason: string }): LedgerEntry {
    if (revision.startsWith('dead')) throw new CodedError('commit_unknown', 'the repository does not have this commit');
    const full = revision.padEnd(40, '0');
    const entry = { ...(EXAMPLES['LedgerEntry'] as LedgerEntry), application, revision: full, standing, rank: null, ...word };
    this.entries.unshift(entry);
    return entry;
  }
}

/** Everything that the HTTP room needs, in memory; the log goes into `lines`. */
export function standIns(change: Partial<HttpDependencies> = {}) {
  const analyses = new AnalysesInMemory();
  const rollbacks = new RollbacksInMemory();
  const switches = new SwitchesInMemory();
  const ledger = new LedgerInMemory();
  const lines: string[] = [];
  const tasks: JudgeTask[] = [];
  const judge = {
    name: 'exact',
    judge(task: JudgeTask): Judgement {
      tasks.push(task);
      return EXAMPLES['Judgement'] as Judgement;
    },
  };
  const metrics = createMetrics({ version: '0.0.0', applications: ['shop'], sources: [] });
  const deps: HttpDependencies = {
    analyses,
    rollbacks,
    switches,
    ledger,
    report: async (application) => {
      if (application !== 'shop') throw new CodedError('application_unknown', `there is no application "${application}"`);
      return EXAMPLES['Report'] as Report;
    },
    judge: (name) => (name === judge.name ? judge : undefined),
    changes: analyses.changes,
    metrics,
    log: pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) }),
    tokens: [],
    maxBodyBytes: 1_048_576,
    readiness: () => Promise.resolve([{ name: 'store', ok: true, sentence: 'it answers' }]),
    clock: systemClock,
    ...change,
  };
  return { analyses, rollbacks, switches, ledger, lines, tasks, metrics, deps };
}
