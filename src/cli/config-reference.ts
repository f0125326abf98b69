import { configReference } from '../config/reference.ts';
import { EXIT, readArguments, type Command } from './command-line.ts';

/** Prints the reference of the configuration as Markdown. */
export const printConfigReference: Command = async (args, { write }) => {
  readArguments(args, {});
  write(configReference());
  return EXIT.done;
};
