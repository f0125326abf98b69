import { readSecret } from '../config/secrets.ts';
import type { ResolvedServer } from '../config/server.ts';
import type { Clock } from '../clock.ts';
import { replaysIn } from '../http/auth/replays.ts';
import type { HttpDependencies } from '../http/dependencies.ts';
import { createServer } from '../http/server.ts';
import type { HttpClient } from '../net/client.ts';
import type { Store } from '../store/port.ts';

/** What listens: the API, and where it is configured the plain listener for probes beside it. */
export interface Listeners {
  /** @returns the address of the API */
  listen(): Promise<string>;
  /** Knows the callers of another configuration from now on. */
  takeCredentials(config: ResolvedServer): void;
  /** Answers who waits, takes no connection any more, and waits for the last answers. */
  close(): Promise<void>;
}

type Rest = Omit<HttpDependencies, 'tokens' | 'callers' | 'rates' | 'tls' | 'maxBodyBytes'>;

/**
 * @param world.configFolder where relative paths of secrets and certificates start
 * @throws CodedError `tls_invalid`, `secret_unreadable` for certificates that cannot be used
 */
export async function createListeners(
  config: ResolvedServer,
  rest: Rest,
  world: { http: HttpClient; store: Store; clock: Clock; configFolder: string },
): Promise<Listeners> {
  const secret = (file: string, key: string) => readSecret(world.configFolder, file, key);
  const replays = replaysIn(world.store, world.clock);
  const credentialsOf = ({ tokens, basic, signers, oidc, clients }: ResolvedServer) => ({
    tokens,
    callers: { basic, signers, oidc, clients, http: world.http, readSecret: secret, replays },
  });
  let take: Parameters<NonNullable<HttpDependencies['onCredentials']>>[0] = () => undefined;
  const deps: HttpDependencies = {
    ...rest,
    ...credentialsOf(config),
    onCredentials: (receive) => void (take = receive),
    rates: config.rates,
    maxBodyBytes: config.maxBodyBytes,
    // Loaded with the first certificate: most installations leave TLS to what stands in front.
    ...(config.tls !== undefined && { tls: await (await import('../http/tls.ts')).readTls(config.tls, secret) }),
  };
  const server = createServer(deps);
  const probes = config.probes === undefined ? null : (await import('../http/probes.ts')).createProbeServer(deps);
  return {
    async listen() {
      // Probes first: they tell "not ready" while the rest starts.
      if (probes !== null && config.probes !== undefined) await probes.listen(listenOptions(config.probes.listen));
      return server.listen(listenOptions(config.listen));
    },
    takeCredentials: (next) => take(credentialsOf(next)),
    async close() {
      await server.close();
      // Last, so that a kubelet is answered to the end.
      await probes?.close();
    },
  };
}

function listenOptions(listen: string): { host: string; port: number } {
  const at = listen.lastIndexOf(':');
  return { host: listen.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: Number(listen.slice(at + 1)) };
}
