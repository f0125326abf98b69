import { parseDuration } from '../../analysis/quantities.ts';
import type { Clock } from '../../clock.ts';
import { CodedError } from '../../errors.ts';
import type { ReceiverDependencies } from '../receiver/receiver.ts';
import type { Cluster, ObjectAddress } from './cluster.ts';
import type { Clusters } from './clusters.ts';
import type { ResourceKind } from './problem.ts';
import { PODS, Pod, REPLICA_SETS, ReplicaSet, checked, type Selector } from './resources.ts';
import type { Workload } from './schema.ts';

const DEFAULT_TIMEOUT = '5s';
export const REVISION_ANNOTATION = 'davylamp.io/revision';

export interface KubernetesDependencies {
  clusters: Clusters;
  clock: Clock;
  /** Told once of each thing that is left out because the cluster does not allow it. */
  report: (error: CodedError) => void;
  /** Address of the repository that the application is configured with; left out: an operator's own is not compared. */
  repository?: string;
  /** How addresses beside the clusters are called; left out: none can be. */
  hooks?: ReceiverDependencies;
}

/** One workload in its cluster: what the three deliveries read in the same way. */
export class Access {
  readonly cluster: Cluster;
  readonly annotation: string;
  readonly timeoutMs: number;
  readonly #namespace: string;
  readonly #name: string;
  readonly #report: (error: CodedError) => void;
  readonly #reported = new Set<string>();

  constructor(config: Workload, { clusters, report }: Pick<KubernetesDependencies, 'clusters' | 'report'>) {
    this.cluster = clusters.named(config.cluster);
    this.annotation = config.revisionAnnotation ?? REVISION_ANNOTATION;
    this.timeoutMs = parseDuration(config.timeout ?? DEFAULT_TIMEOUT);
    this.#namespace = config.namespace;
    this.#name = config.name;
    this.#report = report;
  }

  address(resource: ResourceKind, name = this.#name): ObjectAddress {
    return { resource, namespace: this.#namespace, name };
  }

  /** Null when they may not be read, or when there are more than are read. */
  async replicaSets(labels: string, signal: AbortSignal): Promise<ReplicaSet[] | null> {
    const list = await this.#listing(REPLICA_SETS, labels, signal);
    return list?.map((item) => checked(this.cluster, REPLICA_SETS, 'list', item, ReplicaSet)) ?? null;
  }

  /** Null when they may not be read, or when there are more than are read. */
  async pods(labels: string, signal: AbortSignal): Promise<Pod[] | null> {
    const list = await this.#listing(PODS, labels, signal);
    return list?.map((item) => checked(this.cluster, PODS, 'list', item, Pod)) ?? null;
  }

  /**
   * What is only helpful is left out where the cluster refuses it, so that a narrow role still judges and aborts; a
   * fault of the moment is not a refusal.
   */
  async orNull<T>(call: () => Promise<T>): Promise<T | null> {
    try {
      return await call();
    } catch (error) {
      const refused = error instanceof CodedError && (error.code === 'cluster_forbidden' || error.code === 'cluster_not_found');
      if (!refused) throw error;
      if (!this.#reported.has(error.message)) {
        this.#reported.add(error.message);
        this.#report(error);
      }
      return null;
    }
  }

  async #listing(resource: ResourceKind, labels: string, signal: AbortSignal): Promise<readonly unknown[] | null> {
    const list = await this.orNull(() => this.cluster.list(resource, this.#namespace, labels, this.timeoutMs, signal));
    return list === null || !list.complete ? null : list.items;
  }
}

/** A selector as the API takes it in an address. */
export function labelsOf(selector: Selector | undefined): string {
  const equal = Object.entries(selector?.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`);
  const expressions = (selector?.matchExpressions ?? []).map(({ key, operator, values }) => {
    switch (operator) {
      case 'Exists':
        return key;
      case 'DoesNotExist':
        return `!${key}`;
      default:
        return `${key} ${operator.toLowerCase()} (${(values ?? []).join(',')})`;
    }
  });
  return [...equal, ...expressions].join(',');
}

/** The selector, and one of these hashes. */
export function withHash(labels: string, label: string, hashes: readonly string[]): string {
  return [...(labels === '' ? [] : [labels]), `${label} in (${hashes.join(',')})`].join(',');
}
