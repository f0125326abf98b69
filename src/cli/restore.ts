import { loadConfig, type LoadedConfig } from '../config/load.ts';
import { summaryOf, type BackupSummary } from './backup.ts';
import { EXIT, readArguments, usage, type Command } from './command-line.ts';
import { complainAbout } from './config-errors.ts';

/** Restores a file into the storage of a configuration; src/app/offline.ts makes it. */
export type RestoreInto = (loaded: LoadedConfig, file: string) => Promise<BackupSummary>;

/** Puts a backup into the empty storage of a configuration, while no davylamp uses it. */
export function restoreWith(restoreInto: RestoreInto): Command {
  return async (args, { environment, write, complain }) => {
    const { values, positionals } = readArguments(args, { values: ['config'], positionals: ['FILE'] });
    const config = values.get('config') ?? environment['DAVYLAMP_CONFIG'];
    if (config === undefined || config === '') throw usage('name a configuration with --config FILE or DAVYLAMP_CONFIG');
    try {
      const summary = await restoreInto(await loadConfig({ file: config, environment }), positionals[0] ?? '');
      write(`restored ${summaryOf(summary)}\n`);
      write('Start davylamp now: it reads Git and the cluster again before it rolls anything back.\n');
      return EXIT.done;
    } catch (error) {
      return complainAbout(error, complain);
    }
  };
}
