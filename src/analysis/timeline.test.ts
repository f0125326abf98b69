import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Delivery, Liveness } from '../delivery/port.ts';
import { openEmbedded } from '../store/embedded/database.ts';
import { createEmbeddedStore } from '../store/embedded/store.ts';
import type { Store } from '../store/port.ts';
import { Timeline, WATCH_MS } from './timeline.ts';

const signal = new AbortController().signal;
const MINUTE = 60_000;
const [OLD, NEW, NEXT] = ['a', 'b', 'c'].map((digit) => digit.repeat(40)) as [string, string, string];

let now = Date.parse('2026-01-01T12:00:00.000Z');
const clock = { now: () => now };
let folder: string;
let store: Store;
let close: () => Promise<void>;
let runs: { canary: string | null; stable: string | null };
let history: Liveness[] | Error;
let timeline: Timeline;
let faults: unknown[];

const delivery: Delivery = {
  type: 'double',
  can: { observe: true, abort: false, annotate: false, sync: false },
  observe: async () => ({ ...runs, synced: null, phase: 'progressing' }),
  history: async () => {
    if (history instanceof Error) throw history;
    return history;
  },
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
  faults = [];
  timeline = new Timeline({ store, clock, deliveries: new Map([['shop', delivery]]), onFault: (_, error) => faults.push(error) });
});

afterEach(async () => {
  await close();
  await rm(folder, { recursive: true });
});

/** Looks at what runs, then time goes on. */
async function runFor(ms: number, what: typeof runs): Promise<number> {
  runs = what;
  const began = now;
  await timeline.watch(signal);
  now += ms;
  return began;
}

describe('the revision that was live at a moment', () => {
  it('is the one of that moment, not the one that runs now', async () => {
    const first = await runFor(10 * MINUTE, { canary: null, stable: OLD });
    const second = await runFor(10 * MINUTE, { canary: null, stable: NEW });
    await runFor(10 * MINUTE, { canary: null, stable: NEXT });
    expect(await timeline.liveAt('shop', first + 5 * MINUTE, signal)).toMatchObject({ revision: OLD });
    expect(await timeline.liveAt('shop', second + 5 * MINUTE, signal)).toEqual({ revision: NEW, since: second - WATCH_MS });
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
    history = new Error('no answer');
    expect(await timeline.liveAt('shop', now, signal)).toMatchObject({ revision: NEW });
    expect(faults).toHaveLength(1);
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

  it('is known for each of the times at which a revision came back', async () => {
    const first = await runFor(10 * MINUTE, { canary: null, stable: OLD });
    await runFor(10 * MINUTE, { canary: null, stable: NEW });
    const third = await runFor(10 * MINUTE, { canary: null, stable: OLD });
    expect(await timeline.liveAt('shop', third + MINUTE, signal)).toMatchObject({ revision: OLD });
    expect(await timeline.liveAt('shop', first + MINUTE, signal)).toMatchObject({ revision: OLD });
    expect(await timeline.liveAt('shop', first + 15 * MINUTE, signal)).toMatchObject({ revision: NEW });
  });
});
