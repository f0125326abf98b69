import type { Clock } from '../clock.ts';
import { CodedError, codeOf } from '../errors.ts';
import type { Store, StoredRecord } from '../store/port.ts';
import type { Channel, Notice } from './port.ts';

/** What goes to a channel. */
export interface Route {
  channel: string;
  /** All when empty. */
  applications: readonly string[];
  least: Notice['urgency'];
}

export interface NotifierContext {
  store: Store;
  clock: Clock;
  channels: ReadonlyMap<string, Channel>;
  routes: () => readonly Route[];
  /** Everything that is to be told of a rollback, oldest first, and the version of its record that this was read from. */
  noticesOf(rollback: string): Promise<{ notices: Notice[]; version: number }>;
  /** Rollbacks that changed lately, with the version of their records. */
  recent(): Promise<readonly { id: string; version: number }[]>;
  /** Tells this process from the others on the same store. */
  self: string;
  onSent: (channel: string, outcome: 'sent' | 'failed' | 'given_up') => void;
  onFault: (channel: string, error: unknown) => void;
}

/** How often it is looked for what was not told. */
export const NOTIFY_MS = 15_000;
/** A process that dies while it sends is waited for so long; then another one sends, with the same id. */
const CLAIM_MS = 60_000;
const SEND_TIMEOUT_MS = 20_000;
const GIVE_UP_MS = 24 * 3_600_000;
const RETRY_FIRST_MS = 5_000;
const RETRY_CAP_MS = 10 * 60_000;
/** The longest that a channel may ask us to wait. */
const RETRY_ASKED_CAP_MS = 60 * 60_000;
const MOST_SENT = 500;
const MOST_AT_ONCE = 4;
const URGENCY: readonly Notice['urgency'][] = ['info', 'warn', 'page'];

interface ChannelLog {
  thread: string | null;
  /** Ids of notices, oldest first; the durable log of what was sent. */
  sent: string[];
  attempts: number;
  nextAt: number;
}

/** What was told of one incident. */
interface Log {
  channels: Record<string, ChannelLog>;
  claim: { by: string; until: number } | null;
}

/**
 * Tells the channels what happened to rollbacks: each notice once for each channel, in order, one thread an incident. The
 * log of what was sent is a record of the store, so that neither a restart nor another process tells it again; only a
 * process that dies between sending and writing that down repeats a notice, with the same id.
 */
export class Notifier {
  readonly #context: NotifierContext;
  /** Versions of rollbacks of which everything was told, as far as this process knows. */
  readonly #told = new Map<string, number>();
  readonly #waiting = new Set<string>();
  /** The last one that tells of an incident. A claim keeps other processes away, not the other rollbacks of this one. */
  readonly #lines = new Map<string, Promise<unknown>>();
  #running = 0;

  constructor(context: NotifierContext) {
    this.#context = context;
  }

  /** Tells soon what there is to tell of a rollback; never rejects. */
  soon(rollback: string): void {
    this.#waiting.add(rollback);
    this.#next();
  }

  /** Looks for what is not told yet. */
  async drive(): Promise<void> {
    const recent = await this.#context.recent();
    for (const { id, version } of recent) if ((this.#told.get(id) ?? 0) < version) this.soon(id);
    const known = new Set(recent.map(({ id }) => id));
    for (const id of this.#told.keys()) if (!known.has(id)) this.#told.delete(id);
  }

  #next(): void {
    for (const id of this.#waiting) {
      if (this.#running >= MOST_AT_ONCE) return;
      this.#waiting.delete(id);
      this.#running += 1;
      void this.tell(id)
        .catch((error: unknown) => this.#context.onFault('', error))
        .finally(() => {
          this.#running -= 1;
          this.#next();
        });
    }
  }

  /**
   * Tells everything of a rollback that was not told yet and may be tried now.
   * @throws CodedError `store_unavailable`
   */
  async tell(rollback: string): Promise<void> {
    const { notices, version } = await this.#context.noticesOf(rollback);
    const incidents = new Map<string, Notice[]>();
    for (const notice of notices) incidents.set(notice.incident, [...(incidents.get(notice.incident) ?? []), notice]);
    let isDone = true;
    for (const [incident, of] of incidents) isDone = (await this.#inLine(incident, of)) && isDone;
    if (isDone) this.#told.set(rollback, version);
  }

  /** Several rollbacks can belong to one incident; they tell of it one after the other. */
  async #inLine(incident: string, notices: readonly Notice[]): Promise<boolean> {
    const before = this.#lines.get(incident) ?? Promise.resolve();
    const turn = before.then(
      () => this.#tellIncident(incident, notices),
      // Whoever told before says itself that it could not.
      () => this.#tellIncident(incident, notices),
    );
    this.#lines.set(incident, turn);
    try {
      return await turn;
    } finally {
      if (this.#lines.get(incident) === turn) this.#lines.delete(incident);
    }
  }

  /** @returns whether nothing of it is left to tell */
  async #tellIncident(incident: string, notices: readonly Notice[]): Promise<boolean> {
    for (;;) {
      const record = await this.#context.store.get('notice', incident);
      const log = record === undefined ? { channels: {}, claim: null } : logIn(record);
      const now = this.#context.clock.now();
      const todo = this.#todo(log, notices, now);
      if (todo.length === 0) return true;
      if (todo.every(({ after }) => after > now)) return false;
      if (log.claim !== null && log.claim.by !== this.#context.self && log.claim.until > now) return false;
      const claimed: Log = { ...log, claim: { by: this.#context.self, until: now + CLAIM_MS } };
      const version = await this.#stored(incident, record, claimed);
      if (version === null) continue;
      const channels = { ...claimed.channels };
      const due = todo.filter(({ after }) => after <= now);
      for (const { channel, notice } of due) {
        channels[channel] = await this.#sent(channel, notice, channels[channel]);
        // Written down at once: what is sent next may be the last thing this process does.
        const next = await this.#context.store.get('notice', incident);
        if (next === undefined || logIn(next).claim?.by !== this.#context.self) return false;
        // The claim goes on from here: several channels that time out take longer than one claim lasts.
        const until = this.#context.clock.now() + CLAIM_MS;
        await this.#stored(incident, next, { channels, claim: { by: this.#context.self, until } });
      }
      const last = await this.#context.store.get('notice', incident);
      if (last !== undefined && logIn(last).claim?.by === this.#context.self) {
        await this.#stored(incident, last, { channels, claim: null });
      }
    }
  }

  /** The next notice of every channel that has one; later ones wait for it. */
  #todo(log: Log, notices: readonly Notice[], now: number): { channel: string; notice: Notice; after: number }[] {
    return [...this.#context.channels.keys()].flatMap((channel) => {
      const known = log.channels[channel];
      const lastSent = notices.findLastIndex((one) => known?.sent.includes(one.id) === true);
      // What opened something there has to be closed, too, which is told with less urgency.
      const mustClose = lastSent >= 0 && this.#context.channels.get(channel)?.closes === true;
      // A channel that is new, or a log that was lost, is no reason to tell old stories.
      const notice = notices.find(
        (one, index) =>
          now - one.at <= GIVE_UP_MS &&
          this.#goesTo(channel, one, mustClose && index > lastSent) &&
          known?.sent.includes(one.id) !== true,
      );
      return notice === undefined ? [] : [{ channel, notice, after: known?.nextAt ?? 0 }];
    });
  }

  #goesTo(channel: string, { application, urgency }: Notice, mayBeLess: boolean): boolean {
    const routes = this.#context.routes();
    if (routes.length === 0) return true;
    return routes.some(
      (route) =>
        route.channel === channel &&
        (route.applications.length === 0 || route.applications.includes(application)) &&
        (mayBeLess || URGENCY.indexOf(urgency) >= URGENCY.indexOf(route.least)),
    );
  }

  async #sent(name: string, notice: Notice, before: ChannelLog | undefined): Promise<ChannelLog> {
    const { clock, channels, onSent, onFault } = this.#context;
    const log = before ?? { thread: null, sent: [], attempts: 0, nextAt: 0 };
    const sent = [...log.sent, notice.id].slice(-MOST_SENT);
    try {
      const channel = channels.get(name);
      if (channel === undefined) return log;
      const { thread } = await channel.send(notice, log.thread, AbortSignal.timeout(SEND_TIMEOUT_MS));
      onSent(name, 'sent');
      return { thread, sent, attempts: 0, nextAt: 0 };
    } catch (error) {
      onFault(name, error);
      const now = clock.now();
      const isFinal = error instanceof CodedError && !error.retryable && codeOf(error) === 'notice_refused';
      if (isFinal) {
        onSent(name, 'given_up');
        return { ...log, sent, attempts: 0, nextAt: 0 };
      }
      onSent(name, 'failed');
      const asked = error instanceof CodedError ? Number(error.details['retryAfterMs'] ?? 0) : 0;
      const own = Math.min(RETRY_CAP_MS, RETRY_FIRST_MS * 2 ** Math.min(log.attempts, 10));
      const delay = Math.max(own, Math.min(RETRY_ASKED_CAP_MS, asked));
      return { ...log, attempts: log.attempts + 1, nextAt: now + delay };
    }
  }

  /** @returns the version that it has now, or null when somebody else changed it meanwhile */
  async #stored(incident: string, record: StoredRecord | undefined, log: Log): Promise<number | null> {
    const { store, clock } = this.#context;
    const expect = record?.version ?? 0;
    try {
      await store.commit([
        {
          kind: 'notice',
          id: incident,
          expect,
          createdAt: record?.createdAt ?? clock.now(),
          index: { open: false },
          value: log,
        },
      ]);
      return expect + 1;
    } catch (error) {
      if (error instanceof CodedError && error.code === 'conflict') return null;
      throw error;
    }
  }
}

/** Records of notices are written by this module only, so their shape is known. */
function logIn(record: StoredRecord): Log {
  return record.value as Log;
}
