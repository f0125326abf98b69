import { readVersion } from '../version.ts';
import { EXIT, readArguments, type Command } from './command-line.ts';

export const version: Command = async (args, { write }) => {
  readArguments(args, {});
  write(`${await readVersion()}\n`);
  return EXIT.done;
};
