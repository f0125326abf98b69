import { editorSchema } from '../config/reference.ts';
import { EXIT, readArguments, type Command } from './command-line.ts';

/** Prints the JSON Schema of the configuration, for editors. */
export const configSchema: Command = async (args, { write }) => {
  readArguments(args, {});
  write(`${JSON.stringify(editorSchema(), null, 2)}\n`);
  return EXIT.done;
};
