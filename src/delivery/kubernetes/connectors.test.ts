import { mkdtemp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CodedError } from '../../errors.ts';
import { connectorFor } from './connectors.ts';
import type { ClusterConfig } from './schema.ts';

describe('the ways to a cluster', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'davylamp-clusters-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const open = (config: ClusterConfig | null) =>
    connectorFor('cluster west', config, {
      folder,
      serviceAccount: join(folder, 'account'),
      inClusterServer: null,
      readSecret: (file) =>
        readFile(file.startsWith('/') ? file : join(folder, file), 'utf8').catch(() => {
          throw new CodedError('secret_unreadable', 'cannot read', { retryable: true });
        }),
    });
  const write = (name: string, text: string) => writeFile(join(folder, name), text);
  const kubeconfig = (cluster: object, user: object) =>
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster }],
      users: [{ name: 'u', user }],
      contexts: [
        { name: 'one', context: { cluster: 'c', user: 'u' } },
        { name: 'lost', context: { cluster: 'nowhere', user: 'u' } },
      ],
      'current-context': 'one',
    });

  it('read the token of a url anew for each call', async () => {
    await write('token', 't0ken');
    await write('ca', 'PEM');
    const connector = open({ url: 'https://10.0.0.1:6443/', tokenFile: 'token', caFile: 'ca' });
    const first = await connector.connect();
    expect(first).toEqual({ server: 'https://10.0.0.1:6443', headers: { authorization: 'Bearer t0ken' }, tls: { ca: 'PEM' } });
    await write('token', 'rotated');
    expect((await connector.connect()).headers).toEqual({ authorization: 'Bearer rotated' });
  });

  it('take the service account of the pod', async () => {
    await mkdir(join(folder, 'account'));
    await write('account/token', 'pod');
    await write('account/ca.crt', 'PEM');
    const expected = { server: 'https://kubernetes.default.svc', headers: { authorization: 'Bearer pod' }, tls: { ca: 'PEM' } };
    expect(await open({ inCluster: true }).connect()).toEqual(expected);
    expect(await open(null).connect()).toEqual(expected);
  });

  it('take a kubeconfig with its context, certificates and server name', async () => {
    const data = (text: string) => Buffer.from(text).toString('base64');
    const cluster = {
      server: 'https://10.0.0.1:6443',
      'certificate-authority-data': data('CA'),
      'tls-server-name': 'api.west',
    };
    await write('config', kubeconfig(cluster, { 'client-certificate-data': data('CERT'), 'client-key-data': data('KEY') }));
    expect(await open({ kubeconfigFile: 'config' }).connect()).toEqual({
      server: 'https://10.0.0.1:6443',
      headers: {},
      tls: { ca: 'CA', cert: 'CERT', key: 'KEY', servername: 'api.west' },
    });
  });

  it('run the exec plugin of a kubeconfig', async () => {
    const credential = {
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: { token: 'fr0m-plugin' },
    };
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: 'echo', args: [JSON.stringify(credential)] };
    await write('config', kubeconfig({ server: 'https://10.0.0.1', 'insecure-skip-tls-verify': true }, { exec }));
    expect(await open({ kubeconfigFile: 'config' }).connect()).toEqual({
      server: 'https://10.0.0.1',
      headers: { authorization: 'Bearer fr0m-plugin' },
      tls: { rejectUnauthorized: false },
    });
  });

  it('read the kubeconfig again after the cluster refused its credential', async () => {
    await write('config', kubeconfig({ server: 'https://10.0.0.1' }, { token: 'old' }));
    const connector = open({ kubeconfigFile: 'config' });
    await connector.connect();
    await write('config', kubeconfig({ server: 'https://10.0.0.1' }, { token: 'new' }));
    expect((await connector.connect()).headers).toEqual({ authorization: 'Bearer old' });
    connector.forget();
    expect((await connector.connect()).headers).toEqual({ authorization: 'Bearer new' });
  });

  it('may be http:// on loopback only', async () => {
    await write('config', kubeconfig({ server: 'http://127.0.0.1:8001' }, {}));
    expect(await open({ kubeconfigFile: 'config' }).connect()).toEqual({
      server: 'http://127.0.0.1:8001',
      headers: {},
      tls: null,
    });
    await write('config', kubeconfig({ server: 'http://10.0.0.1' }, { token: 's3cr3t' }));
    await expect(open({ kubeconfigFile: 'config' }).connect()).rejects.toMatchObject({ code: 'cluster_invalid' });
    expect(() => open({ url: 'http://10.0.0.1' })).toThrow(/https:\/\//);
  });

  it.each([
    ['is not there', async () => undefined, undefined],
    ['is not YAML', () => write('config', 's3cr3t: ['), undefined],
    ['is empty', () => write('config', ''), undefined],
    ['has no such context', () => write('config', kubeconfig({ server: 'https://h' }, {})), 'two'],
    ['has a context without a cluster', () => write('config', kubeconfig({ server: 'https://h' }, {})), 'lost'],
    ['has a proxy', () => write('config', kubeconfig({ server: 'https://h', 'proxy-url': 'http://p' }, {})), undefined],
    ['has a password in its address', () => write('config', kubeconfig({ server: 'https://me:s3cr3t@h' }, {})), undefined],
  ])('are refused without showing a credential when the kubeconfig %s', async (_what, prepare, context) => {
    await prepare();
    const config = { kubeconfigFile: 'config', ...(context === undefined ? {} : { context }) };
    await expect(open(config).connect()).rejects.toMatchObject({
      code: 'cluster_invalid',
      message: expect.stringMatching(/^cluster west cannot be used: (?!.*s3cr3t)/) as string,
    });
  });

  it('are refused when a token cannot be sent', async () => {
    await write('token', 's3cr3t\nline');
    await expect(open({ url: 'https://h', tokenFile: 'token' }).connect()).rejects.toMatchObject({
      code: 'cluster_invalid',
      message: expect.not.stringContaining('s3cr3t') as string,
    });
  });
});
