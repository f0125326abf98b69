import { setMaxListeners } from 'node:events';
import type { Clock } from '../../clock.ts';
import { CodedError } from '../../errors.ts';
import { createBreaker, type BreakerOptions } from './breaker.ts';
import { createPlaces } from './places.ts';

export interface GateOptions {
  /** Name of the source or its host, for messages. */
  name: string;
  /** Questions under way at the same time; further ones wait, within their time-out. */
  concurrency: number;
  /** Milliseconds for one question, the wait for a place included. */
  timeoutMs: number;
  /** Milliseconds that an answer is kept for others that ask the same. */
  shareForMs: number;
  clock: Clock;
  breaker: BreakerOptions;
}

export interface Gate {
  /**
   * Asks once for everybody who asks the same: callers that come while the question is under way, and those that come
   * within `shareForMs` after its answer, get the same value, so nobody may change it.
   *
   * @param key names the question; the same key always has the same type of answer
   * @param signal of this caller; the question itself is stopped only when nobody waits for it any more
   * @param run asks; its signal ends at the time-out or when nobody waits
   * @param weigh bytes that the answer takes up, for the bound of what is kept
   * @throws CodedError (retryable) `source_timeout`, `source_unavailable`; what `run` throws; the reason of `signal`
   */
  ask<T>(key: string, signal: AbortSignal, run: (signal: AbortSignal) => Promise<T>, weigh?: (value: T) => number): Promise<T>;
  /** Stops what is under way; nothing is kept. */
  close(): void;
}

const MAX_KEPT_ANSWERS = 1_000;
const MAX_KEPT_BYTES = 64_000_000;

interface Flight {
  answer: Promise<unknown>;
  controller: AbortController;
  waiting: number;
  /** When the answer stops being shared, and what it weighs; null while the question is under way. */
  kept: { until: number; bytes: number } | null;
}

/** The way to one source: shares questions, bounds how many are asked at once and for how long, and rests after faults. */
export function createGate(options: GateOptions): Gate {
  const flights = new Map<string, Flight>();
  const breaker = createBreaker(options.name, options.breaker);
  const places = createPlaces(options.concurrency, breaker);
  let keptBytes = 0;

  function drop(key: string, flight: Flight): void {
    if (flights.get(key) !== flight) return;
    flights.delete(key);
    keptBytes -= flight.kept?.bytes ?? 0;
  }

  /** What is kept goes in the order of its age, until the rest is fresh and within bounds. */
  function tidy(): void {
    const now = options.clock.now();
    let answers = 0;
    for (const { kept } of flights.values()) if (kept !== null) answers++;
    for (const [key, flight] of flights) {
      if (flight.kept === null) continue;
      if (flight.kept.until > now && keptBytes <= MAX_KEPT_BYTES && answers <= MAX_KEPT_ANSWERS) continue;
      drop(key, flight);
      answers--;
    }
  }

  async function fly<T>(controller: AbortController, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { signal } = controller;
    const timer = setTimeout(() => controller.abort(tooLate(options)), options.timeoutMs);
    try {
      const place = await places.take(signal);
      try {
        const value = await unlessAborted(run(signal), signal);
        breaker.worked();
        return value;
      } catch (error) {
        // Where nobody waits any more, nothing was learned about the source.
        if (signal.aborted && !(signal.reason instanceof CodedError)) breaker.unknown(place.as);
        else if (isFault(error)) breaker.failed(place.as);
        else breaker.worked();
        throw error;
      } finally {
        place.release();
      }
    } finally {
      clearTimeout(timer);
    }
  }

  function begin<T>(key: string, run: (signal: AbortSignal) => Promise<T>, weigh: (value: T) => number): Flight {
    const controller = new AbortController();
    const answer = fly(controller, run);
    const flight: Flight = { answer, controller, waiting: 0, kept: null };
    flights.set(key, flight);
    answer.then(
      (value) => {
        if (flights.get(key) !== flight) return;
        // Moved to the end, so that the order is the order of the answers.
        flights.delete(key);
        flights.set(key, flight);
        flight.kept = { until: options.clock.now() + options.shareForMs, bytes: weigh(value) };
        keptBytes += flight.kept.bytes;
        tidy();
      },
      () => drop(key, flight),
    );
    return flight;
  }

  return {
    async ask<T>(
      key: string,
      signal: AbortSignal,
      run: (signal: AbortSignal) => Promise<T>,
      weigh: (value: T) => number = () => 0,
    ): Promise<T> {
      signal.throwIfAborted();
      // One tick asks many questions with one signal; each listener is taken off again, so none leaks.
      setMaxListeners(0, signal);
      tidy();
      const flight = flights.get(key) ?? begin(key, run, weigh);
      flight.waiting++;
      try {
        return await unlessAborted(flight.answer as Promise<T>, signal);
      } finally {
        flight.waiting--;
        if (flight.waiting === 0 && flight.kept === null) {
          drop(key, flight);
          flight.controller.abort(new Error('nobody waits for the answer'));
        }
      }
    },
    close() {
      const ended = new CodedError('source_unavailable', `the source ${options.name} is closed`, { retryable: true });
      for (const { controller } of flights.values()) controller.abort(ended);
      flights.clear();
      keptBytes = 0;
    },
  };
}

function tooLate({ name, timeoutMs }: GateOptions): CodedError {
  return new CodedError('source_timeout', `the source ${name} did not answer within ${timeoutMs} ms`, {
    retryable: true,
    details: { source: name, timeoutMs },
  });
}

/** A refused question says nothing about the state of the source: only what may pass by itself does. */
function isFault(error: unknown): boolean {
  return error instanceof CodedError && error.retryable;
}

/** Settles with the reason of the signal even where the promise does not listen to it. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    // The reason may be any value; what it is is the caller's choice.
    // oxlint-disable-next-line typescript/prefer-promise-reject-errors
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
