import { describe, expect, it } from 'vitest';
import { Failures, networkOf } from './failures.ts';

function failing() {
  const clock = { at: 1_000_000, now: () => clock.at };
  return { clock, failures: new Failures(clock) };
}

describe('wrong credentials of one address', () => {
  it('are slowed from the eleventh in a minute on, and forgotten after it', () => {
    const { clock, failures } = failing();
    const delays = Array.from({ length: 12 }, () => failures.note('192.0.2.1').delayMs);
    expect(delays).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1_000, 1_000]);
    expect(failures.note('192.0.2.2').delayMs).toBe(0);
    clock.at += 60_000;
    expect(failures.note('192.0.2.1')).toEqual({ delayMs: 0, tell: true, failures: 1 });
  });

  it('are told ever less often, and all together at most 60 times a minute', () => {
    const { clock, failures } = failing();
    const told = Array.from({ length: 1_000 }, () => failures.note('192.0.2.1')).filter(({ tell }) => tell);
    expect(told.map((note) => note.failures)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512]);
    const others = Array.from({ length: 1_000 }, (_, n) => failures.note(`10.0.${n >> 8}.${n & 255}`));
    expect(others.filter(({ tell }) => tell)).toHaveLength(50);
    clock.at += 60_000;
    expect(failures.note('10.9.9.9').tell).toBe(true);
  });

  it('of many addresses take bounded memory', () => {
    const { failures } = failing();
    for (let n = 0; n < 30_000; n += 1) failures.note(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`);
    expect(failures.addresses).toBe(10_000);
  });

  it('hold back a bounded number of answers; the rest is answered at once', async () => {
    const { failures } = failing();
    for (let n = 0; n < 10; n += 1) failures.note('192.0.2.1');
    const waiting: Promise<void>[] = [];
    let slowed = 0;
    for (let n = 0; n < 500; n += 1) {
      const { delayMs } = failures.note('192.0.2.1');
      if (delayMs > 0) slowed += 1;
      waiting.push(new Promise((resolve) => failures.hold(delayMs, resolve)));
    }
    expect(slowed).toBe(256);
    await Promise.all(waiting);
    expect(failures.note('192.0.2.1').delayMs).toBe(1_000);
  });
});

describe('the network of an address', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:db8::9', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['', ''],
  ])('of %s is %s', (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});
