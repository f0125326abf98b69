import type { DeliveryState } from '../port.ts';
import { withHash, type Access } from './access.ts';
import type { Pod } from './resources.ts';
import { troubleOf } from './trouble.ts';
import type { WorkloadView } from './workload.ts';

/** Looks at the pods of both sides of a release; nothing to look at while none is under way. */
export async function releaseTrouble(
  access: Access,
  view: WorkloadView,
  labels: string,
  hashLabel: string,
  signal: AbortSignal,
): Promise<DeliveryState['trouble']> {
  const { canary, canaryHash, stableHash, deadlineExceeded } = view;
  if (canary === null || view.behind || view.phase === 'aborted') return null;
  const hashes = [canaryHash, stableHash].filter((hash) => hash !== null);
  const pods = canaryHash === null ? null : await access.pods(withHash(labels, hashLabel, hashes), signal);
  const of = (hash: string | null): Pod[] | null =>
    pods === null ? null : pods.filter(({ metadata }) => hash !== null && metadata.labels?.[hashLabel] === hash);
  return troubleOf(canary, { own: of(canaryHash), other: of(stableHash), deadlineExceeded });
}

/** `trouble` and `operation` only stand there when there is some. */
export function stateOf(
  { canary, stable, phase }: Pick<WorkloadView, 'canary' | 'stable' | 'phase'>,
  { synced, operation }: Pick<DeliveryState, 'synced' | 'operation'>,
  trouble: DeliveryState['trouble'],
): DeliveryState {
  return {
    canary,
    stable,
    synced,
    phase,
    ...(operation === null || operation === undefined ? {} : { operation }),
    ...(trouble === null || trouble === undefined ? {} : { trouble }),
  };
}
