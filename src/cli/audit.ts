import { EXIT, readArguments, unknown, type Command } from './command-line.ts';
import { complainAbout } from './config-errors.ts';

/** Verifies a file; src/app/offline.ts hands it in. */
export type AuditFile = (file: string) => Promise<{
  first: number;
  last: number;
  lastHash: string | null;
  entries: number;
  repeated: number;
  cut: boolean;
  broken: { number: number; fault: 'number' | 'previous' | 'hash'; line: number } | null;
}>;

const FAULTS = {
  number: 'an entry before it is missing, or another journal begins',
  previous: 'it does not follow the entry before',
  hash: 'its content was changed',
} as const;

/** `audit verify FILE`: whether the chain of a journal's file or of a backup holds, without a service. */
export function auditWith(auditFile: AuditFile): Command {
  return async (args, { write, complain }) => {
    const { positionals } = readArguments(args, { positionals: ['verify', 'FILE'] });
    const [action = '', file = ''] = positionals;
    if (action !== 'verify') throw unknown('command', `audit ${action}`, ['audit verify']);
    try {
      const { first, last, lastHash, entries, repeated, cut, broken } = await auditFile(file);
      if (broken !== null) {
        write(`${file}: the chain breaks at entry number ${broken.number} (line ${broken.line}): ${FAULTS[broken.fault]}\n`);
        return EXIT.failed;
      }
      if (lastHash === null) write(`${file}: there is no entry\n`);
      else write(`${file}: ${entries} entries, ${first} to ${last}: the chain holds; last hash ${lastHash}\n`);
      if (repeated > 0) write(`${repeated} entries stand there more than once, as after a crash; they are the same\n`);
      if (cut) complain('the last line is not complete: it is being written, or was cut off\n');
      return EXIT.done;
    } catch (error) {
      return complainAbout(error, complain);
    }
  };
}
