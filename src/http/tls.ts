import { X509Certificate, createHash, createPrivateKey } from 'node:crypto';
import type { RequestListener, Server, ServerOptions } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import type { ResolvedServer } from '../config/server.ts';
import { CodedError, sentenceOf } from '../errors.ts';

const HANDSHAKE_MS = 10_000;

type TlsConfig = NonNullable<ResolvedServer['tls']>;
interface Material extends SecureContextOptions {
  cert: string;
  key: string;
  ca?: string;
}

/** Certificates as they were read, and reading them again. */
export interface TlsFiles {
  readonly config: TlsConfig;
  readonly material: Material;
  /** The files as they are now. @throws CodedError `tls_invalid`, `secret_unreadable` */
  read(): Promise<Material>;
}

/**
 * Reads certificate, key and authorities, and checks that they belong together.
 *
 * @param readFile reads one file of the configuration
 * @throws CodedError `tls_invalid`, and what `readFile` throws
 */
export async function readTls(config: TlsConfig, readFile: (file: string, key: string) => Promise<string>): Promise<TlsFiles> {
  const read = async (): Promise<Material> => {
    const [cert, key, ca] = await Promise.all([
      readFile(config.certFile, 'server.tls.certFile'),
      readFile(config.keyFile, 'server.tls.keyFile'),
      config.clientCaFile === undefined ? undefined : readFile(config.clientCaFile, 'server.tls.clientCaFile'),
    ]);
    const material = { cert, key, ...(ca !== undefined && { ca }) };
    try {
      check(material);
    } catch (error) {
      throw new CodedError('tls_invalid', `server.tls: certificate and key cannot be used: ${sentenceOf(error)}`, {
        cause: error,
      });
    }
    return material;
  };
  return { config, material: await read(), read };
}

/** An https server; with client authorities it asks each client for a certificate. */
export function createTlsServer(tls: TlsFiles, options: ServerOptions, listener: RequestListener): Server {
  const server = createHttpsServer(
    { ...options, ...contextOf(tls.config, tls.material), handshakeTimeout: HANDSHAKE_MS },
    listener,
  );
  // node counts a connection from the end of its handshake on; one that never ends would hold up the end of the server.
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const closeAll = server.closeAllConnections.bind(server);
  server.closeAllConnections = () => {
    closeAll();
    for (const socket of sockets) socket.destroy();
  };
  return server;
}

/**
 * Takes changed files up, without a restart and without touching open connections. Files that cannot be used leave the
 * old ones in place: a certificate is often replaced before its key is.
 *
 * @returns 'same', 'changed'
 * @throws CodedError as `readTls`
 */
export function reloader(tls: TlsFiles, server: Server): () => Promise<'same' | 'changed'> {
  let used = fingerprint(tls.material);
  return async () => {
    const material = await tls.read();
    const found = fingerprint(material);
    if (found === used) return 'same';
    if ('setSecureContext' in server && typeof server.setSecureContext === 'function') {
      Reflect.apply(server.setSecureContext, server, [contextOf(tls.config, material)]);
    }
    used = found;
    return 'changed';
  };
}

/** The first certificate of the chain belongs to the key, and the authorities are certificates. */
function check({ cert, key, ca }: Material): void {
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)))
    throw new Error('the key is not the one of the certificate');
  for (const authority of ca?.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? [ca]) {
    if (authority !== undefined) void new X509Certificate(authority);
  }
}

function contextOf({ minVersion, requireClientCertificate, clientCaFile }: TlsConfig, material: Material) {
  return {
    ...material,
    minVersion: minVersion === '1.3' ? ('TLSv1.3' as const) : ('TLSv1.2' as const),
    requestCert: clientCaFile !== undefined,
    rejectUnauthorized: requireClientCertificate,
  };
}

function fingerprint({ cert, key, ca }: Material): string {
  return createHash('sha256')
    .update(JSON.stringify([cert, key, ca ?? null]))
    .digest('hex');
}
