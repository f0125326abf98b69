import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { createHttpClient, type HttpClient } from '../../../src/net/client.ts';
import { programPath } from '../../support/programs.ts';

const SOURCES = process.env['DAVYLAMP_KUBELITE'] ?? fileURLToPath(new URL('../../../../shared/kubelite', import.meta.url));
const CACHE = fileURLToPath(new URL('../../../.cache/kubelite', import.meta.url));
const BUILD_TIMEOUT_MS = 1_800_000;
const READY_TIMEOUT_MS = 120_000;
const PLURALS: Readonly<Record<string, string>> = { Canary: 'canaries', CustomResourceDefinition: 'customresourcedefinitions' };

export interface Kubelite {
  readonly server: string;
  readonly folder: string;
  /** Path of a kubeconfig of one of the three accounts; `service` has the rights of davylamp's service account. */
  kubeconfig(user: 'admin' | 'service' | 'nobody'): string;
  /** A call as the administrator; throws when it is not answered with 2xx. */
  call(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: object): Promise<unknown>;
  /** Creates objects as the administrator, each in its namespace. */
  create(...objects: readonly object[]): Promise<void>;
  close(): Promise<void>;
}

/** Builds the API server when it is not built yet (minutes), starts it with an etcd of its own, and installs the kinds. */
export async function startKubelite(): Promise<Kubelite> {
  const program = await build();
  const folder = await mkdtemp(join(tmpdir(), 'davylamp-kubelite-'));
  const children: ChildProcess[] = [];
  const http = createHttpClient();
  const start = (command: string, args: string[]) => {
    const child = spawn(command, args, { stdio: 'ignore' });
    children.push(child);
    return child;
  };
  try {
    const [etcdPort, peerPort, apiPort] = await freePorts(3);
    const etcd = `http://127.0.0.1:${etcdPort}`;
    const peer = `http://127.0.0.1:${peerPort}`;
    const settings = {
      'data-dir': join(folder, 'etcd'),
      'listen-client-urls': etcd,
      'advertise-client-urls': etcd,
      'listen-peer-urls': peer,
      'initial-advertise-peer-urls': peer,
      'initial-cluster': `default=${peer}`,
    };
    start(
      await programPath('etcd'),
      Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
    );
    await answers(http, `${etcd}/health`, undefined);
    const service = 'test-service,system:serviceaccount:davylamp:davylamp,2,"system:serviceaccounts"';
    await writeFile(join(folder, 'tokens.csv'), `test-admin,admin,1,"system:masters"\n${service}\ntest-nobody,nobody,3,\n`);
    const certs = join(folder, 'certs');
    await mkdir(certs);
    start(program, ['--port', String(apiPort), '--etcd', etcd, '--cert-dir', certs, '--tokens', join(folder, 'tokens.csv')]);
    const server = `https://127.0.0.1:${apiPort}`;
    const authority = join(certs, 'apiserver.crt');
    await until(() => readFile(authority, 'utf8'));
    const ca = await readFile(authority, 'utf8');
    await answers(http, `${server}/readyz`, ca);

    const call: Kubelite['call'] = async (method, path, body) => {
      const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
      const answer = await http.request(
        {
          method,
          url: server + path,
          headers: { authorization: 'Bearer test-admin', 'content-type': type },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          timeoutMs: 10_000,
          maxBodyBytes: 10_000_000,
          tls: { ca },
        },
        AbortSignal.timeout(10_000),
      );
      if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text.slice(0, 500)}`);
      return JSON.parse(answer.text) as unknown;
    };
    const create = async (...objects: readonly object[]) => {
      for (const object of objects) await call('POST', collectionOf(object as Named), object);
    };
    await create(...(await documents(join(SOURCES, 'crds-open.yaml'))));
    const kinds = ['argoproj.io/v1alpha1/rollouts', 'flagger.app/v1beta1/canaries'];
    for (const kind of kinds) await until(() => call('GET', `/apis/${kind}`));

    for (const user of ['admin', 'service', 'nobody']) {
      const config = {
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [{ name: 't', cluster: { server, 'certificate-authority': authority } }],
        users: [{ name: 't', user: { token: `test-${user}` } }],
        contexts: [{ name: 't', context: { cluster: 't', user: 't' } }],
        'current-context': 't',
      };
      await writeFile(join(folder, `kubeconfig-${user}`), JSON.stringify(config));
    }
    return {
      server,
      folder,
      kubeconfig: (user) => join(folder, `kubeconfig-${user}`),
      call,
      create,
      async close() {
        await http.close();
        await end(children);
        await rm(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await http.close();
    await end(children);
    throw error;
  }
}

/** The documents of a YAML file. */
export async function documents(file: string): Promise<object[]> {
  return parseAllDocuments(await readFile(file, 'utf8'))
    .map((document) => document.toJS() as unknown)
    .filter((value): value is object => typeof value === 'object' && value !== null);
}

/** The sources are copied, because what is given to read may not be written to. */
async function build(): Promise<string> {
  const program = join(CACHE, 'kubelite');
  await cp(SOURCES, join(CACHE, 'source'), { recursive: true, force: false });
  const version = '-X k8s.io/component-base/version.gitVersion=v1.34.1';
  await promisify(execFile)('go', ['build', '-ldflags', `-s -w ${version}`, '-o', program, '.'], {
    cwd: join(CACHE, 'source'),
    env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false' },
    timeout: BUILD_TIMEOUT_MS,
  });
  return program;
}

interface Named {
  apiVersion: string;
  kind: string;
  metadata: { namespace?: string };
}

function collectionOf({ apiVersion, kind, metadata }: Named): string {
  const plural = PLURALS[kind] ?? `${kind.toLowerCase()}s`;
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return metadata.namespace === undefined ? `${root}/${plural}` : `${root}/namespaces/${metadata.namespace}/${plural}`;
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(async (server) => {
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const address = server.address();
      return typeof address === 'object' && address !== null ? address.port : 0;
    }),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

async function answers(http: HttpClient, url: string, ca: string | undefined): Promise<void> {
  await until(async () => {
    const tls = ca === undefined ? {} : { tls: { ca } };
    const request = { method: 'GET' as const, url, timeoutMs: 2_000, maxBodyBytes: 100_000, ...tls };
    const { status } = await http.request(request, AbortSignal.timeout(2_000));
    if (status !== 200) throw new Error(`${url} answered ${status}`);
  });
}

/** Until it does not throw; the last failure, at the deadline. */
export async function until<T>(attempt: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await pause(100);
  }
}

async function end(children: readonly ChildProcess[]): Promise<void> {
  for (const child of children.toReversed()) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
}
