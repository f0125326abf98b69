import type { KubeConfig } from '@kubernetes/client-node';
import type { RequestOptions } from 'node:https';
import { resolve } from 'node:path';
import { CodedError } from '../../errors.ts';
import type { TlsMaterial } from '../../net/client.ts';
import type { Connection, Connector } from './cluster.ts';
import type { ClusterConfig } from './schema.ts';

/** Where the kubelet puts the credential of a pod (Kubernetes: "Accessing the API from a Pod"). */
export const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
const IN_CLUSTER_SERVER = 'https://kubernetes.default.svc';
const LOOPBACK = /^(localhost|127(\.[0-9]{1,3}){3}|\[::1\])$/;

export interface ConnectorDependencies {
  /** Reads a file as it is at that moment, without the newline at its end. */
  readSecret: (file: string) => Promise<string>;
  /** Where relative paths start. */
  folder: string;
  /** Folder of the pod's credential. */
  serviceAccount: string;
  /** Address of the API server as a pod sees it. */
  inClusterServer: string | null;
}

export function connectorFor(name: string, config: ClusterConfig | null, deps: ConnectorDependencies): Connector {
  if (config === null) return firstThatWorks(name, deps);
  if ('kubeconfigFile' in config) {
    const file = resolve(deps.folder, config.kubeconfigFile);
    return kubeconfig(name, (loaded) => loaded.loadFromFile(file), config.context);
  }
  if ('inCluster' in config) return inCluster(name, deps);
  const { url, caFile, tokenFile } = config;
  return fixed(name, url, { ca: caFile, token: tokenFile }, deps);
}

/**
 * A server with a token file. What client-node does for this case is a page of code, and loading it costs 80 MB of
 * memory, so it is left to kubeconfigs.
 */
function fixed(
  name: string,
  url: string,
  files: { ca: string | undefined; token: string | undefined },
  { readSecret }: ConnectorDependencies,
): Connector {
  const server = serverOf(name, url);
  return {
    async connect() {
      const token = files.token === undefined ? null : checkedToken(name, await readSecret(files.token));
      const ca = files.ca === undefined ? null : await readSecret(files.ca);
      const headers: Record<string, string> = {};
      if (token !== null) headers['authorization'] = `Bearer ${token}`;
      return { server, headers, tls: ca === null ? null : { ca } };
    },
    forget: () => undefined,
  };
}

function inCluster(name: string, deps: ConnectorDependencies): Connector {
  const files = { ca: `${deps.serviceAccount}/ca.crt`, token: `${deps.serviceAccount}/token` };
  return fixed(name, deps.inClusterServer ?? IN_CLUSTER_SERVER, files, deps);
}

/** The cluster that davylamp runs in, else what kubectl would take. */
function firstThatWorks(name: string, deps: ConnectorDependencies): Connector {
  let chosen: Connector | null = null;
  return {
    async connect() {
      if (chosen !== null) return chosen.connect();
      const pod = inCluster(name, deps);
      try {
        const connection = await pod.connect();
        chosen = pod;
        return connection;
      } catch (error) {
        if (!(error instanceof CodedError) || error.code !== 'secret_unreadable') throw error;
      }
      const user = kubeconfig(name, (loaded) => loaded.loadFromDefault(), undefined);
      const connection = await user.connect();
      chosen = user;
      return connection;
    },
    forget: () => chosen?.forget(),
  };
}

/** A kubeconfig, with everything that client-node knows of credentials: files, exec plugins, OIDC. */
function kubeconfig(name: string, load: (loaded: KubeConfig) => void, context: string | undefined): Connector {
  let kept: KubeConfig | null = null;

  async function loaded(): Promise<KubeConfig> {
    if (kept !== null) return kept;
    const { KubeConfig } = await import('@kubernetes/client-node');
    const fresh = new KubeConfig();
    try {
      load(fresh);
    } catch (error) {
      // What a YAML parser says quotes the file, which holds credentials.
      const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
      throw invalid(name, `its kubeconfig cannot be read (${typeof code === 'string' ? code : 'not a kubeconfig'})`);
    }
    if (context !== undefined) fresh.setCurrentContext(context);
    kept = fresh;
    return fresh;
  }

  return {
    async connect(): Promise<Connection> {
      const config = await loaded();
      const cluster = config.getCurrentCluster();
      if (cluster === null) {
        throw invalid(name, `its kubeconfig has no ${context === undefined ? 'current context' : `context ${context}`}`);
      }
      // What loadFromDefault makes up when there is nothing.
      if (cluster.name === 'cluster' && cluster.server === 'http://localhost:8080') {
        throw invalid(name, 'there is neither a service account nor a kubeconfig; name a cluster of the section clusters');
      }
      if (typeof cluster.proxyUrl === 'string' && cluster.proxyUrl !== '') {
        throw invalid(name, 'its kubeconfig has a proxy-url, which is not supported');
      }
      const server = serverOf(name, cluster.server);
      const options: RequestOptions = {};
      try {
        // client-node refuses http:// even on loopback without this.
        if (server.startsWith('http:')) Object.assign(cluster, { skipTLSVerify: true });
        await config.applyToHTTPSOptions(options);
      } catch {
        throw new CodedError(
          'cluster_unauthorized',
          `${name}: the credential of its kubeconfig cannot be had; run "kubectl auth whoami" with it as the same user to see why`,
          { retryable: true, details: { cluster: name } },
        );
      }
      return { server, headers: headersOf(options), tls: server.startsWith('http:') ? null : tlsOf(options) };
    },
    forget() {
      kept = null;
    },
  };
}

function headersOf(options: RequestOptions): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [key, value] of Object.entries(options.headers ?? {})) {
    if (typeof value === 'string') headers[key.toLowerCase()] = value;
  }
  if (typeof options.auth === 'string') headers['authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
  return headers;
}

function tlsOf({ ca, cert, key, servername, rejectUnauthorized }: RequestOptions): TlsMaterial {
  const pem = (value: unknown) => (Buffer.isBuffer(value) || typeof value === 'string' ? String(value) : undefined);
  const material: TlsMaterial = {};
  const texts = { ca: pem(ca), cert: pem(cert), key: pem(key), servername };
  for (const [name, text] of Object.entries(texts)) if (text !== undefined) Object.assign(material, { [name]: text });
  if (rejectUnauthorized === false) material.rejectUnauthorized = false;
  return material;
}

function serverOf(name: string, text: string): string {
  if (!URL.canParse(text)) throw invalid(name, 'its address is not a URL; write for example https://10.0.0.1:6443');
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') throw invalid(name, 'its address holds a user name or password; use tokenFile');
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && LOOPBACK.test(url.hostname))) {
    throw invalid(name, 'its address must start with https:// (http:// only on loopback)');
  }
  return url.origin + url.pathname.replace(/\/$/, '');
}

/** A header takes no other characters, and an error about it must not show them. */
function checkedToken(name: string, token: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw invalid(name, 'its token file must hold one token in ASCII, without spaces or further lines');
}

function invalid(name: string, why: string): CodedError {
  return new CodedError('cluster_invalid', `${name} cannot be used: ${why}`, { details: { cluster: name } });
}
