import { setTimeout as pause } from 'node:timers/promises';
import type { Narrator } from './narrator.ts';
import { StoryFailure, type StoryPart } from './story-failure.ts';
import type { World } from './world.ts';

const LOOK_EVERY_MS = 150;

export interface Wait<T> {
  /** Whom to blame when it does not come. */
  part: StoryPart;
  /** What is waited for, as in "... did not happen within 10 s". */
  what: string;
  withinMs: number;
  /** null: not yet. An error counts as not yet, because davylamp may be down for a moment in tests. */
  look: () => Promise<T | null> | T | null;
  progress?: () => string | null;
  /** Said with the failure: why it may not have come. */
  because?: () => Promise<string>;
}

/** Looks again and again until it is there; the story ends here when it does not come in time. */
export class Waiting {
  readonly #world: World;
  readonly #narrator: Narrator;
  readonly #signal: AbortSignal;

  constructor(world: World, narrator: Narrator, signal: AbortSignal) {
    this.#world = world;
    this.#narrator = narrator;
    this.#signal = signal;
  }

  /** @throws StoryFailure when it does not come in time; the signal's reason when the demo is ended */
  async until<T>(wait: Wait<T>): Promise<T> {
    const from = performance.now();
    let trouble = '';
    for (;;) {
      this.#signal.throwIfAborted();
      if (this.#world.broken !== null) throw this.#world.broken;
      try {
        const found = await wait.look();
        if (found !== null) return found;
      } catch (error) {
        if (error instanceof StoryFailure) throw error;
        trouble = error instanceof Error ? ` (${error.message})` : '';
      }
      if (performance.now() - from > wait.withinMs) {
        const reason = (await wait.because?.()) ?? '';
        throw new StoryFailure(
          wait.part,
          `${wait.what} within ${String(Math.round(wait.withinMs / 1_000))} s${trouble}. ${reason}`.trim(),
        );
      }
      const progress = wait.progress?.() ?? null;
      if (progress !== null) this.#narrator.progress(progress);
      await pause(LOOK_EVERY_MS, undefined, { signal: this.#signal });
    }
  }
}
