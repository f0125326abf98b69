import { describe, expect, it } from 'vitest';
import { parseOptions } from './options.ts';

describe('the options of the demo', () => {
  it('plays the whole story with seed 1 when nothing is said', () => {
    expect(parseOptions([])).toEqual({
      kind: 'run',
      options: {
        once: false,
        seed: 1,
        sabotage: null,
        healthy: false,
        badOnly: false,
        crash: null,
        killAfterMs: null,
        redis: null,
      },
    });
  });

  it('leaves out the good release when a part is sabotaged, so that the run ends soon', () => {
    expect(parseOptions(['--once', '--sabotage=git', '--seed', '7'])).toMatchObject({
      kind: 'run',
      options: { once: true, sabotage: 'git', seed: 7, badOnly: true },
    });
  });

  it('plays on a Redis that it is given', () => {
    expect(parseOptions(['--once', '--redis', 'redis://127.0.0.1:6379'])).toMatchObject({
      kind: 'run',
      options: { redis: { url: 'redis://127.0.0.1:6379' } },
    });
  });

  it.each([
    [['--onse'], '--onse'],
    [['now'], 'now'],
    [['--seed', 'one'], '--seed takes a whole number'],
    [['--seed', '-1'], '--seed'],
    [['--sabotage', 'network'], 'judge, git, metrics'],
    [['--kill-after-ms', '1.5'], '--kill-after-ms'],
    [['--healthy', '--sabotage=git'], '--healthy'],
    [['--redis', '127.0.0.1:6379'], 'redis://127.0.0.1:6379'],
  ])('refuses %j and says why', (args, reason) => {
    const parsed = parseOptions(args);
    expect(parsed.kind).toBe('refused');
    expect(parsed.kind === 'refused' && parsed.reason).toContain(reason);
  });

  it('shows the usage before it complains about anything else', () => {
    expect(parseOptions(['--help', '--seed', 'one'])).toEqual({ kind: 'help' });
  });
});
