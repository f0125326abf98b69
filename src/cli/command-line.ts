import { parseArgs } from 'node:util';
import { nearestName } from '../analysis/nearest.ts';
import { CodedError } from '../errors.ts';

/** 0: done. 1: something failed while running. 2: called wrongly, or with a wrong configuration. */
export const EXIT = { done: 0, failed: 1, usage: 2 } as const;

/** What a command needs of the process; src/main.ts gives it. */
export interface Surroundings {
  environment: Readonly<Record<string, string | undefined>>;
  /** Standard output: what was asked for, and nothing else. */
  write: (text: string) => void;
  /** Standard error: what is for a person. */
  complain: (text: string) => void;
  /** Aborts when the process is asked to end, with the name of the signal as reason; commands that run until then must close and return. */
  stop: AbortSignal;
  /** Calls the listener each time that the process is asked to read its configuration anew (SIGHUP). */
  onHangup: (listener: () => void) => void;
}

/** @returns the exit code */
export type Command = (args: readonly string[], surroundings: Surroundings) => Promise<number>;

/** A command as the list of commands shows it; its code is loaded when it is run. */
export interface CommandEntry {
  usage: string;
  summary: string;
  /** Runs until it is told to stop: signals are handed to it, and nothing may keep the process when it has returned. */
  service?: true;
  load(): Promise<Command>;
}

interface Parsed {
  /** Values of the options that take one. */
  values: Map<string, string>;
  flags: Set<string>;
  positionals: string[];
}

/**
 * Reads the arguments of one command.
 *
 * @param shape names of the options that take a value, of the flags, of the positionals, all of them required, and of
 *   those that may follow
 * @throws CodedError `usage` with the nearest name
 */
export function readArguments(
  args: readonly string[],
  shape: { values?: readonly string[]; flags?: readonly string[]; positionals?: readonly string[]; optional?: readonly string[] },
): Parsed {
  const { values: withValue = [], flags: withoutValue = [], positionals: wanted = [], optional = [] } = shape;
  const { tokens } = parseArgs({
    args: [...args],
    strict: false,
    tokens: true,
    allowPositionals: true,
    options: Object.fromEntries(withValue.map((name) => [name, { type: 'string' as const }])),
  });
  const parsed: Parsed = { values: new Map(), flags: new Set(), positionals: [] };
  for (const token of tokens) {
    if (token.kind === 'positional') parsed.positionals.push(token.value);
    if (token.kind !== 'option') continue;
    if (withValue.includes(token.name)) {
      if (token.value === undefined || token.value === '') throw usage(`--${token.name} needs a value`);
      if (parsed.values.has(token.name)) throw usage(`--${token.name} is given twice`);
      parsed.values.set(token.name, token.value);
    } else if (withoutValue.includes(token.name)) {
      if (token.value !== undefined) throw usage(`--${token.name} takes no value`);
      parsed.flags.add(token.name);
    } else {
      throw unknown(
        'option',
        token.rawName,
        [...withValue, ...withoutValue, 'help'].map((name) => `--${name}`),
      );
    }
  }
  const missing = wanted[parsed.positionals.length];
  if (missing !== undefined) throw usage(`${missing} is missing`);
  const surplus = parsed.positionals[wanted.length + optional.length];
  if (surplus !== undefined) throw usage(`'${surplus}' is one argument too many`);
  return parsed;
}

export function usage(message: string): CodedError {
  return new CodedError('usage', message);
}

export function unknown(kind: 'command' | 'option', name: string, known: readonly string[]): CodedError {
  const near = nearestName(name, known);
  return usage(`there is no ${kind} '${name}'${near === null ? '' : `; did you mean ${near}?`}`);
}
