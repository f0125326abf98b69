import type { Clock } from '../clock.ts';
import { CodedError } from '../errors.ts';
import type { JobQueue } from '../queue/port.ts';
import type { RecordKind, Store, StoredRecord } from '../store/port.ts';
import { alertIdOf, noticeFor, told, webhookIdOf, type Notice, type NoticeRules, type Told } from './notice.ts';
import { isKnown, webhookWrite } from './record.ts';
import type { Labels, Route } from './routing.ts';
import { RecentNotices } from './seen.ts';
import type { AlertReceipt, AlertmanagerWebhook } from './webhook.ts';

export interface AlertInletContext {
  store: Store;
  queue: JobQueue;
  clock: Clock;
  routing: (labels: Labels) => readonly Route[];
  rules: NoticeRules;
  /** Waits; between two writes under load, so that more webhooks share the second one. */
  pause: (milliseconds: number) => Promise<void>;
  /** @param outcome `unmatched` (no application), `duplicate`; what accepted ones led to is told by `AlertHandling` */
  onAlert: (application: string | null, outcome: string) => void;
  /** @param truncated alerts that the sender left out */
  onWebhook: (result: 'accepted' | 'repeated' | 'unmatched', truncated: number) => void;
}

/** Notices of one record: bounds its size and how long its job runs. */
const MAX_RECORD_NOTICES = 1_000;
/** Notices that share one write. */
const MAX_BATCH_NOTICES = 4_000;
/** Notices that may wait for the store; more are refused, and sent again by the Alertmanager. */
const MAX_WAITING_NOTICES = 100_000;
const MAX_IDS = 1_000;
/** How long alerts gather for the next write after one that several webhooks shared. */
const GATHER_MS = 40;
/** What began so short a time ago is not looked for in the store: no restart and no repeat lies in between. */
const YOUNG_MS = 45_000;
/** After so long without a word from the store, it is asked whether it is there, while repeats are answered … */
const PROBE_MS = 1_000;
/** … and after so long without an answer even repeats wait for it. */
const TRUST_MS = 5_000;

/** One webhook on its way to the store. */
interface Ask {
  /** Those of one alert follow one another, and share what they say of it. */
  notices: readonly Notice[];
  truncated: number;
  /** When the oldest of its alerts began, milliseconds since the epoch. */
  oldest: number;
  /** What becomes of it; alerts that concern nobody are counted already. */
  receipt: AlertReceipt;
  resolve: (receipt: AlertReceipt) => void;
  reject: (error: unknown) => void;
}

const NOTHING: readonly Notice[] = [];

/**
 * Takes alerts in: thins out what is known, stores the rest, then answers. What is stored is acted on by `AlertHandling`.
 *
 * Webhooks that arrive while a write is under way share the next one. The id of a record follows from what it holds: of
 * two processes that are told the same at the same time, one stores it. Alerts are told apart by application, fingerprint,
 * beginning and status; neither by group nor by sender, which differ between two Alertmanagers.
 */
export class AlertInlet {
  readonly #context: AlertInletContext;
  readonly #stored = new RecentNotices();
  #waiting: Ask[] = [];
  #waitingNotices = 0;
  #running = false;
  /** When the store last answered, on the clock. */
  #heardAt = -Infinity;

  constructor(context: AlertInletContext) {
    this.#context = context;
  }

  /**
   * @param isAllowed whether the sender may speak of the application; for it, the others do not exist
   * @returns when everything that is new is durable and queued
   * @throws CodedError `store_unavailable`, `queue_unavailable` and what else the two say when they cannot; all retryable
   */
  receive(webhook: AlertmanagerWebhook, isAllowed: (application: string) => boolean): Promise<AlertReceipt> {
    const { clock, routing, rules, onAlert, onWebhook } = this.#context;
    const now = clock.now();
    const truncated = webhook.truncatedAlerts ?? 0;
    const receipt: AlertReceipt = { accepted: 0, duplicate: 0, ignored: 0 };
    const notices: Notice[] = [];
    let oldest = now;
    for (const alert of webhook.alerts) {
      let said: Told | undefined;
      for (const route of routing(alert.labels)) {
        if (!isAllowed(route.application)) continue;
        said ??= told(alert, rules, now);
        if (said.began < oldest) oldest = said.began;
        notices.push(noticeFor(route, said));
      }
      if (said === undefined) {
        receipt.ignored += 1;
        onAlert(null, 'unmatched');
      }
    }
    if (notices.length === 0) {
      onWebhook('unmatched', truncated);
      return Promise.resolve(receipt);
    }
    const silence = now - this.#heardAt;
    const settled = silence < TRUST_MS && notices.every((notice) => this.#stored.has(notice, now));
    if (!settled) return this.#store({ notices, truncated, oldest, receipt });
    // Whether it fails shows in what comes next.
    if (silence >= PROBE_MS && !this.#running) this.#probe(notices, oldest);
    return Promise.resolve(this.#concluded({ notices, truncated, receipt }, NOTHING));
  }

  #probe(notices: readonly Notice[], oldest: number): void {
    const receipt: AlertReceipt = { accepted: 0, duplicate: 0, ignored: 0 };
    this.#store({ notices: notices.slice(0, 1), truncated: 0, oldest, receipt }).catch(() => undefined);
  }

  /** @param fresh those that nobody had stored before this webhook */
  #concluded(
    { notices, truncated, receipt }: Pick<Ask, 'notices' | 'truncated' | 'receipt'>,
    fresh: readonly Notice[],
  ): AlertReceipt {
    const { onAlert, onWebhook } = this.#context;
    const some = fresh.length > 0 && fresh.length < notices.length ? new Set(fresh) : undefined;
    for (let from = 0, to = 0; from < notices.length; from = to) {
      const alert = notices[from]?.alert;
      let isFresh = false;
      let isIgnored = true;
      for (; to < notices.length && notices[to]?.alert === alert; to += 1) {
        const notice = notices[to];
        if (notice === undefined) break;
        isFresh ||= some === undefined ? fresh.length > 0 : some.has(notice);
        isIgnored &&= notice.ignored !== null;
      }
      if (isIgnored) receipt.ignored += 1;
      else if (isFresh) receipt.accepted += 1;
      else receipt.duplicate += 1;
      if (!isFresh) for (const { application } of notices.slice(from, to)) onAlert(application, 'duplicate');
    }
    onWebhook(fresh.length > 0 ? 'accepted' : 'repeated', truncated);
    return receipt;
  }

  #store(webhook: Omit<Ask, 'resolve' | 'reject'>): Promise<AlertReceipt> {
    const { notices, truncated, oldest, receipt } = webhook;
    if (this.#waitingNotices + notices.length > MAX_WAITING_NOTICES) {
      const sentence = 'too many alerts wait for the store; the Alertmanager sends these again';
      return Promise.reject(new CodedError('queue_unavailable', sentence, { retryable: true }));
    }
    return new Promise((resolve, reject) => {
      this.#waitingNotices += notices.length;
      this.#waiting.push({ notices, truncated, oldest, receipt, resolve, reject });
      if (!this.#running) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#waiting.length > 0) {
      const asks = this.#nextBatch();
      try {
        const answers = await this.#storeTogether(asks);
        for (const [at, ask] of asks.entries()) ask.resolve(this.#concluded(ask, answers[at] ?? NOTHING));
      } catch (error) {
        this.#stored.clear();
        this.#heardAt = -Infinity;
        for (const ask of asks) ask.reject(error);
      }
      if (asks.length > 1) await this.#context.pause(GATHER_MS);
    }
    this.#running = false;
  }

  #nextBatch(): Ask[] {
    let count = 0;
    let notices = 0;
    for (const ask of this.#waiting) {
      notices += ask.notices.length;
      if (count > 0 && notices > MAX_BATCH_NOTICES) break;
      count += 1;
    }
    const asks = this.#waiting.splice(0, count);
    for (const ask of asks) this.#waitingNotices -= ask.notices.length;
    return asks;
  }

  /** @returns for each webhook the notices that it was the first to tell */
  async #storeTogether(asks: readonly Ask[]): Promise<(readonly Notice[])[]> {
    const { clock, store } = this.#context;
    const now = clock.now();
    const unknown = asks.map(({ notices }) => this.#claimed(notices, now));
    const asked = asks.flatMap(({ oldest }, at) =>
      (now - oldest > YOUNG_MS ? (unknown[at] ?? NOTHING) : NOTHING).filter(isOld(now)),
    );
    // Where everything is known, the question is whether the store still answers: 503 must not wait for the next new alert.
    if (unknown.every(({ length }) => length === 0))
      asked.push(...asks.slice(0, 1).flatMap(({ notices }) => notices.slice(0, 1)));
    const records = await recordsOf(store, 'alert', asked.map(alertIdOf));
    const known = new Set(asked.filter((notice, at) => isKnown(notice, records[at])));
    const fresh = known.size === 0 ? unknown : unknown.map((notices) => notices.filter((notice) => !known.has(notice)));
    const truncated = asks.reduce((sum, ask) => sum + ask.truncated, 0);
    const all = fresh.flat();
    const parts: Notice[][] = [];
    for (let from = 0; from < all.length; from += MAX_RECORD_NOTICES) parts.push(all.slice(from, from + MAX_RECORD_NOTICES));
    await Promise.all(parts.map((part) => this.#storeRecord(part, truncated, now)));
    this.#heardAt = now;
    this.#stored.confirm(now);
    return fresh;
  }

  /** Those that are neither stored nor in the same write; the same list when it is all of them. */
  #claimed(notices: readonly Notice[], now: number): readonly Notice[] {
    let claimed: Notice[] | undefined;
    let at = -1;
    for (const notice of notices) {
      at += 1;
      if (this.#stored.claim(notice, now)) claimed?.push(notice);
      else claimed ??= notices.slice(0, at);
    }
    return claimed ?? notices;
  }

  async #storeRecord(notices: readonly Notice[], truncated: number, now: number): Promise<void> {
    const { store, queue } = this.#context;
    const id = webhookIdOf(notices);
    const value = { receivedAt: new Date(now).toISOString(), truncated, count: notices.length, notices };
    // Together, so that they share the wait for the disk; a job that runs before its record is there runs again.
    const stored = store.commit([webhookWrite(id, value, { expect: 0, createdAt: now, open: true })]).catch(alreadyThere);
    await Promise.all([stored, queue.enqueue({ kind: 'webhook', key: id })]);
  }
}

/** Another process was told the same and has stored it. */
function alreadyThere(error: unknown): void {
  if (!(error instanceof CodedError) || error.code !== 'conflict') throw error;
}

/** Whether an alert began so long ago that a process before this one may have stored it. */
function isOld(now: number): (notice: Notice) => boolean {
  return ({ alert }) => now - Date.parse(alert.startsAt) > YOUNG_MS;
}

/** In the order of the ids, however many. */
export async function recordsOf(store: Store, kind: RecordKind, ids: readonly string[]): Promise<(StoredRecord | undefined)[]> {
  const records: (StoredRecord | undefined)[] = [];
  for (let from = 0; from < ids.length; from += MAX_IDS) {
    records.push(...(await store.getMany(kind, ids.slice(from, from + MAX_IDS))));
  }
  return records;
}
