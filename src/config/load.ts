import { open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Value } from 'typebox/value';
import { CodedError, sentenceOf } from '../errors.ts';
import { check, type Finding } from './check.ts';
import { crossCheck } from './cross-checks.ts';
import { parseYaml, pathText, type ConfigDocument, type Path } from './document.ts';
import { applyOverrides, type Override } from './environment.ts';
import { problemText, type Problem } from './problem.ts';
import { promqlFindings } from './promql-checks.ts';
import { Config, configNode } from './schema.ts';

export interface LoadedConfig {
  /** As written and overridden; `resolveDefaults` fills in the rest. */
  config: Config;
  /** Folder of the file; relative paths of the configuration start there. */
  folder: string;
  warnings: Problem[];
}

const MAX_CONFIG_BYTES = 4 * 1_048_576;

/**
 * Reads a configuration: YAML, then overrides from the environment, then everything that can be checked without
 * touching the network.
 *
 * @param options.environment variables, of which those that begin with DAVYLAMP__ are overrides
 * @param options.readFile for tests; reads a whole file as UTF-8
 * @throws CodedError `config_unreadable`, and `config_invalid` with all problems in `details.problems`, by line
 */
export async function loadConfig(options: {
  file: string;
  environment: Readonly<Record<string, string | undefined>>;
  readFile?: (file: string) => Promise<string>;
}): Promise<LoadedConfig> {
  const { file, environment, readFile = readBounded } = options;
  let text: string;
  try {
    text = await readFile(file);
  } catch (error) {
    throw new CodedError('config_unreadable', `cannot read the configuration ${file}: ${sentenceOf(error)}`, { cause: error });
  }
  const parsed = parseYaml(text);
  if ('problems' in parsed) throw invalid(parsed.problems.map((problem) => ({ file, path: '', ...problem })));

  const { value, overrides, problems } = applyOverrides(configNode, parsed.document.value, environment);
  const place = (finding: Finding) => problemAt(finding, file, parsed.document, overrides);
  const { errors, warnings } = crossCheck(value);
  const found = [
    ...problems.map(({ variable, ...rest }) => ({ file: variable, line: 0, column: 0, path: '', ...rest })),
    ...[...check(configNode, value), ...errors, ...(await promqlFindings(value))].map(place),
  ];
  if (found.length > 0) throw invalid(found);
  if (!Value.Check(Config, value)) throw new Error('the configuration fails its schema in a way that has no message');
  return { config: value, folder: dirname(resolve(file)), warnings: warnings.map(place).toSorted(byPlace) };
}

function invalid(problems: Problem[]): CodedError {
  const sorted = problems.toSorted(byPlace);
  const first = sorted[0];
  const count = sorted.length === 1 ? 'one problem' : `${sorted.length} problems`;
  const message = `the configuration has ${count}; the first: ${first === undefined ? '' : problemText(first)}`;
  return new CodedError('config_invalid', message, { details: { problems: sorted } });
}

/** Lines of the file first, then the variables of the environment. */
function byPlace(a: Problem, b: Problem): number {
  const line = (problem: Problem) => (problem.line === 0 ? Infinity : problem.line);
  if (line(a) !== line(b)) return line(a) < line(b) ? -1 : 1;
  return a.column - b.column || a.file.localeCompare(b.file);
}

function problemAt(finding: Finding, file: string, document: ConfigDocument, overrides: readonly Override[]): Problem {
  const { path, part, message, hint } = finding;
  const override = overrides.find((candidate) => isWithin(path, candidate.path));
  const place =
    override === undefined ? { file, ...document.locate(path, part) } : { file: override.variable, line: 0, column: 0 };
  return { ...place, path: pathText(path), message, ...(hint !== undefined && { hint }) };
}

function isWithin(path: Path, outer: Path): boolean {
  return outer.length <= path.length && outer.every((segment, at) => segment === path[at]);
}

async function readBounded(file: string): Promise<string> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    if (size > MAX_CONFIG_BYTES) throw new Error(`it has ${size} bytes, at most ${MAX_CONFIG_BYTES} are read`);
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}
