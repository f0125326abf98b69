import { parseArgs } from 'node:util';
import { demoRedis, type DemoRedis } from './redis-storage.ts';

export const SABOTAGES = ['judge', 'git', 'metrics'] as const;
export type Sabotage = (typeof SABOTAGES)[number];

export interface DemoOptions {
  once: boolean;
  seed: number;
  sabotage: Sabotage | null;
  healthy: boolean;
  badOnly: boolean;
  crash: string | null;
  killAfterMs: number | null;
  /** Where davylamp keeps records and jobs, instead of in a file of its own. */
  redis: DemoRedis | null;
}

export type ParsedOptions = { kind: 'run'; options: DemoOptions } | { kind: 'help' } | { kind: 'refused'; reason: string };

export const USAGE = `Usage: npm run demo -- [options]

Plays a good and a bad release of a small shop against a real Git remote and a real davylamp.

  --once              end after the story; exit 0 only if all of it happened; last line is one JSON object
  --seed N            moment and rate of the bad release's errors (default 1)
  --healthy           play two good releases; nothing may be rolled back
  --sabotage PART     break judge, git or metrics; the demo must notice, name the part and exit 1
  --redis URL         davylamp keeps its records and jobs in this Redis (redis://host:port); the
                      demo's keys are removed at the end
  --help              this text

For tests of davylamp itself:
  --bad-only          leave out the good release
  --crash NAME        have davylamp kill itself at this crash point, then start it again
  --kill-after-ms N   kill davylamp (SIGKILL) N ms after the bad release was pushed, then start it again`;

const LARGEST_SEED = 2 ** 32 - 1;

function wholeNumber(text: string, largest: number): number | null {
  return /^\d{1,10}$/.test(text) && Number(text) <= largest ? Number(text) : null;
}

/** Reads the command line; never throws, because every mistake gets a sentence of its own. */
export function parseOptions(args: readonly string[]): ParsedOptions {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      strict: true,
      allowPositionals: false,
      options: {
        help: { type: 'boolean', short: 'h', default: false },
        once: { type: 'boolean', default: false },
        healthy: { type: 'boolean', default: false },
        'bad-only': { type: 'boolean', default: false },
        seed: { type: 'string', default: '1' },
        sabotage: { type: 'string' },
        crash: { type: 'string' },
        'kill-after-ms': { type: 'string' },
        redis: { type: 'string' },
      },
    }));
  } catch (error) {
    return { kind: 'refused', reason: error instanceof Error ? error.message : String(error) };
  }
  if (values.help) return { kind: 'help' };
  const seed = wholeNumber(values.seed, LARGEST_SEED);
  if (seed === null) return refused(`--seed takes a whole number from 0 to ${String(LARGEST_SEED)}, not "${values.seed}".`);
  const sabotage = values.sabotage === undefined ? null : SABOTAGES.find((part) => part === values.sabotage);
  if (sabotage === undefined) return refused(`--sabotage takes ${SABOTAGES.join(', ')}, not "${values.sabotage ?? ''}".`);
  const killText = values['kill-after-ms'];
  const killAfterMs = killText === undefined ? null : wholeNumber(killText, 120_000);
  if (killText !== undefined && killAfterMs === null) {
    return refused(`--kill-after-ms takes milliseconds from 0 to 120000, not "${killText}".`);
  }
  if (values.healthy && (sabotage !== null || values['bad-only'] || values.crash !== undefined || killText !== undefined)) {
    return refused('--healthy plays no bad release, so it cannot go with --sabotage, --bad-only, --crash or --kill-after-ms.');
  }
  const redis = values.redis === undefined ? null : demoRedis(values.redis);
  if (values.redis !== undefined && redis === null) {
    return refused('--redis takes an address such as redis://127.0.0.1:6379.');
  }
  return {
    kind: 'run',
    options: {
      once: values.once,
      seed,
      sabotage,
      healthy: values.healthy,
      // A sabotaged run is about the bad release alone: it has to end soon.
      badOnly: values['bad-only'] || sabotage !== null,
      crash: values.crash ?? null,
      killAfterMs,
      redis,
    },
  };
}

function refused(reason: string): ParsedOptions {
  return { kind: 'refused', reason };
}
