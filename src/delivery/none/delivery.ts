import type { Delivery } from '../port.ts';
import { callReceiver, type ReceiverDependencies } from '../receiver/receiver.ts';
import type { NoDelivery } from './schema.ts';

/**
 * Nothing is known of the cluster and nothing is done there: Git alone takes the bad version out. With a Receiver, Flux is
 * asked to look at Git at once.
 */
export function createNoDelivery({ fluxReceiver }: NoDelivery, deps: ReceiverDependencies): Delivery {
  return {
    type: 'none',
    can: { observe: false, abort: false, annotate: false, sync: fluxReceiver !== undefined },
    observe: (signal) => unlessAborted(signal, { canary: null, stable: null, synced: null, phase: 'unknown' as const }),
    abort: (_order, signal) => unlessAborted(signal, 'not_running' as const),
    annotate: (_note, signal) => unlessAborted(signal, undefined),
    async sync({ commit }, signal) {
      signal.throwIfAborted();
      if (fluxReceiver !== undefined) await callReceiver(fluxReceiver, commit, deps, signal);
    },
  };
}

async function unlessAborted<T>(signal: AbortSignal, answer: T): Promise<T> {
  signal.throwIfAborted();
  return answer;
}
