import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openEmbedded } from '../store/embedded/database.ts';
import { createEmbeddedStore } from '../store/embedded/store.ts';
import type { Store } from '../store/port.ts';
import { Switches } from './switches.ts';

const SHOP = { application: 'shop', repository: 'deploy' };
let folder: string;
let store: Store;
let database: Awaited<ReturnType<typeof openEmbedded>>;
let now = 0;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'davylamp-switches-'));
  now = Date.parse('2026-05-04T09:30:00.000Z');
  database = await openEmbedded({ folder, clock: { now: () => now } });
  store = createEmbeddedStore(database);
});

afterEach(async () => {
  await store.close();
  await database.close();
  await rm(folder, { recursive: true, force: true });
});

const process = () =>
  new Switches({
    store,
    clock: { now: () => now },
    repositories: new Map([['deploy', 1]]),
    applications: new Map([
      ['shop', 1],
      ['search', 1],
    ]),
  });
const ada = { name: 'ada' };
const reason = 'prom is moved';

describe('kill switches', () => {
  it('stop what they name, in every process at once, until they are released', async () => {
    const [one, other] = [process(), process()];
    await one.set({ scope: 'application', name: 'shop', stopped: true, reason }, ada);
    expect(await other.stopping(SHOP)).toMatchObject([{ scope: 'application', name: 'shop', by: 'ada', reason }]);
    expect(await other.stopping({ ...SHOP, application: 'search' })).toEqual([]);
    await one.set({ scope: 'repository', name: 'deploy', stopped: true, reason }, ada);
    await one.set({ scope: 'global', stopped: true, reason }, ada);
    expect((await other.stopping({ ...SHOP, application: 'search' })).map(({ scope }) => scope)).toEqual([
      'global',
      'repository',
    ]);
    expect((await other.stopping({ application: 'else', repository: 'own' })).map(({ scope }) => scope)).toEqual(['global']);
    for (const scope of ['application', 'repository', 'global'] as const) {
      const name = { application: 'shop', repository: 'deploy', global: undefined }[scope];
      await other.set({ scope, ...(name !== undefined && { name }), stopped: false, reason: 'done' }, { name: 'bob' });
    }
    expect(await one.stopping(SHOP)).toEqual([]);
    expect(await one.list()).toMatchObject([{ by: 'bob' }, { by: 'bob' }, { by: 'bob' }]);
  });

  it('5.11 are in the journal together with what they change', async () => {
    const switches = process();
    await switches.set({ scope: 'global', stopped: true, reason }, ada);
    await switches.set({ scope: 'global', stopped: false, reason: 'done' }, ada);
    expect(await store.journal({ limit: 10 })).toMatchObject([
      { event: 'switch.stopped', subject: 'switch/global', code: 'global', details: { by: 'ada', stopped: true } },
      { event: 'switch.released', subject: 'switch/global' },
    ]);
  });

  it('set by two people at once are both in the journal, and the later one counts', async () => {
    await Promise.all(
      [true, false, true, false].map((stopped) => process().set({ scope: 'global', stopped, reason: `to ${stopped}` }, ada)),
    );
    const last = (await store.journal({ limit: 10 })).at(-1);
    expect(await store.journal({ limit: 10 })).toHaveLength(4);
    expect((await process().list())[0]?.stopped).toBe(last?.details['stopped']);
  });

  it.each<[Parameters<Switches['set']>[0], string]>([
    [{ scope: 'application', stopped: true, reason }, 'switch_invalid'],
    [{ scope: 'global', name: 'shop', stopped: true, reason }, 'switch_invalid'],
    [{ scope: 'application', name: 'shoop', stopped: true, reason }, 'application_unknown'],
    [{ scope: 'repository', name: 'shop', stopped: true, reason }, 'repository_unknown'],
  ])('%j are refused', async (request, code) => {
    await expect(process().set(request, ada)).rejects.toMatchObject({ code });
    expect(await store.journal({ limit: 10 })).toEqual([]);
  });

  it('are listed with those first that stop something, and stay for ever', async () => {
    const switches = process();
    await switches.set({ scope: 'application', name: 'shop', stopped: true, reason }, ada);
    await switches.set({ scope: 'application', name: 'search', stopped: false, reason }, ada);
    expect((await switches.list()).map(({ name }) => name)).toEqual(['shop', 'search']);
    expect(await store.prune('switch', { before: now + 1e12, limit: 10 })).toBe(0);
  });
});
