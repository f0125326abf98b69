import type { Clock } from '../clock.ts';
import type { Delivery, DeliveryState, Liveness } from '../delivery/port.ts';
import { CodedError } from '../errors.ts';
import type { Store, StoredRecord } from '../store/port.ts';
import { sameCommit } from './revision.ts';

export interface TimelineContext {
  store: Store;
  clock: Clock;
  deliveries: ReadonlyMap<string, Delivery>;
  /** A delivery that could not be asked; the others are asked all the same. */
  onFault(application: string, error: unknown): void;
}

/** When davylamp looks at what runs; a revision is known to be live so much later than it is, at most. */
export const WATCH_MS = 15_000;
const DELIVERY_TIMEOUT_MS = 10_000;
/** Times that are kept of one revision: a revision that comes and goes is known by its last ones. */
const MOST_SPANS = 20;
const MOST_SIGHTINGS = 200;

type Role = Liveness['role'];
const ROLES: readonly Role[] = ['canary', 'stable'];

/** What the store keeps of a revision that was seen live in one role. */
interface Sighting {
  application: string;
  revision: string;
  role: Role;
  spans: { from: number; to: number | null }[];
}

/**
 * Which revision of an application was live when. An alert says when it began, and the revision of that moment is the
 * one that is asked about, not the one that happens to run when the alert arrives.
 */
export class Timeline {
  readonly #context: TimelineContext;

  constructor(context: TimelineContext) {
    this.#context = context;
  }

  /** Looks once at what every application runs. */
  async watch(signal: AbortSignal): Promise<void> {
    await Promise.all(
      [...this.#context.deliveries].map(async ([application, delivery]) => {
        if (!delivery.can.observe) return;
        try {
          await this.see(
            application,
            await delivery.observe(AbortSignal.any([signal, AbortSignal.timeout(DELIVERY_TIMEOUT_MS)])),
          );
        } catch (error) {
          signal.throwIfAborted();
          this.#context.onFault(application, error);
        }
      }),
    );
  }

  /** Stores what changed since the last look; most looks store nothing. */
  async see(application: string, state: Pick<DeliveryState, 'canary' | 'stable'>): Promise<void> {
    const now = this.#context.clock.now();
    const open = await this.#sightings(application, true);
    for (const role of ROLES) {
      const live = state[role];
      // An unknown stable revision is no news; no canary is the news that it is gone.
      if (live === null && role === 'stable') continue;
      for (const record of open) {
        const sighting = sightingIn(record);
        if (sighting.role === role && (live === null || !sameCommit(sighting.revision, live))) {
          await this.#store(record, { ...sighting, spans: closed(sighting.spans, now) });
        }
      }
      const known = open.some(
        (record) => sightingIn(record).role === role && sameCommit(sightingIn(record).revision, live ?? ''),
      );
      if (live !== null && !known) await this.#begin(application, role, live, now);
    }
  }

  /**
   * The revision that took traffic at a moment, the newest one where a canary and a stable one did, and since when.
   *
   * @param at milliseconds since the epoch
   * @returns null when nothing is known of that moment
   */
  async liveAt(application: string, at: number, signal: AbortSignal): Promise<{ revision: string; since: number } | null> {
    const known = [...(await this.#fromCluster(application, signal)), ...(await this.#fromStore(application))];
    const live = known.filter(({ from, to }) => from <= at && (to === null || to > at));
    // Both may have been seen in the same look: of the two, the canary is the newer one.
    const newest = live.toSorted((one, other) => other.from - one.from || rank(one) - rank(other)).at(0);
    if (newest === undefined) return null;
    // Of one revision the earliest account counts: ours is late by up to one look, the cluster's is not.
    const same = live.filter(({ revision, role }) => role === newest.role && sameCommit(revision, newest.revision));
    return { revision: newest.revision, since: Math.min(...same.map(({ from }) => from)) };
  }

  async #fromCluster(application: string, signal: AbortSignal): Promise<readonly Liveness[]> {
    const delivery = this.#context.deliveries.get(application);
    if (delivery?.history === undefined) return [];
    try {
      return await delivery.history(AbortSignal.any([signal, AbortSignal.timeout(DELIVERY_TIMEOUT_MS)]));
    } catch (error) {
      signal.throwIfAborted();
      this.#context.onFault(application, error);
      return [];
    }
  }

  async #fromStore(application: string): Promise<Liveness[]> {
    const records = await this.#sightings(application, undefined);
    return records.map(sightingIn).flatMap(({ revision, role, spans }) =>
      // We see a revision late, so an alert may begin before we saw it.
      spans.map(({ from, to }) => ({ revision, role, from: from - WATCH_MS, to })),
    );
  }

  async #sightings(application: string, open: boolean | undefined): Promise<StoredRecord[]> {
    const query = { application, limit: MOST_SIGHTINGS, ...(open === undefined ? {} : { open }) };
    return (await this.#context.store.list('sighting', query)).records;
  }

  async #begin(application: string, role: Role, revision: string, now: number): Promise<void> {
    const known = await this.#context.store.get('sighting', idOf(application, role, revision));
    const spans = known === undefined ? [] : closed(sightingIn(known).spans, now);
    const sighting = { application, role, revision, spans: [...spans, { from: now, to: null }].slice(-MOST_SPANS) };
    await this.#store(known, sighting);
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
    try {
      await this.#context.store.commit([write]);
    } catch (error) {
      // Another process saw the same; its account counts.
      if (!(error instanceof CodedError) || error.code !== 'conflict') throw error;
    }
  }
}

function rank({ role }: Liveness): number {
  return ROLES.indexOf(role);
}

function idOf(application: string, role: Role, revision: string): string {
  return `${application}/${role}/${revision}`;
}

function closed(spans: Sighting['spans'], now: number): Sighting['spans'] {
  return spans.map(({ from, to }) => ({ from, to: to ?? now }));
}

/** Records of sightings are written by this module only, so their shape is known. */
function sightingIn(record: StoredRecord): Sighting {
  return record.value as Sighting;
}
