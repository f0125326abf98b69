import { loadConfig, type LoadedConfig } from '../config/load.ts';
import type { Finding } from '../finding.ts';
import { EXIT, readArguments, usage, type Command } from './command-line.ts';
import { complainAbout } from './config-errors.ts';

/** What `doctor` needs: src/app/examination.ts makes it. */
export type Examine = (loaded: LoadedConfig) => Promise<readonly { check: string; findings: readonly Finding[] }[]>;

/** Looks at everything that a configuration needs of the world; one line a finding, and nothing is changed. */
export function doctorWith(examine: Examine): Command {
  return async (args, { environment, write, complain }) => {
    const { flags, values, positionals } = readArguments(args, { flags: ['json'], values: ['config'], optional: ['CONFIG'] });
    const file = positionals[0] ?? values.get('config') ?? environment['DAVYLAMP_CONFIG'];
    if (file === undefined || file === '') throw usage('name a configuration: davylamp doctor CONFIG, or DAVYLAMP_CONFIG');
    let loaded: LoadedConfig;
    try {
      loaded = await loadConfig({ file, environment });
    } catch (error) {
      return complainAbout(error, complain);
    }
    const examined = await examine(loaded);
    const found = examined.flatMap(({ check, findings }) => findings.map((finding) => ({ check, ...finding })));
    const counts = { ok: 0, warn: 0, fail: 0 };
    for (const { status } of found) counts[status] += 1;
    if (flags.has('json')) {
      write(`${JSON.stringify({ healthy: counts.fail === 0, counts, findings: found }, null, 2)}\n`);
    } else {
      const width = Math.max(...found.map(({ check }) => check.length));
      for (const { status, check, sentence, code } of found) {
        const reason = status === 'ok' ? '' : ` (${code})`;
        write(`${status.padEnd(4)}  ${check.padEnd(width)}  ${sentence.replaceAll(/\s+/g, ' ')}${reason}\n`);
      }
      write(`${counts.fail} failed, ${counts.warn} to look at, ${counts.ok} ok\n`);
    }
    return counts.fail === 0 ? EXIT.done : EXIT.failed;
  };
}
