import { codeOf } from '../../errors.ts';
import type { Access } from './access.ts';
import type { Cluster } from './cluster.ts';
import type { ResourceKind } from './problem.ts';

/** Objects of a bot in a namespace; none where it is not installed, and none where they may not be listed. */
export async function listedBots(
  access: Access,
  cluster: Cluster,
  resource: ResourceKind,
  namespace: string,
  signal: AbortSignal,
): Promise<readonly unknown[]> {
  const list = () => cluster.list(resource, namespace, '', access.timeoutMs, signal);
  const found = await access.orNull(async () => {
    try {
      return await list();
    } catch (error) {
      if (codeOf(error) === 'cluster_not_found') return null;
      throw error;
    }
  });
  return found?.items ?? [];
}
