import { problemsOf, problemText } from '../config/problem.ts';
import { CodedError, codeOf, sentenceOf } from '../errors.ts';
import { EXIT, type Surroundings } from './command-line.ts';

/** Codes of faults that only another configuration or another call can mend. */
const USAGE_CODES: ReadonlySet<string> = new Set([
  'usage',
  'config_invalid',
  'config_unreadable',
  'adapter_not_available',
  'secret_unreadable',
]);

/** Says what went wrong, one problem a line, and returns the exit code that goes with it. */
export function complainAbout(error: unknown, complain: Surroundings['complain']): number {
  const problems = problemsOf(error);
  for (const problem of problems) complain(`${problemText(problem)}\n`);
  if (problems.length > 0) {
    complain(`davylamp: ${problems.length === 1 ? 'one problem' : `${problems.length} problems`} in the configuration\n`);
  } else if (error instanceof Error && !(error instanceof CodedError)) {
    // A bug of ours: the stack is what a report needs.
    complain(`davylamp: ${error.stack ?? error.message}\n`);
  } else {
    complain(`davylamp: ${sentenceOf(error)} (${codeOf(error)})\n`);
  }
  return USAGE_CODES.has(codeOf(error)) ? EXIT.usage : EXIT.failed;
}
