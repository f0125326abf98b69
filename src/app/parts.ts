import type { AnalysedApplication } from '../analysis/analyses.ts';
import { parseDuration } from '../analysis/quantities.ts';
import { repeat } from '../background.ts';
import { analysedApplications, policies } from '../config/applications.ts';
import type { ResolvedConfig } from '../config/defaults.ts';
import { fleetPolicy } from '../config/fleet.ts';
import type { Delivery } from '../delivery/port.ts';
import type { Forge } from '../forge/port.ts';
import type { Repository } from '../git/port.ts';
import type { Channel } from '../notify/port.ts';
import type { FleetPolicy } from '../rollback/fleet.ts';
import type { Policy } from '../rollback/policy.ts';
import type { MetricSource } from '../sources/port.ts';
import { createMakers, isInCluster, type MakingDependencies } from './making.ts';

/** What a part that a reload took out still has to end its work; a tick that reads from it then gets "missing". */
const RETIRE_MS = 60_000;

/** Everything of one configuration that can be taken up while the service runs; nothing of it works yet. */
export interface PreparedParts {
  config: ResolvedConfig;
  sources: Map<string, Made<MetricSource>>;
  deliveries: Map<string, Made<Delivery>>;
  repositories: Map<string, Made<Repository>>;
  forges: Map<string, Made<Forge>>;
  channels: Map<string, Made<Channel>>;
  fleet: FleetPolicy;
  applications: Map<string, AnalysedApplication>;
  policies: Map<string, Policy>;
}

interface Made<T> {
  part: T;
  /** Its configuration as text: a part whose configuration did not change stays, with all that it knows. */
  from: string;
}

interface Closable {
  close?(): Promise<void>;
}

/**
 * The parts of the service that follow the configuration: sources, deliveries, repositories, and what is known of each
 * application. The maps are the same objects for the whole life of the process; whoever got one sees the new parts
 * after `swap`.
 */
export class LiveParts {
  readonly sources = new Map<string, MetricSource>();
  readonly deliveries = new Map<string, Delivery>();
  readonly repositories = new Map<string, Repository>();
  readonly forges = new Map<string, Forge>();
  readonly channels = new Map<string, Channel>();
  readonly applications = new Map<string, AnalysedApplication>();
  readonly policies = new Map<string, Policy>();
  readonly #deps: MakingDependencies;
  readonly #refreshers = new Map<string, () => Promise<void>>();
  readonly #retired = new Map<Closable, NodeJS.Timeout>();
  #current: PreparedParts | null = null;
  #started = false;

  constructor(deps: MakingDependencies) {
    this.#deps = deps;
  }

  /**
   * Builds what another configuration needs and the present one does not have. Changes nothing of what runs.
   * @throws CodedError what the adapters refuse: `source_invalid`, `delivery_invalid`, `git_argument_refused`, …
   */
  async prepare(config: ResolvedConfig): Promise<PreparedParts> {
    const fresh: Closable[] = [];
    try {
      return await this.#prepared(config, fresh);
    } catch (error) {
      await Promise.allSettled(fresh.map(async (part) => part.close?.()));
      throw error;
    }
  }

  /**
   * Puts what was prepared into the maps, in one step that nothing can see half of. A mirror belongs to one writer, so
   * the old one of a changed repository is closed before; until the swap, whoever needs it is told to try again.
   */
  async swap(next: PreparedParts): Promise<void> {
    const before = this.#current;
    const gone = [...(before?.repositories ?? [])].filter(([name, { part }]) => next.repositories.get(name)?.part !== part);
    await Promise.all(
      gone.map(async ([name, { part }]) => {
        await this.#refreshers.get(name)?.();
        this.#refreshers.delete(name);
        await part.close();
      }),
    );
    replace(this.repositories, partsOf(next.repositories));
    replace(this.forges, partsOf(next.forges));
    replace(this.channels, partsOf(next.channels));
    replace(this.sources, partsOf(next.sources));
    replace(this.deliveries, partsOf(next.deliveries));
    replace(this.applications, next.applications);
    replace(this.policies, next.policies);
    this.#current = next;
    if (before !== null) {
      this.#retire(before.sources, next.sources);
      this.#retire(before.deliveries, next.deliveries);
    }
    if (this.#started) this.#refreshAll(before);
  }

  /** Begins to fetch the mirrors in the background. */
  start(): void {
    this.#started = true;
    this.#refreshAll(null);
  }

  /** What is taken up now. @throws TypeError before the first configuration */
  get current(): PreparedParts {
    if (this.#current === null) throw new TypeError('there is no configuration yet');
    return this.#current;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#refreshers.values()].map((stop) => stop()));
    for (const timer of this.#retired.values()) clearTimeout(timer);
    const parts: Closable[] = [
      ...this.#retired.keys(),
      ...this.sources.values(),
      ...this.deliveries.values(),
      ...this.repositories.values(),
    ];
    const ends = await Promise.allSettled(parts.map(async (part) => part.close?.()));
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  async #prepared(config: ResolvedConfig, fresh: Closable[]): Promise<PreparedParts> {
    const before = this.#current;
    const makers = createMakers(config, this.#deps);
    const { clusters } = config;
    // A delivery is another one when its cluster is, too.
    const deliveries = mapped(config.applications, ({ delivery, repository }) => ({
      delivery,
      url: config.repositories[repository]?.url,
      ...(isInCluster(delivery) && { clusters }),
    }));
    return {
      config,
      // Before the adapters, so that a contradiction is found before anything is opened.
      applications: analysedApplications(config),
      policies: policies(config),
      repositories: await made(config.repositories, before?.repositories, fresh, async (name, repository) =>
        makers.repository(name, repository),
      ),
      fleet: fleetPolicy(config),
      forges: await made(config.repositories, before?.forges, fresh, (name, repository) => makers.forge(name, repository)),
      channels: await made(config.notify.channels, before?.channels, fresh, (name, channel) => makers.channel(name, channel)),
      sources: await made(config.sources, before?.sources, fresh, (name, source) => makers.source(name, source)),
      deliveries: await made(deliveries, before?.deliveries, fresh, (name, { delivery, url }) =>
        makers.delivery(name, delivery, url),
      ),
    };
  }

  #refreshAll(before: PreparedParts | null): void {
    const { complain } = this.#deps;
    for (const [name, repository] of this.repositories) {
      const every = this.#current?.config.repositories[name]?.refreshEvery ?? '30s';
      if (this.#refreshers.has(name) && before?.config.repositories[name]?.refreshEvery === every) continue;
      // The old one ends by itself after its present round; a fetch more does no harm.
      this.#refreshers
        .get(name)?.()
        .catch(complain(`the fetching of repository ${name} could not be stopped`));
      const refresh = async (signal: AbortSignal) => void (await repository.refresh(signal));
      this.#refreshers.set(name, repeat(refresh, parseDuration(every), complain(`repository ${name} could not be fetched`)));
    }
  }

  #retire<T extends Closable>(before: ReadonlyMap<string, Made<T>>, next: ReadonlyMap<string, Made<T>>): void {
    const kept = new Set([...next.values()].map(({ part }) => part));
    for (const { part } of before.values()) {
      if (kept.has(part) || part.close === undefined) continue;
      const end = () => {
        this.#retired.delete(part);
        part.close?.().catch(this.#deps.complain('a part that a reload took out could not be closed'));
      };
      this.#retired.set(part, setTimeout(end, RETIRE_MS).unref());
    }
  }
}

async function made<C, T extends object>(
  configs: Readonly<Record<string, C>>,
  before: ReadonlyMap<string, Made<T>> | undefined,
  fresh: Closable[],
  make: (name: string, config: C) => Promise<T>,
): Promise<Map<string, Made<T>>> {
  const entries = Object.entries(configs).map(async ([name, config]) => {
    const from = JSON.stringify(config);
    const known = before?.get(name);
    if (known?.from === from) return [name, known] as const;
    const part = await make(name, config);
    if (isClosable(part)) fresh.push(part);
    return [name, { part, from }] as const;
  });
  return new Map(await Promise.all(entries));
}

function isClosable(part: object): part is Closable {
  return 'close' in part;
}

function mapped<C, T>(entries: Readonly<Record<string, C>>, pick: (entry: C) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(entries).map(([name, entry]) => [name, pick(entry)]));
}

function partsOf<T>(entries: ReadonlyMap<string, Made<T>>): Map<string, T> {
  return new Map([...entries].map(([name, { part }]) => [name, part]));
}

function replace<T>(live: Map<string, T>, next: ReadonlyMap<string, T>): void {
  live.clear();
  for (const [name, part] of next) live.set(name, part);
}
