import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DeploymentRepository } from './deployment-repository.ts';
import { freePort } from './free-port.ts';
import { startGitServer, type GitServer } from './git-server.ts';
import { startLoop, type LoopEvent } from './gitops-loop.ts';
import { serveJson } from './json-server.ts';
import type { Running } from './parts.ts';
import { startRouter } from './router.ts';
import { startTraffic, type TrafficReport } from './traffic.ts';

/** Just enough of davylamp: it takes an analysis once a key, and says of it what the test says. */
class FakeDavylamp {
  readonly started: { id: string; revision: string }[] = [];
  readonly requests: string[] = [];
  isDown = false;
  phase = 'Running';
  port = 0;
  close: () => Promise<void> = () => Promise.resolve();

  async open(): Promise<void> {
    const server = await serveJson((route, body) => {
      if (this.isDown) return { status: 503, body: {} };
      this.requests.push(route);
      if (route === 'POST /api/v1/analyses') {
        const revision = String(body.revision);
        const known = this.started.find((analysis) => analysis.revision === revision);
        const analysis = known ?? { id: `a${String(this.started.length)}`, revision };
        if (known === undefined) this.started.push(analysis);
        return { status: 202, body: { ...analysis, phase: 'Pending' } };
      }
      const id = route.split('/').at(-1);
      const analysis = this.started.find((candidate) => candidate.id === id);
      return analysis === undefined ? null : { status: 200, body: { ...analysis, phase: this.phase } };
    });
    this.port = server.port;
    this.close = () => server.close();
  }
}

async function until<T>(
  what: string,
  look: () => Promise<T | null | undefined | false> | T | null | undefined | false,
): Promise<T> {
  const deadline = performance.now() + 15_000;
  for (;;) {
    const found = await look();
    if (found !== null && found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`did not happen: ${what}`);
    await pause(20);
  }
}

describe('the GitOps loop of the demo', () => {
  const davylamp = new FakeDavylamp();
  let folder = '';
  let gitServer: GitServer;
  let repository: DeploymentRepository;
  let events: LoopEvent[];
  let router: Running;
  let loop: Running;
  let base = '';
  let firstCommit = '';

  const said = <Type extends LoopEvent['type']>(type: Type): Promise<Extract<LoopEvent, { type: Type }>> =>
    until(`the loop says ${type}`, () =>
      events.find((event): event is Extract<LoopEvent, { type: Type }> => event.type === type),
    );
  const state = async (): Promise<unknown> => (await fetch(base)).json();
  const weights = async (): Promise<unknown> => (await fetch(`http://127.0.0.1:${String(router.ports.control)}/weights`)).json();
  const visit = async (): Promise<string> => {
    const answer = await fetch(`http://127.0.0.1:${String(router.ports.customers)}/products/lamp`);
    await answer.text();
    return `${String(answer.status)} ${answer.headers.get('x-served-by') ?? ''} ${answer.headers.get('x-shop-version') ?? ''}`;
  };
  const post = (path: string, body: unknown): Promise<Response> =>
    fetch(`${base}/${path}`, { method: 'POST', body: JSON.stringify(body) });

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gitops-loop-'));
    gitServer = await startGitServer({ folder: join(folder, 'remote'), token: 'secret' });
    const remote = { url: gitServer.url, branch: 'main', token: 'secret' };
    repository = new DeploymentRepository(join(folder, 'developers'), remote);
    firstCommit = await repository.create('1.0.0', 10);
    const stablePort = await freePort();
    const canaryPort = await freePort([stablePort]);
    router = await startRouter({ stablePort, canaryPort });
    davylamp.started.length = 0;
    davylamp.requests.length = 0;
    davylamp.isDown = false;
    davylamp.phase = 'Running';
    await davylamp.open();
    events = [];
    loop = await startLoop(
      {
        remote,
        folder: join(folder, 'loop'),
        application: 'shop',
        workloads: {
          stablePort,
          canaryPort,
          registry: { '1.0.0': { fault: null }, '1.1.0': { fault: null } },
          seed: 1,
          metricsBroken: false,
        },
        router: `http://127.0.0.1:${String(router.ports.control)}`,
        davylamp: `http://127.0.0.1:${String(davylamp.port)}`,
        pollMs: 20,
      },
      (event) => events.push(event),
    );
    base = `http://127.0.0.1:${String(loop.ports.delivery)}/rollouts/shop`;
    await said('deployed');
  });

  afterEach(async () => {
    await loop.close();
    await router.close();
    await davylamp.close();
    await gitServer.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('deploys what the branch declares and reports it', async () => {
    expect(await visit()).toBe('200 stable 1.0.0');
    await until('synced', async () => ((await state()) as { synced: string | null }).synced);
    expect(await state()).toEqual({ canary: null, stable: firstCommit, synced: firstCommit, phase: 'healthy' });
  });

  it('promotes a release that davylamp passes, and no customer notices', async () => {
    let report: TrafficReport | null = null;
    const customers = startTraffic(
      { routerPort: router.ports.customers ?? 0, requestsPerSecond: 200, log: join(folder, 'traffic.log') },
      (latest) => (report = latest),
    );
    const commit = await repository.release('1.1.0', 10, 'why');
    expect(await said('canary')).toMatchObject({ version: '1.1.0', commit, weight: 10 });
    expect(await weights()).toEqual({ canary: 10, stable: 90 });
    await said('analysis');
    expect(await state()).toMatchObject({ canary: commit, stable: firstCommit, phase: 'progressing' });
    davylamp.phase = 'Successful';
    await said('promoted');
    expect(await visit()).toBe('200 stable 1.1.0');
    expect(await state()).toMatchObject({ canary: null, stable: commit, phase: 'healthy' });
    await until('a report after the promotion', () => (report?.byVersion['1.1.0']?.requests ?? 0) > 100);
    await customers.close();
    expect(report).toMatchObject({ failed: 0 });
  });

  it('aborts only the revision that is the canary, as often as it is told', async () => {
    const commit = await repository.release('1.1.0', 10, 'why');
    await said('analysis');
    const wrong = await post('abort', { revision: firstCommit, rollback: 'r', reason: '' });
    expect(wrong.status).toBe(409);
    expect(await weights()).toEqual({ canary: 10, stable: 90 });
    for (const result of ['aborted', 'already']) {
      const answer = await post('abort', { revision: commit, rollback: 'r', reason: 'too many errors' });
      expect(answer.status).toBe(200);
      expect(await answer.json()).toEqual({ result });
      expect(await weights()).toEqual({ canary: 0, stable: 100 });
    }
    expect(await state()).toMatchObject({ canary: commit, phase: 'aborted' });
  });

  it('leaves a failed release as it is until it is told to abort, and ends it when Git declares the stable version again', async () => {
    const commit = await repository.release('1.1.0', 10, 'why');
    await said('analysis');
    davylamp.phase = 'Failed';
    await said('judged');
    expect(await weights()).toEqual({ canary: 10, stable: 90 });
    expect((await post('abort', { revision: commit, rollback: 'r', reason: '' })).status).toBe(200);
    const back = await repository.release('1.0.0', 10, 'back');
    expect((await post('sync', { commit: back, rollback: 'r' })).status).toBe(202);
    expect(await said('restored')).toMatchObject({ version: '1.0.0', commit: back });
    await until('synced', async () => ((await state()) as { synced: string }).synced === back);
    expect(await state()).toEqual({ canary: null, stable: back, synced: back, phase: 'healthy' });
    expect((await post('abort', { revision: commit, rollback: 'r', reason: '' })).status).toBe(409);
  });

  it('neither promotes nor aborts while davylamp does not answer, and then asks for one analysis', async () => {
    davylamp.isDown = true;
    const commit = await repository.release('1.1.0', 10, 'why');
    await said('waiting');
    expect(await state()).toMatchObject({ canary: commit, phase: 'progressing' });
    davylamp.isDown = false;
    await said('analysis');
    expect(davylamp.started).toHaveLength(1);
    expect(davylamp.started[0]?.revision).toBe(commit);
  });
});
