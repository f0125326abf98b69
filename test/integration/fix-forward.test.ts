import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { expect, it } from 'vitest';
import type { Rollback } from '../../src/rollback/record.ts';
import { fleetWorld } from '../support/fleet-world.ts';
import { startService } from '../support/running-service.ts';

const RELEASES = 100;
const AT_ONCE = 20;
const SEED = 20_261_124;
const PUSH_TRIES = 50;

/** Where B begins, counted in what the service asks after its verdict about A: the plan's look, the abort's look, the abort. */
const MOMENTS = ['before 1', 'after 1', 'before 2', 'after 2', 'before abort', 'after abort'] as const;
/** What B does in Git: beside A, on the same line, or A's content out and more. */
const FIXES = ['beside', 'same line', 'back'] as const;

interface Release {
  name: string;
  bad: string;
  fix: string | null;
  moment: (typeof MOMENTS)[number];
  kind: (typeof FIXES)[number];
  canary: string;
  aborted: string[];
  asked: number;
  /** What the service asked for about which revision, and what it had seen by then. */
  deeds: { path: string; revision: unknown; sawFix: boolean }[];
  sawFix: boolean;
  starting: Promise<void> | null;
}

/** mulberry32: the same seed gives the same play. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
}

it(
  '5.7 a fix B that starts between the verdict about A and the abort is never aborted or reverted, 100 times',
  { timeout: 300_000 },
  async () => {
    const releases = new Map<string, Release>();
    const judged = new Set<string>();
    let looked = 0;
    let log: readonly string[] = [];
    let startFix: (release: Release) => Promise<void> = async () => undefined;

    const isJudged = (name: string): boolean => {
      for (; looked < log.length; looked += 1) {
        const line = JSON.parse(log[looked] ?? '{}') as { msg?: string; application?: string };
        if (line.msg === 'analysis ended' && line.application !== undefined) judged.add(line.application);
      }
      return judged.has(name);
    };
    const start = async (release: Release): Promise<void> => {
      release.starting ??= startFix(release);
      await release.starting;
    };

    async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
      const [, name = '', deed = ''] = (request.url ?? '').split('/');
      const release = releases.get(name);
      if (release === undefined) throw new Error(`${request.url ?? ''} is no application`);
      // As it was when the call came: what it waits for below may be B itself.
      const { moment, sawFix } = release;
      const body = await bodyOf(request);
      await release.starting;
      if (request.method === 'POST') {
        release.deeds.push({ path: deed, revision: body['revision'], sawFix });
        if (deed === 'abort' && moment === 'before abort') await start(release);
        const isRunning = deed !== 'abort' || body['revision'] === release.canary;
        if (deed === 'abort' && isRunning) release.aborted.push(release.canary);
        if (deed === 'abort' && moment === 'after abort') await start(release);
        response.writeHead(isRunning ? 200 : 409).end(JSON.stringify({ result: 'aborted' }));
        return;
      }
      const ask = isJudged(name) ? (release.asked += 1) : 0;
      if (moment === `before ${ask}`) await start(release);
      release.sawFix ||= release.canary !== release.bad;
      const phase = release.aborted.includes(release.canary) ? 'aborted' : 'progressing';
      response.writeHead(200).end(JSON.stringify({ canary: release.canary, stable: null, synced: release.canary, phase }));
      if (moment === `after ${ask}`) void start(release);
    }
    const faults: unknown[] = [];
    const server = createServer((request, response) => {
      answer(request, response).catch((error: unknown) => {
        faults.push(error);
        response.writeHead(500).end();
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the rollouts have no port');

    const world = await fleetWorld(RELEASES, {
      rollbacks: '{ maxPerDay: 1000, fleet: { enabled: false } }',
      delivery: (name) => `type: http, url: "http://127.0.0.1:${address.port}/${name}"`,
    });
    const draw = random(SEED);
    for (const [index, [name, bad]] of [...world.bad].entries()) {
      const moment = MOMENTS[index % MOMENTS.length] ?? 'before 1';
      const kind = FIXES[Math.floor(draw() * FIXES.length)] ?? 'beside';
      const none = { fix: null, aborted: [], asked: 0, deeds: [], sawFix: false, starting: null };
      releases.set(name, { name, bad, moment, kind, canary: bad, ...none });
    }
    let turn = Promise.resolve();
    startFix = async (release) => {
      const mine = turn.then(() => commitFix(release));
      turn = mine;
      await mine;
    };
    const filesOf = ({ name, kind }: Release): Record<string, string> =>
      ({
        beside: { [`apps/${name}/more.yaml`]: 'fixed: true\n' },
        'same line': { [`apps/${name}/app.yaml`]: 'version: 3\n' },
        back: { [`apps/${name}/app.yaml`]: 'version: 1\n', [`apps/${name}/more.yaml`]: 'fixed: true\n' },
      })[kind];
    /** In Git first, then in the cluster, as an operator brings it. */
    async function commitFix(release: Release): Promise<void> {
      for (let attempt = 1; ; attempt += 1) {
        await world.colleague.pull();
        const fix = await world.colleague.commit(`${release.name} fix`, filesOf(release));
        const pushed = await world.colleague.push().then(
          () => true,
          () => false,
        );
        if (pushed) {
          Object.assign(release, { fix, canary: fix });
          return;
        }
        if (attempt === PUSH_TRIES) throw new Error('the branch moves all the time');
      }
    }

    const service = await startService(world.config);
    log = service.log;
    try {
      world.pages.set('canary', { errorShare: 0.3 });
      const all = [...releases.values()];
      for (let from = 0; from < all.length; from += AT_ONCE) {
        const batch = all.slice(from, from + AT_ONCE);
        for (const { name, bad } of batch) {
          const request = { application: name, revision: bad };
          expect((await service.call('POST', '/api/v1/analyses', request)).status).toBe(202);
        }
        const names = new Set(batch.map(({ name }) => name));
        await service.until<{ items: Rollback[] }>(
          '/api/v1/rollbacks?limit=100',
          ({ items }) =>
            items.filter(({ application, state }) => names.has(application) && ['held', 'refused'].includes(state)).length ===
            names.size,
          60_000,
        );
      }
      expect(faults).toEqual([]);
      const { items } = (await service.call<{ items: Rollback[] }>('GET', '/api/v1/rollbacks?limit=100')).body;
      expect(items).toHaveLength(RELEASES);
      for (const { application, code, aborted, badCommit } of items) {
        const release = releases.get(application);
        if (release === undefined) throw new Error(application);
        const { bad, fix, moment, kind } = release;
        const about = `${application}: B ${kind}, ${moment}: ${code}`;
        expect(fix, about).not.toBeNull();
        expect(badCommit, about).toBe(bad);
        expect(['another_revision_runs', 'conflict', 'already_reverted'], about).toContain(code);
        // Every order names A, none comes after B was seen, and B itself was not aborted.
        expect(
          release.deeds.filter(({ path, revision, sawFix }) => path !== 'abort' || revision !== bad || sawFix),
          about,
        ).toEqual([]);
        expect(release.aborted, about).toEqual(moment === 'after abort' ? [bad] : []);
        // An answer that came too late was asked for again, and B was seen then.
        if (moment === 'before abort') expect(['not_running', 'no'], about).toContain(aborted);
        for (const [path, content] of Object.entries(filesOf(release))) {
          const text = await world.colleague.git('--git-dir', world.git.repository, 'show', `main:${path}`);
          expect(`${text}\n`, about).toBe(content);
        }
      }
      expect(await world.reverts()).toEqual([]);
    } finally {
      await service.close();
      server.close();
      server.closeAllConnections();
      await world.close();
    }
  },
);
