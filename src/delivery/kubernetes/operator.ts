import type { Automation, Delivery, DeliveryState, Located } from '../port.ts';
import type { Cluster } from './cluster.ts';
import type { Released } from './released.ts';
import type { Need } from './rights.ts';

export type Notice = Parameters<NonNullable<Delivery['banner']>>[0];

/** What applies the workload from Git. */
export interface Operator {
  /** Head commit that it has applied last (null when it does not say), and the sync that it is in the middle of. */
  look(signal: AbortSignal): Promise<Pick<DeliveryState, 'synced' | 'operation'>>;
  /** Asks it to look at Git now. Asking again is harmless. */
  sync(commit: string, signal: AbortSignal): Promise<void>;
  /** Where it took from what is being released. */
  locate(released: Released, signal: AbortSignal): Promise<Located>;
  automations(signal: AbortSignal): Promise<Automation[]>;
  /** Null: it has no page for people. */
  banner: ((notice: Notice, signal: AbortSignal) => Promise<void>) | null;
  /** What it must be allowed to, where it is. */
  rights: { cluster: Cluster; namespace: string; needs: readonly Need[] };
}
