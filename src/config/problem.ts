import { CodedError } from '../errors.ts';

/** Something wrong with the configuration, or worth a warning. */
export interface Problem {
  /** The file, or the environment variable that set the value (then line and column are 0). */
  file: string;
  line: number;
  column: number;
  /** Where in the configuration: `applications.shop.paths[0]`. Empty for the file as a whole. */
  path: string;
  /** What was expected, in plain words. */
  message: string;
  hint?: string;
}

/** `FILE:LINE:COL path: message; hint`, as compilers write it, so that editors can jump there. */
export function problemText(problem: Problem): string {
  const place = problem.line === 0 ? problem.file : `${problem.file}:${problem.line}:${problem.column}`;
  const path = problem.path === '' ? '' : ` ${problem.path}`;
  return `${place}${path}: ${problem.message}${problem.hint === undefined ? '' : `; ${problem.hint}`}`;
}

/** The problems of a `config_invalid`; none for any other error. */
export function problemsOf(error: unknown): readonly Problem[] {
  if (!(error instanceof CodedError) || error.code !== 'config_invalid') return [];
  const { problems } = error.details;
  return Array.isArray(problems) ? problems.filter(isProblem) : [];
}

function isProblem(value: unknown): value is Problem {
  return typeof value === 'object' && value !== null && 'message' in value && 'line' in value && 'path' in value;
}
