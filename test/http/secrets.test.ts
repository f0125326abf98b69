import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { appendFile, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { startFaultServer, type FaultServer } from '../support/fault-server.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { startService } from '../support/running-service.ts';
import { GIT_TOKEN, serviceWorld, type ServiceWorld } from '../support/service-world.ts';
import { sha256 } from './serving.ts';

/** Every kind of secret that the service is given or is sent, each with a text that stands nowhere else. */
const PLANTED = {
  apiToken: `planted-api-token-${randomBytes(8).toString('hex')}`,
  wrongToken: `planted-wrong-token-${randomBytes(8).toString('hex')}`,
  basicPassword: `planted-basic-password-${randomBytes(8).toString('hex')}`,
  wrongPassword: `planted-wrong-password-${randomBytes(8).toString('hex')}`,
  signingSecret: `planted-signing-secret-${randomBytes(8).toString('hex')}`,
  prometheusPassword: `planted-prometheus-password-${randomBytes(8).toString('hex')}`,
  prometheusHeader: `planted-prometheus-header-${randomBytes(8).toString('hex')}`,
  elasticKey: `planted-elastic-key-${randomBytes(8).toString('hex')}`,
  deliveryToken: `planted-delivery-token-${randomBytes(8).toString('hex')}`,
  redisPassword: `planted-redis-password-${randomBytes(8).toString('hex')}`,
  gitToken: GIT_TOKEN,
  wrongGitToken: `planted-wrong-git-token-${randomBytes(8).toString('hex')}`,
};
/** As they are, and as basic authentication and forms of base64 carry them. */
const NEEDLES = Object.entries(PLANTED).flatMap(([name, secret]) => [
  [name, secret],
  [`${name} in base64`, Buffer.from(secret).toString('base64').slice(0, -4)],
  ...['am', 'prom', 'davylamp'].map((user): [string, string] => [
    `${name} of ${user} in base64`,
    Buffer.from(`${user}:${secret}`).toString('base64').slice(0, -4),
  ]),
]) as [string, string][];

function leaks(where: string, text: string): string[] {
  return NEEDLES.filter(([, needle]) => text.includes(needle)).map(([name]) => `${name} in ${where}`);
}

/** Command lines of this process's children and grandchildren, looked at again and again until it is stopped. */
function watchProcesses() {
  const seen = new Set<string>();
  let running = true;
  const look = () => {
    const parents = new Map<string, string>();
    for (const pid of readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name))) {
      try {
        parents.set(pid, /^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '');
      } catch {
        // It has ended in the meantime.
      }
    }
    for (const pid of parents.keys()) {
      let parent = parents.get(pid);
      while (parent !== undefined && parent !== String(process.pid)) parent = parents.get(parent);
      if (parent === undefined) continue;
      try {
        seen.add(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '));
      } catch {
        // It has ended in the meantime.
      }
    }
    if (running) setImmediate(look);
  };
  look();
  return {
    seen,
    stop() {
      running = false;
    },
  };
}

let world: ServiceWorld;
let service: Awaited<ReturnType<typeof startService>>;
let far: FaultServer;
let redis: RedisServer | undefined;
afterEach(async () => {
  await service.close();
  await far.close();
  await redis?.stop();
  redis = undefined;
  await world.close();
});

async function configure(storage: string): Promise<void> {
  const secretFile = async (name: keyof typeof PLANTED) => writeFile(join(world.folder, name), `${PLANTED[name]}\n`);
  await Promise.all((Object.keys(PLANTED) as (keyof typeof PLANTED)[]).map(secretFile));
  const text = await readFile(world.config, 'utf8');
  const changed = text
    .replace(
      'server: { listen: 127.0.0.1:0 }',
      `
server:
  listen: 127.0.0.1:0
  tokens: [{ name: ops, sha256: ${sha256(PLANTED.apiToken)}, scopes: [admin] }]
  basic: [{ name: alertmanager, username: am, passwordSha256: ${sha256(PLANTED.basicPassword)} }]
  signers: [{ name: pager, secretFiles: [signingSecret] }]
  oidc:
    - { name: ci, issuer: '${far.url}', audience: davylamp, timeout: 500ms, grants: [{ match: { sub: x }, scopes: [admin] }] }`,
    )
    .replace('storage: { kind: embedded, path: ./data }', storage)
    .replace(
      'repositories:',
      `
  prom:
    type: prometheus
    url: ${far.url}/prometheus
    credentials: { username: prom, passwordFile: prometheusPassword }
    headers: { X-Planted: { file: prometheusHeader } }
  logs: { type: elasticsearch, url: ${far.url}, apiKeyFile: elasticKey }
repositories:`,
    )
    .replace('delivery: { type: http,', 'delivery: { type: http, tokenFile: deliveryToken,');
  await writeFile(world.config, changed);
  await appendFile(
    world.config,
    `
      load: { type: gauge, source: prom, value: { gauge: load }, limit: 1 }
      memory: { type: gauge, source: logs, value: { search: { index: 'shop-*', field: heap, stat: max } }, limit: 1 }
`,
  );
}

/** Calls everything with good and with wrong credentials, lets every far side fail, and gathers all that is said. */
async function provoke(): Promise<Map<string, string>> {
  const said = new Map<string, string>();
  const processes = watchProcesses();
  const { address } = service;
  const note = async (what: string, path: string, init: RequestInit = {}) => {
    const answer = await fetch(`${address}${path}`, init);
    const text = `${[...answer.headers].join('\n')}\n${await answer.text()}`;
    said.set(`answer: ${what}`, text);
    return { status: answer.status, text };
  };
  const json = { 'content-type': 'application/json' };
  const bearer = (token: string) => ({ ...json, authorization: `Bearer ${token}` });
  const basic = (password: string) => ({ ...json, authorization: `Basic ${Buffer.from(`am:${password}`).toString('base64')}` });
  const alerts = '/webhooks/alertmanager';
  expect((await note('wrong token', '/api/v1/analyses', { headers: bearer(PLANTED.wrongToken) })).status).toBe(401);
  expect(
    (await note('wrong password', alerts, { method: 'POST', body: '{}', headers: basic(PLANTED.wrongPassword) })).status,
  ).toBe(401);
  expect((await note('password', alerts, { method: 'POST', body: '{}', headers: basic(PLANTED.basicPassword) })).status).toBe(
    400,
  );
  const time = String(Math.floor(Date.now() / 1_000));
  const none = '{"alerts":[]}';
  const mac = createHmac('sha256', PLANTED.signingSecret).update(`m1.${time}.${none}`).digest('base64');
  const signed = { ...json, 'webhook-id': 'm1', 'webhook-timestamp': time, 'webhook-signature': `v1,${mac}` };
  expect((await note('signed', alerts, { method: 'POST', body: none, headers: signed })).status).toBe(202);
  expect((await note('signed again', alerts, { method: 'POST', body: none, headers: signed })).status).toBe(409);
  const claims = Buffer.from(JSON.stringify({ iss: far.url, sub: PLANTED.wrongToken })).toString('base64url');
  const jwt = `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.${claims}.c2ln`;
  expect((await note('issuer away', '/api/v1/analyses', { headers: bearer(jwt) })).status).toBe(503);
  await note('broken body', '/api/v1/analyses', {
    method: 'POST',
    body: `{"token": "${PLANTED.wrongToken}`,
    headers: bearer(PLANTED.apiToken),
  });
  await note('query', `/api/v1/analyses?cursor=${PLANTED.wrongToken}`, { headers: { ...bearer(PLANTED.apiToken) } }).then(() => {
    // What a client sent itself is not repeated either.
    expect(said.get('answer: query')).not.toContain(PLANTED.wrongToken);
  });

  // A release that fails, whose rollback first cannot be pushed.
  world.pages.set('canary', { errorShare: 0.5 });
  await writeFile(join(world.folder, 'token'), PLANTED.wrongGitToken);
  const body = JSON.stringify({ application: 'shop', revision: world.bad });
  const { text } = await note('start', '/api/v1/analyses', { method: 'POST', body, headers: bearer(PLANTED.apiToken) });
  const id = /"id":"([^"]+)"/.exec(text)?.[1] ?? '';
  const until = async (what: string, path: string, done: (answer: string) => boolean) => {
    const deadline = Date.now() + 30_000;
    for (;;) {
      const answer = await note(what, path, { headers: bearer(PLANTED.apiToken) });
      if (done(answer.text)) return answer.text;
      if (Date.now() > deadline) throw new Error(`${path} did not get there; last: ${answer.text.slice(-2_000)}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await until('analysis', `/api/v1/analyses/${id}`, (answer) => /"endedAt":"/.test(answer));
  await until('rollback that cannot go on', '/api/v1/rollbacks', (answer) => answer.includes('git_auth_failed'));
  await writeFile(join(world.folder, 'token'), PLANTED.gitToken);
  const rollback = await until('rollback', '/api/v1/rollbacks', (answer) => /"revertCommit":"/.test(answer));
  const rollbackId = /"items":\[\{"id":"([^"]+)"/.exec(rollback)?.[1] ?? '';
  await note('journal', `/api/v1/rollbacks/${rollbackId}/journal`, { headers: bearer(PLANTED.apiToken) });
  await note('measurements', `/api/v1/analyses/${id}/measurements`, { headers: bearer(PLANTED.apiToken) });
  await note('backup', '/api/v1/admin/backup', { headers: bearer(PLANTED.apiToken) });
  await note('metrics', '/metrics', { headers: bearer(PLANTED.apiToken) });
  await note('readiness', '/readyz?verbose');
  processes.stop();
  said.set('log', service.log.join(''));
  said.set('command lines', [...processes.seen].join('\n'));
  said.set(
    'commits',
    await world.colleague.git('--git-dir', world.git.repository, 'log', '--format=%B%an%ae%cn%ce', 'main', '--'),
  );
  return said;
}

/** The far side tells back what it was sent, as careless error pages do. */
function echoing(): void {
  far.on('*', ({ headers, path }) =>
    path.startsWith('/.well-known')
      ? { kind: 'answer', status: 500, body: JSON.stringify(headers) }
      : {
          kind: 'answer',
          status: 403,
          body: JSON.stringify({ status: 'error', errorType: 'x', error: JSON.stringify(headers) }),
        },
  );
}

function expectNothingTold(said: ReadonlyMap<string, string>): void {
  expect([...said].flatMap(([where, text]) => leaks(where, text))).toEqual([]);
}

const filesBelow = async (folder: string) => {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  return Promise.all(
    names
      .filter((entry) => entry.isFile())
      .map(async (entry) => {
        const path = join(entry.parentPath, entry.name);
        return [path, await readFile(path, 'latin1')] as const;
      }),
  );
};

describe('secrets', { timeout: 90_000 }, () => {
  it('that are planted everywhere turn up nowhere, whatever fails: storage in a folder', async () => {
    world = await serviceWorld();
    far = await startFaultServer();
    echoing();
    await configure('storage: { kind: embedded, path: ./data }');
    service = await startService(world.config);
    const said = await provoke();
    // The far sides were sent what they are owed, so that this test would notice.
    const sent = JSON.stringify(far.requests);
    expect(sent).toContain(PLANTED.prometheusHeader);
    expect(sent).toContain(PLANTED.elasticKey);
    expect([...(said.get('command lines')?.matchAll(/\bgit\b/g) ?? [])].length).toBeGreaterThan(0);
    for (const [path, text] of await filesBelow(join(world.folder, 'data'))) said.set(path, text);
    expectNothingTold(said);
  });

  it('that are planted everywhere turn up nowhere, whatever fails: storage in Redis', async () => {
    redis = await startRedis({ requirepass: PLANTED.redisPassword });
    world = await serviceWorld();
    far = await startFaultServer();
    echoing();
    await configure(`storage: { kind: redis, url: 'redis://127.0.0.1:${redis.port}', passwordFile: redisPassword }`);
    service = await startService(world.config);
    const said = await provoke();
    const client = new Redis({ port: redis.port, host: '127.0.0.1', password: PLANTED.redisPassword });
    let keys = 0;
    for (const key of await client.keys('*')) {
      keys += 1;
      const kind = await client.type(key);
      const read: Record<string, () => Promise<unknown>> = {
        string: () => client.get(key),
        hash: () => client.hgetall(key),
        list: () => client.lrange(key, '0', '-1'),
        set: () => client.smembers(key),
        zset: () => client.zrange(key, '0', '-1'),
        stream: () => client.xrange(key, '-', '+'),
      };
      said.set(`key ${key}`, JSON.stringify((await read[kind]?.()) ?? null));
    }
    await client.quit();
    expect(keys).toBeGreaterThan(5);
    expectNothingTold(said);
  });
});
