import type { Breaker, Trial } from './breaker.ts';

/** A bounded number of places that are taken in the order of asking. */
export interface Places {
  /** @throws the reason of `signal`; what the breaker throws, also while waiting */
  take(signal: AbortSignal): Promise<Place>;
}

export interface Place {
  as: Trial;
  /** Gives it back. */
  release(): void;
}

export function createPlaces(count: number, breaker: Breaker): Places {
  const queue: (() => void)[] = [];
  let free = count;

  const wakeFirst = () => queue.shift()?.();

  async function admission(signal: AbortSignal): Promise<Trial> {
    const came = breaker.last;
    for (;;) {
      signal.throwIfAborted();
      if (free <= 0) {
        await untilWoken(queue, signal);
        continue;
      }
      const admitted = breaker.admit(came);
      if (typeof admitted === 'number') {
        // In the same step, or two could take the last place.
        free--;
        return admitted;
      }
      // Others may have been woken for this place; they wait for the same.
      wakeFirst();
      await untilSettled(admitted, signal);
    }
  }

  return {
    async take(signal) {
      let as: Trial;
      try {
        as = await admission(signal);
      } catch (error) {
        // The place that this one was woken for is somebody else's now.
        if (free > 0) wakeFirst();
        throw error;
      }
      let taken = true;
      return {
        as,
        release() {
          if (!taken) return;
          taken = false;
          free++;
          wakeFirst();
        },
      };
    },
  };
}

function untilWoken(queue: (() => void)[], signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      signal.removeEventListener('abort', leave);
      resolve();
    };
    const leave = () => {
      const at = queue.indexOf(wake);
      if (at >= 0) queue.splice(at, 1);
      resolve();
    };
    signal.addEventListener('abort', leave, { once: true });
    queue.push(wake);
  });
}

function untilSettled(outcome: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      signal.removeEventListener('abort', end);
      resolve();
    };
    signal.addEventListener('abort', end, { once: true });
    void outcome.then(end);
  });
}
