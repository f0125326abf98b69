import type { Clock } from '../clock.ts';
import type { RecordKind, Store } from '../store/port.ts';

/** How long closed records are kept, milliseconds by kind; a kind that is not named is kept for ever. */
export type Keep = Readonly<Partial<Record<RecordKind, number>>>;

/** How often old records are looked for. */
export const RETENTION_MS = 60_000;
const BATCH = 500;
/** Most records that one run takes out, so that it leaves the store to others. */
const MOST_A_RUN = 20_000;

/**
 * Takes out what is older than it has to be kept. Open records stay whatever their age; the journal is never shortened.
 * @returns how many went, by kind
 */
export async function prune(
  context: { store: Store; clock: Clock },
  keep: Keep,
  signal: AbortSignal,
): Promise<Map<string, number>> {
  const gone = new Map<string, number>();
  for (const [kind, ms] of Object.entries(keep) as [RecordKind, number][]) {
    let sum = 0;
    let last: number;
    do {
      signal.throwIfAborted();
      last = await context.store.prune(kind, { before: context.clock.now() - ms, limit: BATCH });
      sum += last;
    } while (last === BATCH && sum < MOST_A_RUN);
    if (sum > 0) gone.set(kind, sum);
  }
  return gone;
}
