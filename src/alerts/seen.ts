import type { Notice } from './notice.ts';

/** Notices of one generation at most; above it, the next one begins early. */
const MAX_NOTICES = 50_000;
const GENERATION_MS = 30_000;

type Known = Pick<Notice, 'application' | 'status'> & { startsAt: string };

/**
 * A set of what notices say. By the fingerprint, because that text is short and there already: making a text of all parts
 * for each look would cost more than the look.
 */
export class NoticeSet {
  readonly #byFingerprint = new Map<string, Known[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has({ alert, application, status }: Notice): boolean {
    const known = this.#byFingerprint.get(alert.fingerprint);
    if (known === undefined) return false;
    for (const one of known) {
      if (one.startsAt === alert.startsAt && one.status === status && one.application === application) return true;
    }
    return false;
  }

  /** @returns whether it was not there yet */
  add(notice: Notice): boolean {
    if (this.has(notice)) return false;
    const { alert, application, status } = notice;
    const one = { application, status, startsAt: alert.startsAt };
    const known = this.#byFingerprint.get(alert.fingerprint);
    if (known === undefined) this.#byFingerprint.set(alert.fingerprint, [one]);
    else known.push(one);
    this.#size += 1;
    return true;
  }
}

/**
 * What was stored in the last half to whole minute, so that a repeat in that time needs no question to the store: its
 * record may not have been acted on yet. For what is older the store is asked.
 */
export class RecentlyStored {
  #young = new NoticeSet();
  #old = new NoticeSet();
  #since = -Infinity;

  has(notice: Notice, now: number): boolean {
    this.#turn(now);
    return this.#young.has(notice) || this.#old.has(notice);
  }

  add(notice: Notice, now: number): void {
    this.#turn(now);
    if (this.#young.size >= MAX_NOTICES) this.#next(now);
    this.#young.add(notice);
  }

  /** After a fault of the store it is not known what it still has. */
  clear(): void {
    this.#young = new NoticeSet();
    this.#old = new NoticeSet();
  }

  #turn(now: number): void {
    // A clock that was set back ages everything, too.
    const age = now - this.#since;
    if (age >= 0 && age < GENERATION_MS) return;
    if (age >= 2 * GENERATION_MS || age < 0) this.#young = new NoticeSet();
    this.#next(now);
  }

  #next(now: number): void {
    this.#old = this.#young;
    this.#young = new NoticeSet();
    this.#since = now;
  }
}
