import type { Clock } from '../clock.ts';
import type { Delivery, DeliveryState, Liveness } from '../delivery/port.ts';
import { committed } from '../commit.ts';
import type { Store, StoredRecord } from '../store/port.ts';
import { NewestOnly } from './newest.ts';
import { sameCommit } from './revision.ts';

export interface TimelineContext {
  store: Store;
  clock: Clock;
  deliveries: ReadonlyMap<string, Delivery>;
  /** A delivery that could not be asked; the others are asked all the same. */
  onFault(application: string, error: unknown): void;
  /** Takes up what a look has seen, too: the ledger does. */
  onSeen?(application: string, state: DeliveryState, signal: AbortSignal): Promise<void>;
}

/** How often davylamp looks at what runs. */
export const WATCH_MS = 15_000;
/** That a revision is still there is written down this often. */
const SEEN_MS = 60_000;
/** Two looks between which a revision went live tell when that was, if no more than this lies between them. */
const MOST_BETWEEN_MS = 90_000;
const DELIVERY_TIMEOUT_MS = 10_000;
/** Times that are kept of one revision: a revision that comes and goes is known by its last ones. */
const MOST_SPANS = 20;
const MOST_SIGHTINGS = 200;

type Role = Liveness['role'];
const ROLES: readonly Role[] = ['canary', 'stable'];

/** A time in which a revision was seen live. */
interface Span {
  /** First seen. */
  from: number;
  /** Last looked without seeing it; null when it was there already at the first look of all. */
  after: number | null;
  /** Seen no more; null while it is live. */
  to: number | null;
  /** Last seen, to within a minute. */
  seenAt: number;
}

/** What the store keeps of a revision that was seen live in one role. */
interface Sighting {
  application: string;
  revision: string;
  role: Role;
  spans: Span[];
}

/** What is known of a revision at a moment. */
export interface LiveRevision {
  revision: string;
  /** Since when it was live then, milliseconds since the epoch. */
  since: number;
}

/** What an application was seen to run. */
interface Look {
  at: number;
  state: Pick<DeliveryState, 'canary' | 'stable' | 'phase'>;
}

interface Account extends Liveness {
  /** When we first saw it; null for what the cluster tells. */
  seenFrom: number | null;
  /** Whether `from` is when it went live, and not only when somebody first looked. */
  known: boolean;
}

/**
 * Which revision of an application was live when. An alert says when it began, and the revision of that moment is the
 * one that is asked about, not the one that happens to run when the alert arrives.
 */
export class Timeline {
  readonly #context: TimelineContext;
  /** When this process last saw what an application runs. */
  readonly #lookedAt = new Map<string, number>();
  /** Looks that were stored beside each other would see each other's revisions as live, and store them all again. */
  readonly #looks = new NewestOnly<Look>((application, look) => this.#keep(application, look));

  constructor(context: TimelineContext) {
    this.#context = context;
  }

  /** Looks once at what every application runs. */
  async watch(signal: AbortSignal): Promise<void> {
    await Promise.all(
      [...this.#context.deliveries].map(async ([application, delivery]) => {
        if (!delivery.can.observe) return;
        try {
          const state = await delivery.observe(withTimeout(signal));
          await this.see(application, state);
          await this.#context.onSeen?.(application, state, signal);
        } catch (error) {
          signal.throwIfAborted();
          this.#context.onFault(application, error);
        }
      }),
    );
  }

  /** Stores what changed since the last look; most looks store nothing. Of looks that have to wait the newest counts. */
  see(application: string, state: Look['state']): Promise<void> {
    return this.#looks.take(application, { at: this.#context.clock.now(), state });
  }

  async #keep(application: string, { at: now, state }: Look): Promise<void> {
    const open = await this.#sightings(application, true);
    const lookedAt = this.#lookedAt.get(application) ?? lastLook(open);
    // An aborted canary takes no traffic, however long its template stays there.
    const lives = { canary: state.phase === 'aborted' ? null : state.canary, stable: state.stable };
    for (const role of ROLES) {
      const live = lives[role];
      // An unknown stable revision is no news; no canary is the news that it is gone.
      if (live === null && role === 'stable') continue;
      let seen = false;
      for (const record of open) {
        const sighting = sightingIn(record);
        if (sighting.role !== role) continue;
        if (live !== null && sameCommit(sighting.revision, live)) {
          seen = true;
          if (sighting.spans.some(({ to, seenAt }) => to === null && now - seenAt >= SEEN_MS)) {
            await this.#store(record, {
              ...sighting,
              spans: sighting.spans.map((span) => (span.to === null ? { ...span, seenAt: now } : span)),
            });
          }
        } else {
          await this.#store(record, { ...sighting, spans: closed(sighting.spans, lookedAt ?? now) });
        }
      }
      if (live !== null && !seen) await this.#begin(application, role, live, { now, lookedAt });
    }
    this.#lookedAt.set(application, now);
  }

  /**
   * The revision that took traffic at a moment, the newest one where a canary and a stable one did, and since when.
   *
   * @param at milliseconds since the epoch
   * @returns null when nothing is known of that moment
   * @throws what the delivery says when it cannot be asked: what was seen before may be over, so it is no answer
   */
  async liveAt(application: string, at: number, signal: AbortSignal): Promise<LiveRevision | null> {
    const found = await this.#liveAt(application, at, signal);
    return found === null ? null : { revision: found.revision, since: found.from };
  }

  /**
   * Whether the moment at which a revision went live is known, and not only that it was there when davylamp first looked.
   *
   * @param since as `liveAt` said it
   */
  async knowsStart(application: string, { revision, since }: LiveRevision, signal: AbortSignal): Promise<boolean> {
    const accounts = [...(await this.#fromCluster(application, signal)), ...(await this.#fromStore(application))];
    return accounts.some((account) => account.known && account.from === since && sameCommit(account.revision, revision));
  }

  async #liveAt(application: string, at: number, signal: AbortSignal): Promise<Account | null> {
    const delivery = this.#context.deliveries.get(application);
    // A look after that moment has seen what ran; without one, what was seen before may have been over.
    if (delivery?.can.observe === true && (this.#lookedAt.get(application) ?? -Infinity) < at) {
      await this.see(application, await delivery.observe(withTimeout(signal)));
    }
    const cluster = await this.#fromCluster(application, signal);
    const seen = await this.#fromStore(application);
    // Where the cluster names the very start that we saw a little late, its account is the exact one.
    const isTold = ({ revision, role, from, seenFrom }: Account) =>
      cluster.some(
        (one) => one.role === role && sameCommit(one.revision, revision) && one.from >= from && one.from <= (seenFrom ?? from),
      );
    const all = [...cluster, ...seen.filter((one) => !isTold(one))];
    const between = (one: Account) => (other: Account) =>
      other.role === one.role && !sameCommit(other.revision, one.revision) && other.from > one.from && other.from <= at;
    const live = all.filter((one) => one.from <= at && (one.to === null || one.to > at) && !all.some(between(one)));
    // Of a canary and a stable revision the canary is the newer one, whichever was seen first.
    const newest = live.toSorted((one, other) => rank(one) - rank(other) || other.from - one.from).at(0);
    if (newest === undefined) return null;
    const same = live.filter(({ revision, role }) => role === newest.role && sameCommit(revision, newest.revision));
    // The cluster knows when it began, where nothing else ran in between; we see it up to one look later.
    return same.find((one) => cluster.includes(one)) ?? same.toSorted((one, other) => one.from - other.from).at(0) ?? newest;
  }

  async #fromCluster(application: string, signal: AbortSignal): Promise<Account[]> {
    const delivery = this.#context.deliveries.get(application);
    if (delivery?.history === undefined) return [];
    return (await delivery.history(withTimeout(signal))).map((one) => ({ ...one, seenFrom: null, known: true }));
  }

  async #fromStore(application: string): Promise<Account[]> {
    const records = await this.#sightings(application, undefined);
    return records.map(sightingIn).flatMap(({ revision, role, spans }) =>
      spans.map(({ from, after, to }) => {
        // It began between two looks, so an alert may have begun before we saw it; not when too long lay between them.
        const close = after !== null && from - after <= MOST_BETWEEN_MS;
        return { revision, role, from: close ? after + 1 : from, to, seenFrom: from, known: close };
      }),
    );
  }

  async #sightings(application: string, open: boolean | undefined): Promise<StoredRecord[]> {
    const query = { application, limit: MOST_SIGHTINGS, ...(open === undefined ? {} : { open }) };
    return (await this.#context.store.list('sighting', query)).records;
  }

  async #begin(application: string, role: Role, revision: string, seen: { now: number; lookedAt: number | null }): Promise<void> {
    const { now, lookedAt } = seen;
    const known = await this.#context.store.get('sighting', idOf(application, role, revision));
    const spans = known === undefined ? [] : closed(sightingIn(known).spans, lookedAt ?? now);
    const fresh = { from: now, after: lookedAt, to: null, seenAt: now };
    await this.#store(known, { application, role, revision, spans: [...spans, fresh].slice(-MOST_SPANS) });
  }

  async #store(known: StoredRecord | undefined, sighting: Sighting): Promise<void> {
    const { application, role, revision, spans } = sighting;
    const write = {
      kind: 'sighting' as const,
      id: idOf(application, role, revision),
      expect: known?.version ?? 0,
      createdAt: spans.at(-1)?.from ?? this.#context.clock.now(),
      index: { application, open: spans.some(({ to }) => to === null) },
      value: sighting,
    };
    // When another process saw the same, its account counts.
    await committed(this.#context.store, [write]);
  }
}

function rank({ role }: Liveness): number {
  return ROLES.indexOf(role);
}

function idOf(application: string, role: Role, revision: string): string {
  return `${application}/${role}/${revision}`;
}

function closed(spans: readonly Span[], at: number): Span[] {
  return spans.map((span) => (span.to === null ? { ...span, to: Math.max(at, span.seenAt) } : span));
}

/** When anybody last saw one of the revisions that were live, to within a minute. */
function lastLook(open: readonly StoredRecord[]): number | null {
  const times = open.flatMap((record) =>
    sightingIn(record)
      .spans.filter(({ to }) => to === null)
      .map(({ seenAt }) => seenAt),
  );
  return times.length === 0 ? null : Math.max(...times);
}

function withTimeout(signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(DELIVERY_TIMEOUT_MS)]);
}

/** Records of sightings are written by this module only, so their shape is known. */
function sightingIn(record: StoredRecord): Sighting {
  return record.value as Sighting;
}
