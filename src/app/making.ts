import { join, resolve } from 'node:path';
import type { Clock } from '../clock.ts';
import type { ResolvedConfig, ResolvedDelivery, ResolvedRepository, ResolvedSource } from '../config/defaults.ts';
import { readSecret } from '../config/secrets.ts';
import type { Delivery } from '../delivery/port.ts';
import type { KubernetesDependencies } from '../delivery/kubernetes/access.ts';
import { createDelivery } from '../delivery/registry.ts';
import type { CodedError } from '../errors.ts';
import type { Forge } from '../forge/port.ts';
import { createForge } from '../forge/registry.ts';
import { createRepository } from '../git/mirror.ts';
import type { Repository } from '../git/port.ts';
import type { SigningConfig, SshConfig } from '../git/schema.ts';
import type { HttpClient } from '../net/client.ts';
import type { Channel } from '../notify/port.ts';
import { createChannel } from '../notify/registry.ts';
import type { ChannelConfig } from '../notify/schema.ts';
import type { Logger } from '../observability/logger.ts';
import { tracedDelivery, tracedRepository, tracedSource } from '../observability/traced.ts';
import type { Tracing } from '../observability/tracing.ts';
import type { MetricSource } from '../sources/port.ts';
import { createSource } from '../sources/registry.ts';

/** For the token that a GitHub App gets of its forge. */
const APP_TOKEN_TIMEOUT_MS = 15_000;

export interface MakingDependencies {
  http: HttpClient;
  log: Logger;
  clock: Clock;
  /** Folder of the configuration file, where relative paths start. */
  configFolder: string;
  /** The data folder, absolute; the mirrors live in it. */
  dataFolder: string;
  /** Told of what a part could not do in the background. */
  complain: (what: string) => (error: unknown) => void;
  /** Null: nobody looks at spans. */
  tracing: Tracing | null;
}

/** How the parts of one configuration are made: what each adapter is given stands here and nowhere else. */
export interface Makers {
  source(name: string, config: ResolvedSource): Promise<MetricSource>;
  /** @param repository address of the application's repository, to tell its revisions from those of others */
  delivery(application: string, config: ResolvedDelivery, repository?: string): Promise<Delivery>;
  /** @throws CodedError `forge_invalid` */
  forge(name: string, config: ResolvedRepository): Promise<Forge>;
  channel(name: string, config: ChannelConfig): Promise<Channel>;
  /** @throws CodedError `git_argument_refused` */
  repository(name: string, config: ResolvedRepository): Repository;
  /** Keys for ssh and for signing, with absolute paths. */
  keysOf(config: ResolvedRepository): { ssh: SshConfig | null; signing: SigningConfig | null };
  /** User name and token of a repository, read anew at every call; null without one. */
  credentialOf(name: string, config: ResolvedRepository): () => Promise<{ username: string; token: string } | null>;
}

export function createMakers({ clusters }: Pick<ResolvedConfig, 'clusters'>, deps: MakingDependencies): Makers {
  const { http, clock, log, configFolder, dataFolder, tracing } = deps;
  const secretOf = (key: string) => (file: string) => readSecret(configFolder, file, key);
  let kubernetes: Promise<KubernetesDependencies> | undefined;

  /** Loaded with the first workload in a cluster; the deliveries of one configuration share its connections. */
  async function kubernetesOf(): Promise<KubernetesDependencies> {
    const { createClusters } = await import('../delivery/kubernetes/clusters.ts');
    const report: (error: CodedError) => void = deps.complain('a cluster does not allow what would help');
    return {
      clusters: createClusters(clusters, { http, readSecret: secretOf('clusters'), folder: configFolder }),
      clock,
      report,
    };
  }

  /** The same settings with paths that no longer depend on where they are read from. */
  function absolute<T extends object>(settings: T, keys: readonly (keyof T)[]): T {
    return Object.fromEntries(
      Object.entries(settings).map(([key, value]) => [
        key,
        keys.some((one) => one === key) && typeof value === 'string' ? resolve(configFolder, value) : (value as unknown),
      ]),
    ) as T;
  }

  const makers: Makers = {
    async source(name, config) {
      const source = await createSource(name, config, { http, clock, readSecret: secretOf(`sources.${name}`) });
      return tracedSource(tracing, name, source);
    },
    async delivery(application, config, repository) {
      const readDeliverySecret = secretOf(`applications.${application}.delivery`);
      const inCluster = isInCluster(config)
        ? { kubernetes: { ...(await (kubernetes ??= kubernetesOf())), ...(repository !== undefined && { repository }) } }
        : {};
      const delivery = await createDelivery(application, config, { http, readSecret: readDeliverySecret, ...inCluster });
      return tracedDelivery(tracing, application, delivery);
    },
    repository(name, config) {
      const { url, branch, author } = config;
      const credential = makers.credentialOf(name, config);
      const folder = join(dataFolder, 'git', name);
      const options = { name, url, branch, author, credential, log, clock, folder, ...makers.keysOf(config) };
      return tracedRepository(tracing, createRepository(options));
    },
    forge(name, config) {
      const { url, branch, tokenFile } = config;
      return createForge(
        config.forge,
        { name, url, branch, tokenFile },
        { http, clock, readSecret: secretOf(`repositories.${name}.forge`) },
      );
    },
    channel(name, config) {
      return createChannel(config, { http, now: () => clock.now(), readSecret: secretOf(`notify.channels.${name}`) });
    },
    keysOf({ ssh, signing }) {
      return {
        ssh: ssh === undefined ? null : absolute(ssh, ['keyFile', 'knownHostsFile']),
        signing:
          signing === undefined ? null : signing.type === 'ssh' ? absolute(signing, ['keyFile']) : absolute(signing, ['home']),
      };
    },
    credentialOf(name, config) {
      const { username, tokenFile, forge } = config;
      if (tokenFile === undefined && typeof forge !== 'string' && forge.app !== undefined) {
        let made: Promise<Forge> | undefined;
        return async () => {
          const app = await (made ??= makers.forge(name, config));
          return (await app.gitCredential?.(AbortSignal.timeout(APP_TOKEN_TIMEOUT_MS))) ?? null;
        };
      }
      const read = secretOf(`repositories.${name}.tokenFile`);
      return async () => (tokenFile === undefined ? null : { username, token: await read(tokenFile) });
    },
  };
  return makers;
}

/** Whether it reaches a cluster by its API, so that the section `clusters` counts for it. */
export function isInCluster({ type }: ResolvedDelivery): boolean {
  return type === 'argo-rollouts' || type === 'flagger' || type === 'deployment';
}
