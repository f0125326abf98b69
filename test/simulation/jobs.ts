import { CodedError } from '../../src/errors.ts';
import type { Service } from './service.ts';
import type { World } from './world.ts';

const BACK_OFF_MS = 1_000;
const NOBODY_MS = 300;
/** A lock that runs out while its holder lives: the job runs twice at once. */
const LOCK_LOST = 0.04;

interface State {
  running: Set<Service>;
  /** It was enqueued again while it ran. */
  isWanted: boolean;
  /** When it is due; null: it does not wait. */
  dueAt: number | null;
}

/** The queue: at least once, to anybody, now and then to two at once. */
export class Jobs {
  readonly #world: World;
  readonly #states = new Map<string, State>();

  constructor(world: World) {
    this.#world = world;
  }

  /** What waits already can only come earlier. */
  enqueue(key: string, notBefore: number): void {
    const state = this.#states.get(key) ?? { running: new Set(), isWanted: false, dueAt: null };
    this.#states.set(key, state);
    if (state.dueAt !== null && state.dueAt <= notBefore) return;
    state.dueAt = notBefore;
    this.#world.scheduler.at(notBefore, `job ${key}`, () => {
      if (state.dueAt !== notBefore) return;
      state.dueAt = null;
      this.#begin(key, state);
    });
  }

  /** Who ran a job has died: after a while somebody else takes it. */
  died(service: Service): void {
    const { random, scheduler } = this.#world;
    for (const [key, state] of this.#states) {
      if (state.running.delete(service)) this.enqueue(key, scheduler.now + random.between(100, 3_000));
    }
  }

  #begin(key: string, state: State): void {
    const { scheduler, random } = this.#world;
    if (state.running.size > 0 && !(scheduler.faultsOn && state.running.size < 2 && random.chance(LOCK_LOST))) {
      state.isWanted = true;
      return;
    }
    const service = random.pick(this.#world.workers);
    if (service === undefined) return this.enqueue(key, scheduler.now + NOBODY_MS);
    state.running.add(service);
    scheduler.note(`   ${service.name} runs ${key}`);
    service.executor.run({ kind: 'rollback', key, notBefore: scheduler.now, attempt: 1 }, service.jobSignal).then(
      (result) => {
        state.running.delete(service);
        if (state.isWanted) {
          state.isWanted = false;
          this.enqueue(key, scheduler.now);
        } else if (result !== undefined) this.enqueue(key, result.again);
      },
      (error: unknown) => {
        state.running.delete(service);
        if (!(error instanceof CodedError))
          this.#world.broken(`a job threw ${String(error instanceof Error ? error.stack : error)}`);
        this.enqueue(key, scheduler.now + BACK_OFF_MS);
      },
    );
    if (scheduler.faultsOn && random.chance(LOCK_LOST)) this.enqueue(key, scheduler.now + random.between(0, 500));
  }
}
