import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Delivery, DeliveryState, Liveness } from '../delivery/port.ts';
import { openEmbedded } from '../store/embedded/database.ts';
import { createEmbeddedStore } from '../store/embedded/store.ts';
import type { Store } from '../store/port.ts';
import { Timeline } from './timeline.ts';

const signal = new AbortController().signal;
const MINUTE = 60_000;
const LOOK_MS = 15_000;
const [OLD, NEW, NEXT] = ['a', 'b', 'c'].map((digit) => digit.repeat(40)) as [string, string, string];

let now = Date.parse('2026-01-01T12:00:00.000Z');
const clock = { now: () => now };
let folder: string;
let store: Store;
let close: () => Promise<void>;
let runs: { canary: string | null; stable: string | null };
let history: Liveness[];
let down: boolean;
let phase: DeliveryState['phase'];
let timeline: Timeline;
let faults: unknown[];

const delivery: Delivery = {
  type: 'double',
  can: { observe: true, abort: false, annotate: false, sync: false },
  observe: async () => {
    if (down) throw new Error('no answer');
    return { ...runs, synced: null, phase };
  },
  history: async () => history,
  abort: async () => 'not_running',
  annotate: async () => undefined,
  sync: async () => undefined,
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'davylamp-timeline-'));
  const database = await openEmbedded({ folder, clock });
  store = createEmbeddedStore(database);
  close = async () => {
    await store.close();
    await database.close();
  };
  runs = { canary: null, stable: OLD };
  history = [];
  down = false;
  phase = 'progressing';
  faults = [];
  timeline = new Timeline({ store, clock, deliveries: new Map([['shop', delivery]]), onFault: (_, error) => faults.push(error) });
});

afterEach(async () => {
  await close();
  await rm(folder, { recursive: true });
});

/** Looks at what runs, again and again, while time goes on. */
async function runFor(ms: number, what: typeof runs): Promise<number> {
  runs = what;
  const began = now;
  while (now < began + ms) {
    await timeline.watch(signal);
    now += LOOK_MS;
  }
  return began;
}

describe('the revision that was live at a moment', () => {
  it('is the one of that moment, not the one that runs now', async () => {
    const first = await runFor(10 * MINUTE, { canary: null, stable: OLD });
    const second = await runFor(10 * MINUTE, { canary: null, stable: NEW });
    await runFor(10 * MINUTE, { canary: null, stable: NEXT });
    expect(await timeline.liveAt('shop', first + 5 * MINUTE, signal)).toMatchObject({ revision: OLD });
    expect(await timeline.liveAt('shop', second + 5 * MINUTE, signal)).toMatchObject({ revision: NEW });
    expect(await timeline.liveAt('shop', now, signal)).toMatchObject({ revision: NEXT });
  });

  it('is the canary while there is one, and the stable one again when it is gone', async () => {
    await runFor(MINUTE, { canary: null, stable: OLD });
    const second = await runFor(5 * MINUTE, { canary: NEW, stable: OLD });
    const third = await runFor(5 * MINUTE, { canary: null, stable: OLD });
    expect(await timeline.liveAt('shop', second + MINUTE, signal)).toMatchObject({ revision: NEW });
    expect(await timeline.liveAt('shop', third + MINUTE, signal)).toMatchObject({ revision: OLD });
  });

  it('is the canary where both were seen in the first look', async () => {
    const first = await runFor(5 * MINUTE, { canary: NEW, stable: OLD });
    expect(await timeline.liveAt('shop', first + MINUTE, signal)).toMatchObject({ revision: NEW });
  });

  it('is the canary also where the stable revision was seen a moment later', async () => {
    await timeline.see('shop', { canary: NEW, stable: null, phase: 'progressing' });
    now += 40;
    await timeline.see('shop', { canary: NEW, stable: OLD, phase: 'progressing' });
    expect(await timeline.liveAt('shop', now, signal)).toMatchObject({ revision: NEW });
  });

  it('is not known of a time before anything was seen', async () => {
    const first = await runFor(MINUTE, { canary: NEW, stable: OLD });
    expect(await timeline.liveAt('shop', first - 10 * MINUTE, signal)).toBeNull();
    expect(await timeline.liveAt('other', first, signal)).toBeNull();
  });

  it('is told by the cluster where it knows more, and by our own looks where it cannot be asked', async () => {
    const began = now - 30 * MINUTE;
    history = [{ revision: NEW, role: 'stable', from: began, to: null }];
    await runFor(MINUTE, { canary: null, stable: NEW });
    expect(await timeline.liveAt('shop', began + MINUTE, signal)).toEqual({ revision: NEW, since: began });
  });

  it('is not told from what was seen before while the cluster cannot be asked', async () => {
    await runFor(MINUTE, { canary: null, stable: OLD });
    down = true;
    await expect(timeline.liveAt('shop', now, signal)).rejects.toThrow('no answer');
    down = false;
    runs = { canary: NEW, stable: OLD };
    expect(await timeline.liveAt('shop', now, signal)).toMatchObject({ revision: NEW });
  });

  it('is not an aborted canary, which serves nobody', async () => {
    await runFor(5 * MINUTE, { canary: NEW, stable: OLD });
    phase = 'aborted';
    const aborted = await runFor(5 * MINUTE, { canary: NEW, stable: OLD });
    expect(await timeline.liveAt('shop', aborted + MINUTE, signal)).toMatchObject({ revision: OLD });
  });

  it('is live from its own time on where another one ran in between, whatever the cluster says of its making', async () => {
    const making = await runFor(5 * MINUTE, { canary: NEW, stable: OLD });
    await runFor(5 * MINUTE, { canary: NEXT, stable: OLD });
    const again = await runFor(MINUTE, { canary: NEW, stable: OLD });
    history = [{ revision: NEW, role: 'canary', from: making, to: null }];
    const live = await timeline.liveAt('shop', again, signal);
    expect(live?.revision).toBe(NEW);
    expect(live?.since).toBeGreaterThan(making + 4 * MINUTE);
  });

  it('was not the one of the cluster before the cluster made it, however late we saw it', async () => {
    await runFor(30_000, { canary: null, stable: OLD });
    const seen = await runFor(MINUTE, { canary: NEW, stable: OLD });
    history = [{ revision: NEW, role: 'canary', from: seen - 10_000, to: null }];
    expect(await timeline.liveAt('shop', seen - 20_000, signal)).toMatchObject({ revision: OLD });
    expect(await timeline.liveAt('shop', seen - 5_000, signal)).toEqual({ revision: NEW, since: seen - 10_000 });
  });

  it('went live at a known time where a look just before did not see it, and not where it was there at the first look', async () => {
    const first = await runFor(30_000, { canary: null, stable: OLD });
    const second = await runFor(MINUTE, { canary: NEW, stable: OLD });
    const old = await timeline.liveAt('shop', first, signal);
    const fresh = await timeline.liveAt('shop', second, signal);
    if (old === null || fresh === null) throw new Error('nothing is known');
    expect(await timeline.knowsStart('shop', old, signal)).toBe(false);
    expect(await timeline.knowsStart('shop', fresh, signal)).toBe(true);
  });

  it('is handed on with every look, as the delivery said it', async () => {
    const seen: unknown[] = [];
    const onSeen = async (application: string, state: DeliveryState) => void seen.push([application, state]);
    const deliveries = new Map([['shop', delivery]]);
    const handing = new Timeline({ store, clock, deliveries, onSeen, onFault: (_, error) => faults.push(error) });
    runs = { canary: NEW, stable: OLD };
    await handing.watch(signal);
    down = true;
    await handing.watch(signal);
    expect(seen).toEqual([['shop', { canary: NEW, stable: OLD, synced: null, phase: 'progressing' }]]);
  });

  it('is remembered once, also when two processes look at the same time', async () => {
    const other = new Timeline({
      store,
      clock,
      deliveries: new Map([['shop', delivery]]),
      onFault: (_, error) => faults.push(error),
    });
    runs = { canary: NEW, stable: OLD };
    await Promise.all([timeline.watch(signal), other.watch(signal), timeline.watch(signal)]);
    expect((await store.list('sighting', { application: 'shop', limit: 10 })).records).toHaveLength(2);
    expect(faults).toEqual([]);
  });

  it('is the last one of many that are said to run at the same time', async () => {
    const revisions = Array.from({ length: 40 }, (_, n) => n.toString(16).padStart(40, 'd'));
    const states = revisions.map((canary) => ({ canary, stable: null, phase: 'progressing' as const }));
    await Promise.all(states.map((state) => timeline.see('shop', state)));
    const open = await store.list('sighting', { application: 'shop', open: true, limit: 100 });
    expect(open.records.map(({ value }) => value)).toMatchObject([{ revision: revisions.at(-1) }]);
  });

  it('is known for each of the times at which a revision came back', async () => {
    const first = await runFor(10 * MINUTE, { canary: null, stable: OLD });
    await runFor(10 * MINUTE, { canary: null, stable: NEW });
    const third = await runFor(10 * MINUTE, { canary: null, stable: OLD });
    expect(await timeline.liveAt('shop', third + MINUTE, signal)).toMatchObject({ revision: OLD });
    expect(await timeline.liveAt('shop', first + MINUTE, signal)).toMatchObject({ revision: OLD });
    expect(await timeline.liveAt('shop', first + 15 * MINUTE, signal)).toMatchObject({ revision: NEW });
  });
});
