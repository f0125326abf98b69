/** One line of an examination (`davylamp doctor`): what was looked at, and what it showed. */
export interface Finding {
  /** `warn`: works, and should be looked at; `fail`: something that davylamp is configured for does not work. */
  status: 'ok' | 'warn' | 'fail';
  /** Stable, machine-readable: what was found, for example `reachable`, `git_auth_failed`. */
  code: string;
  /** What it showed and what to do; no credentials. */
  sentence: string;
}
