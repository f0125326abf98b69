import { describe, expect, it } from 'vitest';
import { CodedError } from '../errors.ts';
import type { RecordWrite, StoredRecord } from '../store/port.ts';
import { Turn } from './turn.ts';

const signal = new AbortController().signal;

/** A store of one record and a clock that only waiting moves on. */
function shared() {
  let record: StoredRecord | undefined;
  let now = 0;
  let isAway = false;
  const demand = () => {
    if (isAway) throw new CodedError('store_unavailable', 'away', { retryable: true });
  };
  const store = {
    get: async () => (demand(), record),
    commit: async ([write]: readonly RecordWrite[]) => {
      demand();
      if (write === undefined || write.expect !== (record?.version ?? 0)) throw new CodedError('conflict', 'changed');
      const { expect: before, ...rest } = write;
      record = { ...rest, version: before + 1 };
    },
  };
  const turn = (self: string, onPause: () => Promise<void> = async () => {}) =>
    new Turn(
      {
        store: store as never,
        clock: { now: () => now },
        pause: async (ms) => {
          now += ms;
          await onPause();
        },
        self,
      },
      'deploy',
      'main',
    );
  return { turn, now: () => now, setAway: (away: boolean) => (isAway = away) };
}

describe('the turn of those who push to one branch', () => {
  it('is waited for by nobody while nobody lost a race', async () => {
    const { turn, now } = shared();
    await turn('a').respect(signal);
    await turn('b').respect(signal);
    expect(now()).toBe(0);
  });

  it('is handed on by who had it', async () => {
    const world = shared();
    const first = world.turn('a');
    await first.take(signal);
    const second = world.turn('b', async () => first.leave());
    await second.respect(signal);
    expect(world.now()).toBeGreaterThan(0);
    expect(world.now()).toBeLessThan(1_000);
    // It has the turn now, so that the first one waits.
    const third = world.turn('a', async () => second.leave());
    const before = world.now();
    await third.respect(signal);
    expect(world.now()).toBeGreaterThan(before);
  });

  it('is taken from a process that does not give it back', async () => {
    const world = shared();
    await world.turn('dead').take(signal);
    await world.turn('b').take(signal);
    expect(world.now()).toBeGreaterThanOrEqual(3_000);
    expect(world.now()).toBeLessThan(4_000);
  });

  it('holds nobody up while the store is away', async () => {
    const world = shared();
    const one = world.turn('a');
    await world.turn('b').take(signal);
    world.setAway(true);
    await one.respect(signal);
    await one.take(signal);
    await one.leave();
    expect(world.now()).toBe(0);
  });
});
