import type { Clock } from '../clock.ts';
import { committed } from '../commit.ts';
import { CodedError } from '../errors.ts';
import type { Job, JobQueue } from '../queue/port.ts';
import type { JournalEntry, RecordWrite, Store, StoredRecord } from '../store/port.ts';
import type { AlertActions } from './actions.ts';
import { afterwards, decide, failureEntry, needsLive, rollbackSentence, type Live, type Situation } from './decision.ts';
import { recordsOf } from './inlet.ts';
import { alertIdOf, type Notice } from './notice.ts';
import { alertIn, alertWrite, webhookIn, webhookWrite, type AlertRecord } from './record.ts';

export interface AlertHandlingContext {
  store: Store;
  queue: JobQueue;
  clock: Clock;
  actions: AlertActions;
  /** Names of the configured applications, as they are now. */
  isConfigured: (application: string) => boolean;
  /** Milliseconds after which an alert is not acted on any more, however often that failed. */
  windowMs: number;
  /** @param outcome `analysis`, `rollback`, `ignored`, `revision_unknown`, `failed`, `resolved` */
  onAlert: (application: string, outcome: string) => void;
  /** What was written down of alerts that came together. */
  onDecided?: (entries: readonly JournalEntry[]) => void;
}

/** Alerts that are decided in one commit; with their entries below what one takes. */
const GROUP = 40;
/** Consequences that are under way at the same time, for each job. */
const ACTING = 8;
/** Another process decided on the same alerts at the same moment; so often in a row is a fault. */
const MOST_TRIES = 20;
/** A job may be queued a moment before its record; later, there will be none: the sender was told to come again. */
const MOST_ATTEMPTS_WITHOUT = 3;
const PAGE = 200;

/** A decision that is stored, with its consequence still to come. */
interface Due {
  notice: Notice;
  record: AlertRecord;
  version: number;
  createdAt: number;
}

/**
 * Acts on the alerts of a webhook: the job of kind `webhook`, whose key is the id of the record.
 *
 * What an alert leads to is decided once and stored with its journal entry before it is done, so that a run after a crash
 * goes on with the same revision and the same analysis. What is not known, or cannot be had, leads to nothing.
 */
export class AlertHandling {
  readonly #context: AlertHandlingContext;

  constructor(context: AlertHandlingContext) {
    this.#context = context;
  }

  /** @throws the first passing failure, when everything else has been done; the job is to be run again then */
  async handle(job: Job, signal: AbortSignal): Promise<void> {
    const record = await this.#context.store.get('webhook', job.key);
    if (record === undefined && job.attempt <= MOST_ATTEMPTS_WITHOUT) {
      const sentence = 'the record of the webhook is not there yet; its job was faster';
      throw new CodedError('webhook_unknown', sentence, { retryable: true });
    }
    if (record?.index.open !== true) return;
    const { notices, truncated, ...rest } = webhookIn(record);
    const run = new Run(this.#context, { webhook: record.id, truncated: truncated > 0 }, signal);
    for (const group of groupsOf(notices)) await run.group(group);
    if (run.failures.length > 0) throw run.failures[0];
    const closed = { ...rest, truncated, notices: [] };
    const at = { expect: record.version, createdAt: record.createdAt, open: false };
    // Whoever was faster has handled the same record.
    await committed(this.#context.store, [webhookWrite(record.id, closed, at)]);
  }

  /** Queues every webhook that was not handled to its end; used at start and now and then. @returns how many */
  async drive(): Promise<number> {
    const { store, queue } = this.#context;
    let driven = 0;
    let before: string | undefined;
    do {
      const page = await store.list('webhook', { open: true, limit: PAGE, ...(before === undefined ? {} : { before }) });
      for (const { id } of page.records) await queue.enqueue({ kind: 'webhook', key: id });
      driven += page.records.length;
      before = page.next ?? undefined;
    } while (before !== undefined);
    return driven;
  }
}

/** One run of the job of one webhook. */
class Run {
  readonly failures: unknown[] = [];
  readonly #context: AlertHandlingContext;
  readonly #webhook: { webhook: string; truncated: boolean };
  readonly #signal: AbortSignal;
  readonly #live = new Map<string, Promise<Live>>();

  constructor(context: AlertHandlingContext, webhook: { webhook: string; truncated: boolean }, signal: AbortSignal) {
    this.#context = context;
    this.#webhook = webhook;
    this.#signal = signal;
  }

  /** @param notices of different alerts each */
  async group(notices: readonly Notice[]): Promise<void> {
    const due = await this.#decided(notices);
    const ended: { due: Due; failure: { code: string; sentence: string } | null }[] = [];
    for (let from = 0; from < due.length; from += ACTING) {
      this.#signal.throwIfAborted();
      const acted = await Promise.all(due.slice(from, from + ACTING).map((one) => this.#act(one)));
      ended.push(...acted.filter((one) => one !== null));
    }
    await this.#markDone(ended);
  }

  /** Decides and stores. @returns what was decided by this webhook and has its consequence still to come */
  async #decided(notices: readonly Notice[]): Promise<Due[]> {
    const { store, onAlert, onDecided } = this.#context;
    for (let tries = 1; ; tries++) {
      this.#signal.throwIfAborted();
      const records = await recordsOf(store, 'alert', notices.map(alertIdOf));
      const writes: RecordWrite[] = [];
      const entries: JournalEntry[] = [];
      const due: Due[] = [];
      for (const [at, told] of notices.entries()) {
        const record = records[at];
        const notice = this.#isLate(told) ? { ...told, ignored: told.ignored ?? ('too_old' as const) } : told;
        const situation = this.#situation(notice, record);
        const live = needsLive(notice, situation) ? await this.#liveAt(notice) : null;
        if (live === 'failed') continue;
        const decision = decide(notice, situation, live);
        const createdAt = record?.createdAt ?? situation.now;
        const version = record?.version ?? 0;
        if (decision !== null) {
          writes.push(alertWrite(notice, decision.next, version, createdAt));
          entries.push(decision.entry);
        }
        const value = decision?.next ?? (record === undefined ? null : alertIn(record));
        const mine = value?.firing?.webhook === this.#webhook.webhook && !value.firing.done && notice.status === 'firing';
        if (value !== null && mine)
          due.push({ notice, record: value, version: version + (decision === null ? 0 : 1), createdAt });
      }
      if (writes.length === 0) return due;
      if (await committed(store, writes, entries)) {
        for (const { event, application } of entries) onAlert(application, event.slice('alert.'.length));
        onDecided?.(entries);
        return due;
      }
      if (tries >= MOST_TRIES) throw contended();
    }
  }

  #situation(notice: Notice, record: StoredRecord | undefined): Situation {
    const configured = this.#context.isConfigured(notice.application);
    return { record, configured, now: this.#context.clock.now(), ...this.#webhook };
  }

  #isLate({ status, alert }: Notice): boolean {
    return status === 'firing' && Date.parse(alert.startsAt) < this.#context.clock.now() - this.#context.windowMs;
  }

  /** Asked once for an application and a moment. `failed`: it passes, and the alert waits for the next run. */
  async #liveAt({ application, alert }: Notice): Promise<Live | 'failed'> {
    const key = `${application}\n${alert.startsAt}`;
    const asked = this.#live.get(key) ?? this.#askLive(application, Date.parse(alert.startsAt));
    this.#live.set(key, asked);
    try {
      return await asked;
    } catch (error) {
      this.#fail(error);
      return 'failed';
    }
  }

  async #askLive(application: string, at: number): Promise<Live> {
    try {
      return (await this.#context.actions.liveAt(application, at, this.#signal)) ?? { unknown: 'revision_unknown' };
    } catch (error) {
      if (!isFinal(error)) throw error;
      return { failed: error.code, sentence: error.message };
    }
  }

  /** @returns null when the consequence did not come about, and is tried again */
  async #act(due: Due): Promise<{ due: Due; failure: { code: string; sentence: string } | null } | null> {
    const { actions } = this.#context;
    const { application, alert } = due.notice;
    const { revision = null, liveSince = null, outcome } = due.record.firing ?? {};
    if (revision === null || liveSince === null) return { due, failure: null };
    if (this.#isLate(due.notice))
      return { due, failure: { code: 'too_old', sentence: 'it could not be acted on in time (alerts.window)' } };
    try {
      if (outcome === 'rollback') {
        await actions.rollback({ application, revision, alert: alert.name, sentence: rollbackSentence(due.notice) });
      } else {
        const { name, fingerprint } = alert;
        const known = { name, fingerprint, startsAt: Date.parse(alert.startsAt) };
        await actions.confirm({ id: alertIdOf(due.notice), application, revision, liveSince, alert: known }, this.#signal);
      }
      return { due, failure: null };
    } catch (error) {
      if (isFinal(error)) return { due, failure: { code: error.code, sentence: error.message } };
      this.#fail(error);
      return null;
    }
  }

  async #markDone(ended: readonly { due: Due; failure: { code: string; sentence: string } | null }[]): Promise<void> {
    const { store, onAlert, onDecided } = this.#context;
    let left = ended;
    for (let tries = 1; left.length > 0; tries++) {
      const entries = left.flatMap(({ due, failure }) => {
        return failure === null ? [] : [failureEntry(due.notice, this.#situation(due.notice, undefined), failure)];
      });
      const writes = left.map(({ due, failure }) =>
        alertWrite(due.notice, afterwards(due.record, failure), due.version, due.createdAt),
      );
      if (await committed(store, writes, entries)) {
        for (const { application } of entries) onAlert(application, 'failed');
        onDecided?.(entries);
        return;
      }
      if (tries >= MOST_TRIES) throw contended();
      // Some of them have ended meanwhile.
      const records = await recordsOf(
        store,
        'alert',
        left.map(({ due }) => alertIdOf(due.notice)),
      );
      left = left.flatMap(({ due, failure }, at) => {
        const record = records[at];
        return record === undefined ? [] : [{ due: { ...due, record: alertIn(record), version: record.version }, failure }];
      });
    }
  }

  #fail(error: unknown): void {
    this.#signal.throwIfAborted();
    if (!this.failures.includes(error)) this.failures.push(error);
  }
}

/** In the order of arrival; one group has an alert once, so that its end is decided after its beginning. */
function* groupsOf(notices: readonly Notice[]): Generator<Notice[]> {
  let group: Notice[] = [];
  let ids = new Set<string>();
  for (const notice of notices) {
    const id = alertIdOf(notice);
    if (group.length === GROUP || ids.has(id)) {
      yield group;
      group = [];
      ids = new Set();
    }
    group.push(notice);
    ids.add(id);
  }
  if (group.length > 0) yield group;
}

/** Trying again cannot help: what the alert asks for is not possible. */
function isFinal(error: unknown): error is CodedError {
  return error instanceof CodedError && !error.retryable && error.code !== 'conflict';
}

function contended(): CodedError {
  const sentence = `others decided on the same alerts ${MOST_TRIES} times in a row; they are decided on again`;
  return new CodedError('conflict', sentence, { retryable: true });
}
