import type { Notice } from './notice.ts';

/** A power of two. Far more than arrive in the time that they are remembered; what does not fit is asked of the store. */
const SLOTS = 32_768;
const TEXTS = 4;
/** Places that one notice may take. */
const PROBES = 16;
const REMEMBER_MS = 60_000;
const NEVER = -Infinity;
/** In the place of a time: its write is under way. */
const CLAIMED = Infinity;
const FNV_PRIME = 0x0100_0193;

/**
 * What was stored in the last minute, so that a repeat in that time needs no question to the store: its record may not
 * have been acted on yet. For what is older the store is asked.
 *
 * A table of a fixed size that makes no object for an entry: at thousands of alerts a second a map of them would cost
 * more, in the collector of garbage, than all that is done with them. An entry is looked for in a few places and pushes
 * out the oldest one there.
 */
export class RecentNotices {
  #hashes = new Int32Array();
  /** Of each slot the fingerprint, the beginning, the application and the status, side by side: one look at the memory. */
  #texts: string[] = [];
  /** When it was stored, on the clock. */
  #times = new Float64Array();
  #claims: number[] = [];

  /** Whether it is known to be stored. */
  has(notice: Notice, now: number): boolean {
    const at = this.#find(notice, hashOf(notice));
    return at >= 0 && this.#isFresh(at, now);
  }

  /** Takes a notice for the write that comes next. @returns false when it is stored, or was taken before */
  claim(notice: Notice, now: number): boolean {
    if (this.#times.length === 0) this.#make();
    const { alert, application, status } = notice;
    const hash = hashOf(notice);
    let at = this.#find(notice, hash);
    if (at >= 0) {
      if (this.#times[at] === CLAIMED || this.#isFresh(at, now)) return false;
    } else {
      at = this.#oldest(hash);
      // All places are taken by the same write: it is stored, and not remembered.
      if (this.#times[at] === CLAIMED) return true;
      this.#hashes[at] = hash;
      const from = at * TEXTS;
      this.#texts[from] = alert.fingerprint;
      this.#texts[from + 1] = alert.startsAt;
      this.#texts[from + 2] = application;
      this.#texts[from + 3] = status;
    }
    this.#times[at] = CLAIMED;
    this.#claims.push(at);
    return true;
  }

  /** What was claimed is stored. */
  confirm(now: number): void {
    for (const at of this.#claims) this.#times[at] = now;
    this.#claims = [];
  }

  /** After a fault of the store it is not known what it still has. */
  clear(): void {
    this.#times.fill(NEVER);
    this.#claims = [];
  }

  /** With the first notice: where none ever comes it would be a hundredth of the memory of the process. */
  #make(): void {
    this.#hashes = new Int32Array(SLOTS);
    this.#texts = Array.from({ length: SLOTS * TEXTS }, () => '');
    this.#times = new Float64Array(SLOTS).fill(NEVER);
  }

  #isFresh(at: number, now: number): boolean {
    const age = now - (this.#times[at] ?? NEVER);
    // A clock that was set back ages everything, too.
    return age >= 0 && age < REMEMBER_MS;
  }

  /** @returns its place, or -1 */
  #find({ alert, application, status }: Notice, hash: number): number {
    const { fingerprint, startsAt } = alert;
    for (let probe = 0; probe < PROBES; probe += 1) {
      const at = (hash + probe) & (SLOTS - 1);
      if (this.#hashes[at] !== hash || this.#times[at] === NEVER) continue;
      const from = at * TEXTS;
      if (
        this.#texts[from] === fingerprint &&
        this.#texts[from + 1] === startsAt &&
        this.#texts[from + 2] === application &&
        this.#texts[from + 3] === status
      )
        return at;
    }
    return -1;
  }

  #oldest(hash: number): number {
    let oldest = hash & (SLOTS - 1);
    for (let probe = 0; probe < PROBES; probe += 1) {
      const at = (hash + probe) & (SLOTS - 1);
      if ((this.#times[at] ?? NEVER) < (this.#times[oldest] ?? NEVER)) oldest = at;
    }
    return oldest;
  }
}

/** FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/) of the fingerprint and of the seconds of the beginning. */
function hashOf({ alert: { fingerprint, startsAt } }: Notice): number {
  let hash = 0x811c_9dc5;
  for (let at = 0; at < fingerprint.length; at += 1) hash = Math.imul(hash ^ fingerprint.charCodeAt(at), FNV_PRIME);
  for (let at = 17; at < startsAt.length; at += 1) hash = Math.imul(hash ^ startsAt.charCodeAt(at), FNV_PRIME);
  return hash ^ (hash >>> 16);
}
