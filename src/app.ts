import { randomUUID } from 'node:crypto';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { Analyses } from './analysis/analyses.ts';
import { Conductor } from './analysis/conductor.ts';
import { parseDuration } from './analysis/quantities.ts';
import { revisionOf } from './analysis/revision.ts';
import { repeat } from './background.ts';
import { Changes } from './changes.ts';
import { systemClock, type Clock } from './clock.ts';
import { analysedApplications, policies } from './config/applications.ts';
import { unavailableParts } from './config/availability.ts';
import { resolveDefaults, type ResolvedConfig } from './config/defaults.ts';
import type { LoadedConfig } from './config/load.ts';
import { readSecret } from './config/secrets.ts';
import type { Delivery } from './delivery/port.ts';
import { createDelivery } from './delivery/registry.ts';
import { CodedError, codeOf, sentenceOf } from './errors.ts';
import { createRepository } from './git/mirror.ts';
import { checkGit } from './git/run.ts';
import type { Repository } from './git/port.ts';
import type { HttpDependencies, ReadinessCheck } from './http/dependencies.ts';
import { createServer } from './http/server.ts';
import { judgeNamed } from './judges/registry.ts';
import { createHttpClient, type HttpClient } from './net/client.ts';
import { createLogger, type Logger } from './observability/logger.ts';
import { createMetrics, type Metrics } from './observability/metrics.ts';
import { createEmbeddedQueue } from './queue/embedded/queue.ts';
import { Executor } from './rollback/executor.ts';
import { revertMessage } from './rollback/message.ts';
import type { Rollback } from './rollback/record.ts';
import { Rollbacks } from './rollback/rollbacks.ts';
import type { MetricSource } from './sources/port.ts';
import { createSource } from './sources/registry.ts';
import { openEmbedded } from './store/embedded/database.ts';
import { createEmbeddedStore } from './store/embedded/store.ts';
import { readVersion } from './version.ts';

/** Open work is driven again this often, so that a job that was lost is no analysis or rollback that is lost. */
const DRIVE_MS = 30_000;
const LOOKUP_TIMEOUT_MS = 10_000;

export interface AppOptions {
  /** Name of the crash point at which the process kills itself; only tests set it. */
  crashAt: string | undefined;
  clock?: Clock;
  logger?: Logger;
}

export interface App {
  readonly logger: Logger;
  /** Resolves when the storage is gone for good: the process should end, so that a supervisor starts it anew. */
  readonly lost: Promise<Error>;
  /** Begins to work on what is open, then listens. */
  start(): Promise<{ address: string }>;
  /** Stops taking work, lets what runs come to a point where it can go on later, and closes everything in order. */
  close(): Promise<void>;
}

/**
 * Builds the whole service from its configuration and wires it up; the page to read first. Everything that a room
 * needs is handed to it here: nothing else reads the configuration, the clock or the environment.
 *
 * @throws CodedError `adapter_not_available`, `store_locked` and the other codes of opening the store
 */
export async function buildApp(loaded: LoadedConfig, options: AppOptions): Promise<App> {
  const config = resolveDefaults(loaded.config);
  refuseUnavailable(loaded);
  const clock = options.clock ?? systemClock;
  const reach = (point: string) => {
    if (point === options.crashAt) process.kill(process.pid, 'SIGKILL');
  };
  const log = options.logger ?? createLogger({ level: config.log.level });
  const metrics = createMetrics({
    version: await readVersion(),
    applications: Object.keys(config.applications),
    sources: Object.keys(config.sources),
  });
  const http = createHttpClient();
  const secret = (file: string, key: string) => readSecret(loaded.folder, file, key);
  const sources = await sourcesOf(config, { http });
  const deliveries = await deliveriesOf(config, { http, readSecret: (file) => secret(file, 'delivery.tokenFile') });
  const folder = storageFolder(config, loaded);
  const repositories = repositoriesOf(config, { folder, secret, log, clock });
  const applications = analysedApplications(config);
  const policyByName = policies(config);
  // Opened last: what could refuse the configuration has done so, and nothing stays locked behind.
  const database = await openEmbedded({ folder, clock, log });
  const store = createEmbeddedStore(database);
  const queue = createEmbeddedQueue(database, { clock, log });
  metrics.watch({ queue: () => queue.counts() });

  const complain = (what: string) => (error: unknown) => {
    metrics.error(codeOf(error));
    log.warn({ code: codeOf(error), reason: sentenceOf(error) }, what);
  };
  const changes = new Changes();
  const onMoved = (rollback: Rollback) => tell(rollback, log, metrics, clock);
  const rollbacks = new Rollbacks({ store, queue, clock, changes, policies: policyByName, repositories, onMoved });
  const analyses = new Analyses({
    store,
    queue,
    clock,
    changes,
    applications,
    newId: () => randomUUID(),
    revisionOf: (application, named) => {
      const repository = repositories.get(policyByName.get(application)?.repository ?? '');
      const from = { application, repository, delivery: deliveries.get(application) };
      return revisionOf(named, from, AbortSignal.timeout(LOOKUP_TIMEOUT_MS));
    },
    onStarted: ({ application }) => metrics.analysisStarted(application),
  });
  const conductor = new Conductor({
    store,
    clock,
    changes,
    applications,
    sources,
    judgeNamed,
    reach,
    canaryOf: async (application, signal) => {
      const delivery = deliveries.get(application);
      if (delivery?.can.observe !== true) return null;
      try {
        return (await delivery.observe(signal)).canary;
      } catch (error) {
        signal.throwIfAborted();
        complain('a delivery could not be asked what it runs')(error);
        return null;
      }
    },
    rollbackOf: (analysis) => (analysis.kind === 'release' ? rollbacks.idFor(analysis) : analysis.rollback),
    onEnded: async (analysis) => {
      if (analysis.kind === 'release') return { rollback: await rollbacks.decide(analysis) };
      if (analysis.rollback !== null) await rollbacks.wake(analysis.rollback);
      return { rollback: analysis.rollback };
    },
    onTick: ({ decided, seconds }) => metrics.tick(decided ? 'decided' : 'measured', seconds),
    onRead: ({ source, complete, seconds }) => metrics.sourceRead(source, complete ? 'ok' : 'missing', seconds),
    onSettled: ({ id, application, phase, verdict, code }) => {
      metrics.analysisEnded(application, verdict ?? 'cancelled');
      log.info({ analysis: id, application, phase, verdict, code }, 'analysis ended');
    },
  });
  const executor = new Executor({
    store,
    clock,
    changes,
    policies: policyByName,
    repositories,
    deliveries,
    messageOf: ({ id, application, verdictSentence, evidence }, bad) =>
      revertMessage({ bad, rollback: id, application, verdictSentence, evidence }),
    recoveryOf: async ({ id, application, badCommit, analysis }) => {
      const before = analysis === null ? {} : (await analyses.get(analysis)).arguments;
      return analyses.startRecovery({ rollback: id, application, revision: badCommit, arguments: before });
    },
    onMoved,
    reach,
  });

  const readiness = async (): Promise<ReadinessCheck[]> => {
    try {
      await queue.counts();
      return [{ name: 'storage', ok: true, sentence: 'store and queue answer' }];
    } catch (error) {
      return [{ name: 'storage', ok: false, sentence: sentenceOf(error) }];
    }
  };
  const dependencies: HttpDependencies = {
    analyses,
    rollbacks,
    judge: judgeNamed,
    changes,
    metrics,
    log,
    tokens: config.server.tokens,
    maxBodyBytes: config.server.maxBodyBytes,
    readiness,
    clock,
  };
  const server = createServer(dependencies);

  const stops: (() => Promise<void>)[] = [];
  const noted =
    <A extends unknown[], R>(run: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      try {
        return await run(...args);
      } catch (error) {
        complain('a job failed and will be tried again')(error);
        throw error;
      }
    };

  return {
    logger: log,
    lost: database.lost,
    async start() {
      if (repositories.size > 0) await checkGit({ home: folder, searchPath: null }, AbortSignal.timeout(LOOKUP_TIMEOUT_MS));
      queue.work(
        'tick',
        { concurrency: config.workers.ticks },
        noted((job, signal) => conductor.tick(job, signal)),
      );
      queue.work(
        'rollback',
        { concurrency: config.workers.rollbacks },
        noted((job, signal) => executor.run(job, signal)),
      );
      const drive = async () => {
        await analyses.drive();
        await rollbacks.drive();
      };
      stops.push(repeat(drive, DRIVE_MS, complain('open work could not be driven')));
      for (const [name, repository] of repositories) {
        const pause = parseDuration(config.repositories[name]?.refreshEvery ?? '30s');
        const refresh = async (signal: AbortSignal) => void (await repository.refresh(signal));
        stops.push(repeat(refresh, pause, complain(`repository ${name} could not be fetched`)));
      }
      return { address: await server.listen(listenOptions(config.server.listen)) };
    },
    async close() {
      const parts: (() => Promise<unknown>)[] = [
        () => server.close(),
        () => Promise.all(stops.map((stop) => stop())),
        () => queue.close(),
        () => Promise.all([...sources.values(), ...repositories.values()].map((part) => part.close())),
        () => http.close(),
        () => store.close(),
        () => database.close(),
      ];
      await closeInOrder(parts);
    },
  };
}

/** Closes every part even when one of them fails; the first failure is told at the end. */
async function closeInOrder(parts: readonly (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const close of parts) {
    try {
      await close();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}

/** A configuration that this version would only half act on is refused: a rollback that does less is worse than none. */
function refuseUnavailable(loaded: LoadedConfig): void {
  const parts = unavailableParts(loaded.config);
  if (parts.length === 0) return;
  const named = parts.map(({ path, what }) => `${path.join('.')} (${what})`).join(', ');
  throw new CodedError(
    'adapter_not_available',
    `this version does not have: ${named}; take it out of the configuration to start`,
  );
}

async function sourcesOf(config: ResolvedConfig, deps: { http: HttpClient }): Promise<Map<string, MetricSource>> {
  const entries = Object.entries(config.sources).map(
    async ([name, source]) => [name, await createSource(name, source, deps)] as const,
  );
  return new Map(await Promise.all(entries));
}

async function deliveriesOf(
  config: ResolvedConfig,
  deps: { http: HttpClient; readSecret: (file: string) => Promise<string> },
): Promise<Map<string, Delivery>> {
  const entries = Object.entries(config.applications).map(
    async ([name, { delivery }]) => [name, await createDelivery(name, delivery, deps)] as const,
  );
  return new Map(await Promise.all(entries));
}

function repositoriesOf(
  config: ResolvedConfig,
  deps: { folder: string; secret: (file: string, key: string) => Promise<string>; log: Logger; clock: Clock },
): Map<string, Repository> {
  const entries = Object.entries(config.repositories).map(([name, { url, branch, username, tokenFile, author }]) => {
    const credential = async () =>
      tokenFile === undefined ? null : { username, token: await deps.secret(tokenFile, `repositories.${name}.tokenFile`) };
    const { log, clock } = deps;
    return [
      name,
      createRepository({ name, url, branch, author, credential, log, clock, folder: join(deps.folder, 'git', name) }),
    ] as const;
  });
  return new Map(entries);
}

function storageFolder(config: ResolvedConfig, loaded: LoadedConfig): string {
  if (config.storage.kind !== 'embedded')
    throw new CodedError('adapter_not_available', `storage ${config.storage.kind} comes with a later release`);
  return resolve(loaded.folder, config.storage.path);
}

/** What everybody is told when a rollback enters a state: the log and the metrics. */
function tell(rollback: Rollback, log: Logger, metrics: Metrics, clock: Clock): void {
  const { id, application, state, code, badCommit, revertCommit } = rollback;
  metrics.rollback(application, state);
  const facts = { rollback: id, application, state, code, badCommit, revertCommit };
  if (state === 'pushed') metrics.rollbackPushed((clock.now() - Date.parse(rollback.decidedAt)) / 1_000);
  if (state === 'held') metrics.rollbackHeld(application, code);
  if (state === 'held' || state === 'not_recovered' || state === 'failed')
    log.error({ ...facts, reason: rollback.sentence }, 'rollback needs a person');
  else log.info(facts, 'rollback moved on');
}

function listenOptions(listen: string): { host: string; port: number } {
  const at = listen.lastIndexOf(':');
  return { host: listen.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: Number(listen.slice(at + 1)) };
}
