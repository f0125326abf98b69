import { CodedError } from '../../src/errors.ts';
import type { Delivery, DeliveryState } from '../../src/delivery/port.ts';
import { isWithin } from '../../src/rollback/paths.ts';
import type { Service } from './service.ts';
import type { World } from './world.ts';

const MOST_TRIES = 5;
const SYNC_TAKES_MS = 400;
const away = (): Error => new CodedError('cluster_unreachable', 'the cluster did not answer', { retryable: true });

/** A rollout and its operator, as the cluster has them. */
export class Workload {
  readonly application: string;
  canary: string | null;
  stable: string;
  synced: string;
  phase: DeliveryState['phase'] = 'progressing';
  operation: DeliveryState['operation'] = null;
  /** Raised by every change; a patch names the one that it read. */
  resourceVersion = 1;

  constructor(application: string, stable: string, canary: string | null) {
    this.application = application;
    this.stable = stable;
    this.canary = canary;
    this.synced = canary ?? stable;
  }

  state(): DeliveryState {
    const { canary, stable, synced, phase, operation } = this;
    return { canary, stable, synced, phase, operation: operation ?? null };
  }

  /** The operator applies the head of the branch: what holds something else is a new release. */
  sync(world: World): void {
    const head = world.remote.head;
    this.operation = null;
    this.resourceVersion += 1;
    this.synced = head;
    const runs = this.canary ?? this.stable;
    if (this.#content(world, head) === this.#content(world, runs)) return;
    this.phase = 'progressing';
    if (this.#content(world, head) === this.#content(world, this.stable)) {
      this.canary = null;
      this.phase = 'healthy';
    } else this.canary = head;
  }

  /** The release comes to its end. */
  promote(): void {
    if (this.canary === null || this.phase === 'aborted') return;
    this.stable = this.canary;
    this.canary = null;
    this.phase = 'healthy';
    this.resourceVersion += 1;
  }

  #content(world: World, commit: string): string {
    const paths = world.policies.get(this.application)?.paths ?? [];
    const { tree } = world.remote.commit(commit);
    const files = Object.keys(tree).filter((path) => isWithin(path, paths));
    return JSON.stringify(files.sort().map((path) => [path, tree[path]]));
  }
}

/** A delivery as an adapter of Argo Rollouts is one: an abort reads, then patches what it read and nothing newer. */
export class SimulatedDelivery implements Delivery {
  readonly type = 'simulated';
  readonly can: Delivery['can'];
  readonly #world: World;
  readonly #service: Service;
  readonly #workload: Workload;

  constructor(world: World, service: Service, workload: Workload) {
    this.#world = world;
    this.#service = service;
    this.#workload = workload;
    const { canObserve, canAbort } = world.setting;
    this.can = { observe: canObserve, abort: canAbort, annotate: true, sync: true };
  }

  async observe(): Promise<DeliveryState> {
    const issued = this.#world.scheduler.step;
    return this.#call('observe', () => {
      const state = this.#workload.state();
      this.#service.saw(this.#workload.application, issued, state);
      return state;
    });
  }

  async abort({ revision, rollback }: { revision: string; rollback: string }): Promise<'aborted' | 'already' | 'not_running'> {
    const issue = this.#service.issue('abort', revision, rollback);
    for (let attempt = 1; attempt <= MOST_TRIES; attempt += 1) {
      const read = await this.#call('read for abort', () => ({
        state: this.#workload.state(),
        resourceVersion: this.#workload.resourceVersion,
      }));
      if (read.state.canary !== revision) return 'not_running';
      if (read.state.phase === 'aborted') return 'already';
      const patch = () => {
        if (this.#workload.resourceVersion !== read.resourceVersion) return false;
        this.#world.aborted(issue, this.#workload);
        this.#workload.phase = 'aborted';
        this.#workload.resourceVersion += 1;
        return true;
      };
      if (await this.#call('patch abort', patch, true)) return 'aborted';
    }
    throw new CodedError('delivery_conflict', 'the rollout changed all the time', { retryable: true });
  }

  async annotate(): Promise<void> {
    await this.#call(
      'annotate',
      () => {
        this.#workload.resourceVersion += 1;
      },
      true,
    );
  }

  async sync(): Promise<void> {
    await this.#call(
      'sync',
      () => {
        const { scheduler, random, remote } = this.#world;
        this.#workload.operation = { revision: remote.head, since: scheduler.now };
        scheduler.at(scheduler.now + random.below(SYNC_TAKES_MS), `operator syncs ${this.#workload.application}`, () => {
          this.#workload.sync(this.#world);
        });
      },
      true,
    );
  }

  async #call<T>(name: string, effect: () => T, isEffect = false): Promise<T> {
    const full = `${name} ${this.#workload.application}`;
    return this.#world.scheduler.call(this.#service, full, effect, { failure: away, isRemote: true, isEffect });
  }
}
