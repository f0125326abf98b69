import { CRASH_POINTS } from '../crash-points.ts';
import { EXIT, readArguments, type Command } from './command-line.ts';

/** Prints the names that DAVYLAMP_CRASH_AT takes, in the order of the way. */
export const crashPoints: Command = async (args, { write }) => {
  readArguments(args, {});
  for (const name of CRASH_POINTS) write(`${name}\n`);
  return EXIT.done;
};
