import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Repeats a task with a pause in between until it is stopped; runs never overlap, and a failed one is told and
 * repeated like any other.
 *
 * @returns a function that stops it and waits for the running one
 */
export function repeat(
  task: (signal: AbortSignal) => Promise<unknown>,
  pauseMs: number,
  onError: (error: unknown) => void,
): () => Promise<void> {
  const controller = new AbortController();
  const { signal } = controller;
  const run = async () => {
    while (!signal.aborted) {
      try {
        await task(signal);
      } catch (error) {
        if (!signal.aborted) onError(error);
      }
      await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  };
  const done = run();
  return async () => {
    controller.abort();
    await done;
  };
}
