import { CodedError } from '../../errors.ts';
import type { HttpClient } from '../../net/client.ts';
import { Cluster } from './cluster.ts';
import { SERVICE_ACCOUNT, connectorFor } from './connectors.ts';
import type { ClusterConfig } from './schema.ts';

export interface ClustersDependencies {
  http: HttpClient;
  readSecret: (file: string) => Promise<string>;
  /** Where relative paths of the configuration start. */
  folder: string;
  /** Replaces the folder of the pod's credential, for tests. */
  serviceAccount?: string;
  /** Replaces the address at which a pod finds its API server. */
  inClusterServer?: string;
}

/** The clusters of the configuration by name; the deliveries share them. */
export interface Clusters {
  /** @throws CodedError `cluster_invalid` */
  named(name: string | undefined): Cluster;
}

export function createClusters(configs: Readonly<Record<string, ClusterConfig>>, deps: ClustersDependencies): Clusters {
  const known = new Map<string, Cluster>();
  const connecting = {
    readSecret: deps.readSecret,
    folder: deps.folder,
    serviceAccount: deps.serviceAccount ?? SERVICE_ACCOUNT,
    inClusterServer: deps.inClusterServer ?? null,
  };
  return {
    named(name) {
      const key = name ?? '';
      const found = known.get(key);
      if (found !== undefined) return found;
      const config = name === undefined ? null : configs[name];
      if (config === undefined) {
        throw new CodedError(
          'cluster_invalid',
          `there is no cluster ${key} in the configuration; add it to the section clusters`,
        );
      }
      const shown = name === undefined ? 'the cluster' : `cluster ${name}`;
      const cluster = new Cluster(shown, deps.http, connectorFor(shown, config, connecting));
      known.set(key, cluster);
      return cluster;
    },
  };
}
