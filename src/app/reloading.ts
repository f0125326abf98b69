import { resolveDefaults, type ResolvedConfig } from '../config/defaults.ts';
import type { LoadedConfig } from '../config/load.ts';
import { problemsOf, problemText } from '../config/problem.ts';
import { refuseRestartKeys } from '../config/reload.ts';
import { CodedError, codeOf, sentenceOf } from '../errors.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';

/** How the last attempt to take up the configuration ended; stands on /readyz. */
export interface ReloadState {
  ok: boolean;
  code: string;
  sentence: string;
}

export interface ReloadingDependencies {
  /** Reads and checks the file as it is now. */
  load: () => Promise<LoadedConfig>;
  /** Builds what is new, then takes it up as a whole; when it throws, nothing has changed. */
  take: (config: ResolvedConfig) => Promise<void>;
  log: Logger;
  metrics: Pick<Metrics, 'configReload'>;
}

/**
 * Takes up a changed configuration while the service runs: checked completely first, then swapped as a whole. A bad one
 * changes nothing: the old one runs on, and log, metrics and /readyz say so until a good one comes.
 */
export class Reloading {
  readonly #deps: ReloadingDependencies;
  #current: ResolvedConfig;
  #state: ReloadState = { ok: true, code: 'started', sentence: 'the configuration of the start runs' };
  #last: Promise<unknown> = Promise.resolve();

  constructor(current: ResolvedConfig, deps: ReloadingDependencies) {
    this.#current = current;
    this.#deps = deps;
  }

  get state(): ReloadState {
    return this.#state;
  }

  get current(): ResolvedConfig {
    return this.#current;
  }

  /**
   * One at a time, in the order of the calls.
   *
   * @param cause what asked for it, for the log
   * @returns whether there was anything to take up
   * @throws CodedError `config_invalid`, `config_unreadable`, `reload_needs_restart` and what
   *   building a part refuses; the old configuration runs on
   */
  async reload(cause: 'signal' | 'file' | 'request'): Promise<'taken' | 'unchanged'> {
    const turn = this.#last.then(() => this.#once(cause));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #once(cause: string): Promise<'taken' | 'unchanged'> {
    const { load, take, log, metrics } = this.#deps;
    try {
      const loaded = await load();
      const next = resolveDefaults(loaded.config);
      const unchanged = JSON.stringify(next) === JSON.stringify(this.#current);
      if (!unchanged) {
        refuseRestartKeys(this.#current, next);
        refuseNothing(this.#current, next);
        await take(next);
        this.#current = next;
        for (const warning of loaded.warnings) log.warn({ problem: warning }, 'configuration warning');
      }
      const result = unchanged ? 'unchanged' : 'taken';
      metrics.configReload(result);
      this.#state = { ok: true, code: result, sentence: `the configuration in the file runs (${result} by ${cause})` };
      log.info({ cause, result }, 'configuration reloaded');
      return result;
    } catch (error) {
      const code = codeOf(error);
      metrics.configReload(RESULT_OF[code] ?? 'failed');
      const problems = problemsOf(error).map(problemText);
      this.#state = { ok: false, code, sentence: `the old configuration runs on: ${problems[0] ?? sentenceOf(error)}` };
      log.error(
        { cause, code, reason: sentenceOf(error), ...(problems.length > 0 && { problems }) },
        'configuration not taken up, the old one runs on',
      );
      throw error;
    }
  }
}

/** A file that somebody is about to write is empty for a moment; nobody takes out all applications on purpose. */
function refuseNothing(before: ResolvedConfig, after: ResolvedConfig): void {
  if (Object.keys(after.applications).length > 0 || Object.keys(before.applications).length === 0) return;
  throw new CodedError('config_invalid', 'the file names no application any more; restart davylamp to run without any');
}

const RESULT_OF: Readonly<Record<string, 'invalid' | 'needs_restart'>> = {
  config_invalid: 'invalid',
  config_unreadable: 'invalid',
  reload_needs_restart: 'needs_restart',
};
