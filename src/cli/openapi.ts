import { stringify } from 'yaml';
import { EXIT, readArguments, type Command } from './command-line.ts';

const LINE_WIDTH = 120;

/** Prints the OpenAPI document of the HTTP API as YAML. */
export function openapiFrom(buildOpenApi: () => Promise<Record<string, unknown>>): Command {
  return async (args, { write }) => {
    readArguments(args, {});
    write(stringify(await buildOpenApi(), { lineWidth: LINE_WIDTH, aliasDuplicateObjects: false }));
    return EXIT.done;
  };
}
