import type { Analysis } from '../../src/analysis/record.ts';
import { Changes } from '../../src/changes.ts';
import type { Delivery, DeliveryState } from '../../src/delivery/port.ts';
import { CodedError } from '../../src/errors.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { claimsOfRollback } from '../../src/ledger/rules.ts';
import type { JobQueue } from '../../src/queue/port.ts';
import type { ExecutorContext } from '../../src/rollback/context.ts';
import { Executor } from '../../src/rollback/executor.ts';
import { previewOf, sketchOf } from '../../src/rollback/preview.ts';
import { Reconciler } from '../../src/rollback/reconciling.ts';
import type { Mode } from '../../src/rollback/policy.ts';
import type { Rollback } from '../../src/rollback/record.ts';
import { ReturnWatch } from '../../src/rollback/returning.ts';
import { Rollbacks } from '../../src/rollback/rollbacks.ts';
import { Switches } from '../../src/rollback/switches.ts';
import { SimulatedDelivery } from './cluster.ts';
import { SimulatedForge } from './forge.ts';
import { MAIN, ownTrailer } from './remote.ts';
import { SimulatedRepository } from './repository.ts';
import type { Caller } from './scheduler.ts';
import { SimulatedStore } from './store.ts';
import type { World } from './world.ts';

/** One reading of the kill switches for an application; the other facts of the guards are asked for at the same moment. */
export interface Reading {
  step: number;
  at: number;
  /** What was the case when it was asked. */
  stopped: boolean;
  mode: Mode;
  answer: 'stopped' | 'free' | null;
}

/** What the executor says itself: for so long the word of the guards is good while a push is raced for. */
export const GUARDED_FOR_MS = 2_000;

interface Moment {
  step: number;
  at: number;
}

/** A rollback that an act is for, with all that its service knew when it sent the act out. */
export interface Acting {
  id: string;
  application: string;
  /** The first reading that allows it of those that are new enough; else the last one, however it was answered; else none. */
  reading: Reading | null;
  /** The last reading of the switches since the fetch that lets it go; else the last one that was answered. */
  freshest: Reading | null;
  /** When the guards were last asked in full: they list what earlier rollbacks of the application did. */
  guarded: Moment | null;
  /** What the cluster answered when the guards asked. */
  seen: DeliveryState | null;
  record: Rollback | undefined;
  /** The service has stored that its push begins. */
  isMarked: boolean;
}

/** A push or an abort at the moment at which it leaves the service. */
export interface Issue {
  kind: 'push' | 'abort';
  /** Commit that is pushed, or revision that is aborted. */
  what: string;
  /** Branch that is pushed to. */
  branch: string | null;
  step: number;
  at: number;
  service: string;
  for: Acting[];
  /** Of the lane: when the batch fetched first, and last. */
  fetched: { first: Moment; last: Moment } | null;
}

/** One process of davylamp: the real executor and use cases over simulated ports. */
export class Service implements Caller {
  readonly name: string;
  alive = true;
  readonly jobSignal: AbortSignal = new AbortController().signal;
  readonly executor: Executor;
  readonly rollbacks: Rollbacks;
  readonly reconciler: Reconciler;
  readonly returns: ReturnWatch;
  readonly switches: Switches;
  readonly ledger: Ledger;
  /** The push before was answered with a race or a refusal, so the lane goes on with the same batch. */
  pushedAgain = false;
  readonly #world: World;
  readonly #readings = new Map<string, Reading[]>();
  readonly #guarded = new Map<string, Moment>();
  readonly #seen = new Map<string, { issued: number; state: DeliveryState }>();
  readonly #marked = new Set<string>();
  #callsLeft: number;
  #fetched: { first: Moment; last: Moment } | null = null;

  /** @param callsLeft it dies at this call of a port */
  constructor(world: World, name: string, callsLeft: number) {
    this.#world = world;
    this.name = name;
    this.#callsLeft = callsLeft;
    const { scheduler, policies, fleet } = world;
    const clock = { now: () => scheduler.now };
    const store = new SimulatedStore(world, this);
    const changes = new Changes();
    const repositories = new Map([['shop', new SimulatedRepository(world, this)]]);
    const workloads = [...world.workloads];
    const deliveries = new Map<string, Delivery>(
      workloads.map(([application, workload]) => [application, new SimulatedDelivery(world, this, workload)]),
    );
    const forge = world.setting.hasForge ? new SimulatedForge(world, this) : null;
    this.ledger = new Ledger({ store, clock, policies, repositories });
    this.switches = new Switches({ store, clock, repositories, applications: policies });
    this.reconciler = new Reconciler({
      store,
      clock,
      policies,
      repositories,
      lookAtClusters: async () => Promise.resolve(),
      onLost: () => undefined,
      onRemembered: async () => Promise.resolve(),
      onReconciled: () => undefined,
      onFault: () => undefined,
    });
    const onMoved = (rollback: Rollback) => {
      this.#learn(rollback).catch(ignoreCoded);
    };
    const context: ExecutorContext = {
      store,
      clock,
      pause: (ms) => new Promise((resolve) => scheduler.at(scheduler.now + ms, 'pause', resolve, this)),
      self: name,
      changes,
      policies,
      repositories,
      deliveries,
      forgeOf: () => forge,
      proposalOrder: async (rollback) =>
        Promise.resolve({
          branch: `davylamp/${rollback.id}`,
          base: MAIN,
          title: `Revert ${rollback.badCommit}`,
          body: rollback.sentence,
          labels: [],
          reviewers: [],
          autoMerge: false,
        }),
      ledger: this.ledger,
      switches: this.switches,
      fleet,
      reconciled: (repository) => this.reconciler.reconciled(repository),
      recoveryOf: async (rollback) => this.#recoveryOf(rollback),
      onMoved,
      urlOf: () => null,
      reach: () => undefined,
    };
    this.executor = new Executor(context);
    this.returns = new ReturnWatch({ store, clock, changes, policies, repositories, onMoved, onFault: () => undefined });
    this.rollbacks = new Rollbacks({
      store,
      queue: queueOf(world, this),
      clock,
      changes,
      policies,
      repositories,
      deliveries,
      ledger: this.ledger,
      switches: this.switches,
      fleet,
      sketchOf: async (rollback, signal) => sketchOf(context, rollback, signal),
      previewOf: async (rollback, signal) => previewOf(context, rollback, signal),
      onMoved,
    });
  }

  onCall(): void {
    this.#callsLeft -= 1;
    if (this.#callsLeft === 0 && this.#world.scheduler.faultsOn) this.#world.crash(this);
  }

  /** What a process does when it starts, and again until it has worked. */
  async start(): Promise<void> {
    await this.reconciler.run(this.jobSignal);
    await this.rollbacks.drive();
  }

  readsSwitches(ids: readonly string[]): Reading {
    const application = ids.find((id) => id.startsWith('application/'))?.slice('application/'.length) ?? '';
    const { scheduler, policies, data } = this.#world;
    const reading: Reading = {
      step: scheduler.step,
      at: scheduler.now,
      stopped: ids.some((id) => data.get('switch', id)?.index.state === 'stopped'),
      mode: policies.get(application)?.mode ?? 'shadow',
      answer: null,
    };
    const known = this.#readings.get(application);
    if (known === undefined) this.#readings.set(application, [reading]);
    else known.push(reading);
    return reading;
  }

  /** The guards ask for all that they know of an application. */
  asksGuards(application: string): void {
    this.#guarded.set(application, { step: this.#world.scheduler.step, at: this.#world.scheduler.now });
  }

  saw(application: string, issued: number, state: DeliveryState): void {
    this.#seen.set(`${application} ${issued}`, { issued, state });
  }

  fetchedInLane(): void {
    const moment = { step: this.#world.scheduler.step, at: this.#world.scheduler.now };
    this.#fetched =
      this.pushedAgain && this.#fetched !== null ? { ...this.#fetched, last: moment } : { first: moment, last: moment };
    this.pushedAgain = false;
  }

  /** It has stored, or not, that a push begins. */
  marks(id: string, isMarked: boolean): void {
    if (isMarked) this.#marked.add(id);
    else this.#marked.delete(id);
  }

  /** What is known at the moment at which a push or an abort leaves. */
  issue(kind: Issue['kind'], what: string, where: string): Issue {
    const { scheduler, data, executing } = this.#world;
    const fetched = kind === 'push' && where === MAIN ? this.#fetched : null;
    const acting = (kind === 'abort' ? [where] : this.#pushedFor(what)).map((id): Acting => {
      const record = data.get('rollback', id)?.value as Rollback | undefined;
      const { application = '', step = Infinity } = executing.get(id) ?? {};
      const reading = this.#readingFor(application, { kind, isMain: where === MAIN, step, fetched });
      const seen = reading === null ? undefined : this.#seen.get(`${application} ${reading.step}`);
      // Several rollbacks of an application ask at the same time: one free answer since the fetch is the one of this push.
      const answered = this.#readings.get(application)?.filter(({ answer }) => answer !== null) ?? [];
      const isFree = ({ answer, step: at }: Reading) => answer !== 'stopped' && fetched !== null && at >= fetched.last.step;
      const freshest = answered.findLast(isFree) ?? answered.at(-1) ?? null;
      const guarded = this.#guarded.get(application) ?? null;
      return { id, application, reading, freshest, guarded, seen: seen?.state ?? null, record, isMarked: this.#marked.has(id) };
    });
    const issue: Issue = {
      kind,
      what,
      branch: kind === 'push' ? where : null,
      step: scheduler.step,
      at: scheduler.now,
      service: this.name,
      for: acting,
      fetched,
    };
    this.#world.issued(issue);
    return issue;
  }

  /** Several runs of a service may read for one application; the one that an act rests on is the first that may be meant. */
  #readingFor(
    application: string,
    act: { kind: Issue['kind']; isMain: boolean; step: number; fetched: Issue['fetched'] },
  ): Reading | null {
    const readings = this.#readings.get(application) ?? [];
    const isAllowed = ({ answer, mode }: Reading) =>
      answer === 'free' && (mode === 'rollback' || (mode === 'propose' && act.kind === 'push' && !act.isMain));
    const isNew = ({ step, at }: Reading) => {
      if (step < act.step) return false;
      if (act.fetched === null) return true;
      const { first, last } = act.fetched;
      return step >= first.step && (step >= last.step || last.at - at <= GUARDED_FOR_MS);
    };
    return readings.find((one) => isAllowed(one) && isNew(one)) ?? readings.findLast(isNew) ?? readings.at(-1) ?? null;
  }

  /** Rollbacks whose commits a push takes along. */
  #pushedFor(commit: string): string[] {
    const { remote } = this.#world;
    const found: string[] = [];
    for (let at: string | undefined = commit; at !== undefined; at = remote.commit(at).parents[0]) {
      if (remote.isAncestor(at, remote.head)) break;
      const id = ownTrailer(remote.commit(at), 'Davylamp-Rollback');
      if (id === null) break;
      found.unshift(id);
    }
    // Pushed before by somebody else, or on a branch of its own.
    const own = ownTrailer(remote.commit(commit), 'Davylamp-Rollback');
    return found.length === 0 && own !== null ? [own] : found;
  }

  async #recoveryOf(rollback: Rollback): Promise<Analysis> {
    return this.#world.scheduler.call(this, `recovery of ${rollback.id}`, () => this.#world.recoveryOf(rollback), {
      failure: () => new CodedError('store_unavailable', 'the store did not answer', { retryable: true }),
      isRemote: true,
    });
  }

  async #learn(rollback: Rollback): Promise<void> {
    for (const { revision, claim } of claimsOfRollback(rollback)) await this.ledger.claim(rollback.application, revision, claim);
  }
}

/** What the ledger could not be told is told again at the next start; everything else is a fault of the code. */
export function ignoreCoded(error: unknown): void {
  if (!(error instanceof CodedError)) throw error;
}

function queueOf(world: World, service: Service): JobQueue {
  const failure = (): Error => new CodedError('queue_unavailable', 'the queue did not answer', { retryable: true });
  return {
    enqueue: async ({ key, notBefore }) =>
      world.scheduler.call(service, `enqueue ${key}`, () => world.jobs.enqueue(key, notBefore ?? world.scheduler.now), {
        failure,
        isRemote: true,
        isEffect: true,
      }),
    work: () => ({ close: async () => Promise.resolve() }),
    condition: async () => Promise.resolve({ ok: true, code: 'ok', sentence: 'it works' }),
    counts: async () => Promise.resolve({ tick: idle, rollback: idle, webhook: idle }),
    close: async () => Promise.resolve(),
  };
}

const idle = { waiting: 0, running: 0 };
