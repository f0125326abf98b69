import type { Delivery } from '../port.ts';

/** Nothing is known of the cluster and nothing is done there: Git alone takes the bad version out. */
export function createNoDelivery(): Delivery {
  return {
    type: 'none',
    can: { observe: false, abort: false, annotate: false, sync: false },
    observe: (signal) => unlessAborted(signal, { canary: null, stable: null, synced: null, phase: 'unknown' as const }),
    abort: (_order, signal) => unlessAborted(signal, 'not_running' as const),
    annotate: (_note, signal) => unlessAborted(signal, undefined),
    sync: (_order, signal) => unlessAborted(signal, undefined),
  };
}

async function unlessAborted<T>(signal: AbortSignal, answer: T): Promise<T> {
  signal.throwIfAborted();
  return answer;
}
