import { readSecret } from '../config/secrets.ts';
import type { ResolvedServer } from '../config/server.ts';
import type { Clock } from '../clock.ts';
import { CodedError } from '../errors.ts';
import { replaysIn } from '../http/auth/replays.ts';
import type { HttpDependencies } from '../http/dependencies.ts';
import { createServer } from '../http/server.ts';
import type { HttpClient } from '../net/client.ts';
import type { Store } from '../store/port.ts';

/** What listens: the API, and where it is configured the plain listener for probes beside it. */
export interface Listeners {
  /** @returns the address of the API. @throws CodedError `listen_failed` */
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
      if (probes !== null && config.probes !== undefined) await listening(probes, config.probes.listen);
      return listening(server, config.listen);
    },
    takeCredentials: (next) => take(credentialsOf(next)),
    async close() {
      await server.close();
      // Last, so that a kubelet is answered to the end.
      await probes?.close();
    },
  };
}

/** @throws CodedError `listen_failed`, with what to do where the system says no more than a word */
async function listening(
  server: { listen(options: { host: string; port: number }): Promise<string> },
  listen: string,
): Promise<string> {
  try {
    return await server.listen(listenOptions(listen));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const why = REFUSALS[code];
    if (why === undefined) throw error;
    throw new CodedError('listen_failed', `${listen} cannot be listened on: ${why}`, { cause: error });
  }
}

const REFUSALS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'something listens there already; end it, or take another port',
  EADDRNOTAVAIL: 'this machine does not have that address',
  EACCES: 'this user may not; take a port above 1023',
  ENOTFOUND: 'there is no such host name',
  EAI_AGAIN: 'the host name could not be resolved',
};

function listenOptions(listen: string): { host: string; port: number } {
  const at = listen.lastIndexOf(':');
  return { host: listen.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: Number(listen.slice(at + 1)) };
}
