import { CodedError } from '../../errors.ts';

export interface BreakerOptions {
  /** Faults in a row after which the source is left alone. */
  failures: number;
  /** Milliseconds until one question tries it again. */
  pauseMs: number;
}

/** Number of the trial as which a question goes; 0 where the source is not left alone. */
export type Trial = number;

export interface Breaker {
  /** Number of the last trial that began; to be noted when a question comes, for `admit`. */
  readonly last: Trial;
  /**
   * As what a question may go now; a promise when it should look again later.
   *
   * @param came what `last` was when the question came
   * @throws CodedError `source_unavailable` when a trial that began since then has failed
   */
  admit(came: Trial): Trial | Promise<void>;
  /** The source answered a question. */
  worked(): void;
  failed(as: Trial): void;
  /** A question ended for a reason that says nothing about the source. */
  unknown(as: Trial): void;
}

/**
 * Leaves a source alone that fails again and again: one question in each pause tries it. The others wait for the outcome
 * of a trial that began after they came, instead of failing for what was before; and a trial that hangs holds up the next
 * one for no longer than the pause. So every look that begins after the end of a fault is a full one.
 */
export function createBreaker(name: string, { failures, pauseMs }: BreakerOptions): Breaker {
  let inRow = 0;
  let open = false;
  let last: Trial = 0;
  let lastFailed: Trial = 0;
  /** What questions wait for while the source is left alone; null when the next one may try it. */
  let pause: { until: Promise<void>; end: () => void } | null = null;

  function proceed(): void {
    const ended = pause;
    pause = null;
    ended?.end();
  }

  /** Wakes who waits, to look again, and begins a pause. */
  function rest(): void {
    proceed();
    let end: () => void = () => undefined;
    const until = new Promise<void>((resolve) => {
      end = resolve;
    });
    const begun = { until, end };
    pause = begun;
    setTimeout(() => {
      if (pause === begun) proceed();
    }, pauseMs).unref();
  }

  return {
    get last() {
      return last;
    },
    admit(came) {
      if (!open) return 0;
      if (lastFailed > came) {
        throw new CodedError(
          'source_unavailable',
          `the source ${name} failed ${inRow} times in a row and is asked only once in ${pauseMs} ms`,
          { retryable: true, details: { source: name, failures: inRow } },
        );
      }
      if (pause !== null) return pause.until;
      last++;
      rest();
      return last;
    },
    worked() {
      inRow = 0;
      open = false;
      proceed();
    },
    failed(as) {
      inRow++;
      if (open) {
        // What began before says nothing new.
        if (as === 0) return;
        lastFailed = Math.max(lastFailed, as);
        rest();
      } else if (inRow >= failures) {
        open = true;
        rest();
      }
    },
    unknown(as) {
      if (open && as === last) proceed();
    },
  };
}
