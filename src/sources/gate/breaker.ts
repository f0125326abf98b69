import type { Clock } from '../../clock.ts';
import { CodedError } from '../../errors.ts';

export interface BreakerOptions {
  /** Faults in a row after which the source is left alone. */
  failures: number;
  /** Milliseconds until one question tries it again. */
  pauseMs: number;
}

export interface Breaker {
  /**
   * Whether a question may go now: true, or true for the one that tries after the pause; a promise while that one is
   * under way, after which to look again.
   * @throws CodedError `source_unavailable` during the pause
   */
  admit(): true | Promise<void>;
  worked(): void;
  failed(): void;
  /** A question ended for a reason that says nothing about the source. */
  unknown(): void;
  /** Called when questions that wait should look again. */
  onChange(listener: () => void): void;
}

/**
 * Leaves a source alone that fails again and again. After the pause one question tries it while the others wait for
 * the outcome, so that the first interval after a fault is a full one.
 */
export function createBreaker(name: string, { failures, pauseMs }: BreakerOptions, clock: Clock): Breaker {
  const listeners: (() => void)[] = [];
  let inRow = 0;
  let openSince: number | null = null;
  let trial: { outcome: Promise<void>; end: () => void } | null = null;

  function change(): void {
    trial?.end();
    trial = null;
    for (const listener of listeners) listener();
  }

  return {
    admit() {
      if (openSince === null) return true;
      if (trial !== null) return trial.outcome;
      const since = clock.now() - openSince;
      // A clock that was set back must not keep the source away for longer than the pause.
      if (since >= 0 && since < pauseMs) {
        throw new CodedError(
          'source_unavailable',
          `the source ${name} failed ${inRow} times in a row and is left alone for ${pauseMs} ms`,
          { retryable: true, details: { source: name, failures: inRow } },
        );
      }
      let end: () => void = () => undefined;
      const outcome = new Promise<void>((resolve) => {
        end = resolve;
      });
      trial = { outcome, end };
      return true;
    },
    worked() {
      inRow = 0;
      const was = openSince;
      openSince = null;
      if (was !== null) change();
    },
    failed() {
      inRow++;
      if (inRow < failures) return;
      openSince = clock.now();
      change();
    },
    unknown() {
      if (trial !== null) change();
    },
    onChange(listener) {
      listeners.push(listener);
    },
  };
}
