import { resolve } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseDuration } from './analysis/quantities.ts';
import { RETENTION_MS, prune } from './analysis/retention.ts';
import { WATCH_MS } from './analysis/timeline.ts';
import { createAlerting } from './app/alerting.ts';
import { createEngine } from './app/engine.ts';
import { startJournalCopy } from './app/journal-copy.ts';
import { createListeners } from './app/listeners.ts';
import { Workers, type DrainResult } from './app/draining.ts';
import { LiveParts } from './app/parts.ts';
import { readinessOf } from './app/readiness.ts';
import { Reloading } from './app/reloading.ts';
import { openStorage } from './app/storage.ts';
import { Traces } from './app/traces.ts';
import { repeat } from './background.ts';
import { systemClock, type Clock } from './clock.ts';
import { keepOf } from './config/applications.ts';
import { resolveDefaults, type ResolvedConfig } from './config/defaults.ts';
import type { LoadedConfig } from './config/load.ts';
import { namedFiles } from './config/reload.ts';
import { watchFiles } from './config/watch.ts';
import { CodedError, codeOf, sentenceOf } from './errors.ts';
import { checkGit } from './git/run.ts';
import { judgeNamed } from './judges/registry.ts';
import { NOTIFY_MS } from './notify/notifier.ts';
import { createHttpClient } from './net/client.ts';
import { createLogger, type Logger } from './observability/logger.ts';
import { createMetrics } from './observability/metrics.ts';
import { createTracing } from './observability/tracing.ts';
import { RECONCILE_MS } from './rollback/reconciling.ts';
import { RETURN_WATCH_MS } from './rollback/returning.ts';
import { writeBackup } from './store/backup.ts';
import { readVersion } from './version.ts';

/** Open work is driven again this often, so that a job that was lost is no analysis or rollback that is lost. */
const DRIVE_MS = 30_000;
const GIT_VERSION_TIMEOUT_MS = 10_000;
/** So many held rollbacks are shown in the metrics. */
const HELD_LIMIT = 500;

export interface AppOptions {
  /** Name of the crash point at which the process kills itself; only tests set it. */
  crashAt: string | undefined;
  /** Where the configuration is read anew from; without it there is no reload. */
  source?: { file: string; load: () => Promise<LoadedConfig> };
  clock?: Clock;
  logger?: Logger;
}

export interface App {
  readonly logger: Logger;
  /** Resolves when the storage is gone for good: the process should end, so that a supervisor starts it anew. */
  readonly lost: Promise<Error>;
  /** Begins to work on what is open, then listens. */
  start(): Promise<{ address: string }>;
  /**
   * Takes up the configuration as it is now; the old one runs on when it cannot be.
   * @throws CodedError why not
   */
  reload(cause: 'signal' | 'file' | 'request'): Promise<'taken' | 'unchanged'>;
  /** Says not ready and goes on for `server.drainDelay`, so that load balancers notice before connections are refused. */
  announceEnd(): Promise<void>;
  /** Stops taking work, lets what runs come to a point where it can go on later, and closes everything in order. */
  close(): Promise<void>;
}

/**
 * Builds the whole service from its configuration and wires it up; the page to read first. Everything that a room
 * needs is handed to it here: nothing else reads the configuration, the clock or the environment. What stands in
 * `src/app/` is part of this page: what follows the configuration while the service runs (`parts.ts`), the use cases
 * (`engine.ts`), the storage (`storage.ts`), the end (`draining.ts`), another configuration (`reloading.ts`).
 *
 * @throws CodedError `store_locked` and the other codes of opening the store
 */
export async function buildApp(loaded: LoadedConfig, options: AppOptions): Promise<App> {
  const config = resolveDefaults(loaded.config);
  const clock = options.clock ?? systemClock;
  const reach = (point: string) => {
    if (point === options.crashAt) process.kill(process.pid, 'SIGKILL');
  };
  const log = options.logger ?? createLogger({ level: config.log.level });
  const version = await readVersion();
  const metrics = createMetrics({ version, ...labelNames(config) });
  const complain = (what: string) => (error: unknown) => {
    metrics.error(codeOf(error));
    log.warn({ code: codeOf(error), reason: sentenceOf(error) }, what);
  };
  const tracing = await createTracing(version);
  const http = createHttpClient();
  const { folder: configFolder } = loaded;
  const dataFolder = resolve(configFolder, config.storage.path);
  const parts = new LiveParts({ http, log, clock, complain, dataFolder, configFolder, tracing });
  await parts.swap(await parts.prepare(config));
  // Opened last: what could refuse the configuration has done so, and nothing stays locked behind.
  const storage = await openStorage(config.storage, { dataFolder, configFolder, version, clock, log });
  const { store } = storage;
  const traces = tracing && new Traces(tracing, { store, clock, complain: complain('a trace could not be kept') });
  const queue = traces?.queue(storage.queue) ?? storage.queue;
  const engine = createEngine({ store, queue, clock, parts, log, metrics, reach, complain, tracing });
  const journalCopy = await startJournalCopy(config.journal, {
    store,
    clock,
    log,
    folder: loaded.folder,
    print: (text) => new Promise((done) => process.stdout.write(text, () => done())),
    onFailure: (code) => metrics.error(code),
  });
  const workers = new Workers({ queue, clock, onHandedBack: (kind) => metrics.handedBack(kind) });
  metrics.configLoaded();
  metrics.watch({
    queue: () => queue.counts(),
    conditions: async () => ({
      store: await store.condition(),
      queue: await queue.condition(),
      reconciled: engine.reconciler.condition(),
    }),
    held: async () => {
      const { records } = await store.list('rollback', { state: 'held', limit: HELD_LIMIT });
      return records.map(({ value }) => value as { application: string; code: string });
    },
  });

  const reloading = new Reloading(config, {
    load: async () => {
      if (options.source !== undefined) return options.source.load();
      throw new CodedError('config_unreadable', 'this process was not started from a file, so there is none to read anew');
    },
    async take(next) {
      await parts.swap(await parts.prepare(next));
      metrics.know(labelNames(next));
      log.level = next.log.level;
      listeners.takeCredentials(next.server);
    },
    log,
    metrics,
  });
  const alerting = createAlerting(config.alerts, { store, queue, clock, engine, metrics, log, current: () => reloading.current });
  let draining = false;
  const listeners = await createListeners(
    config.server,
    {
      analyses: engine.analyses,
      rollbacks: engine.rollbacks,
      switches: engine.switches,
      ledger: engine.ledger,
      report: engine.report,
      forges: { of: (name) => parts.forges.get(name), onHint: engine.hinted },
      alerts: alerting,
      ...(options.source !== undefined && { reload: () => reloading.reload('request') }),
      backup: async function* () {
        const { epoch } = engine.reconciler;
        yield* writeBackup(storage.archive, { version, createdAt: new Date(clock.now()).toISOString(), epoch });
      },
      judge: judgeNamed,
      changes: engine.changes,
      metrics,
      log,
      readiness: () =>
        readinessOf({
          store,
          queue,
          reconciled: engine.reconciler.condition(),
          journalCopy,
          draining,
          configuration: reloading.state,
        }),
      clock,
    },
    { http, store, clock, configFolder },
  ).catch(async (error: unknown) => {
    await closeInOrder([() => queue.close(), () => storage.close()]);
    throw error;
  });

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
    lost: storage.lost,
    async start() {
      if (parts.repositories.size > 0) {
        await checkGit({ home: dataFolder, searchPath: null }, AbortSignal.timeout(GIT_VERSION_TIMEOUT_MS));
      }
      const { ticks, rollbacks, webhooks } = config.workers;
      workers.work(
        'tick',
        ticks,
        noted((job, signal) => engine.conductor.tick(job, signal)),
      );
      workers.work(
        'webhook',
        webhooks,
        noted((job, signal) => alerting.handling.handle(job, signal)),
      );
      workers.work(
        'rollback',
        rollbacks,
        noted((job, signal) => engine.executor.run(job, signal)),
      );
      stops.push(
        repeat((signal) => engine.reconciler.run(signal), RECONCILE_MS, complain('the store could not be compared with Git')),
        repeat((signal) => engine.timeline.watch(signal), WATCH_MS, complain('what runs could not be stored')),
        repeat(
          (signal) => prune({ store, clock }, keepOf(reloading.current), signal),
          RETENTION_MS,
          complain('old records stay'),
        ),
        repeat((signal) => engine.returns.run(signal), RETURN_WATCH_MS, complain('returns could not be looked for')),
        repeat(() => engine.notifier.drive(), NOTIFY_MS, complain('it could not be looked for what was not told')),
        repeat(() => engine.drive(), DRIVE_MS, complain('open work could not be driven')),
        repeat(() => alerting.handling.drive(), DRIVE_MS, complain('open webhooks could not be driven')),
      );
      for (const [repository, { type, verified }] of parts.forges) {
        if (!verified)
          log.warn({ code: 'forge_unverified', repository, type }, 'this forge was never run against the real thing');
      }
      parts.start();
      const catchUp = new AbortController();
      engine.ledgerWatch.start(catchUp.signal).catch(complain('the ledger could not be caught up'));
      stops.push(async () => catchUp.abort());
      const { source } = options;
      if (source !== undefined) {
        const files = () => [resolve(source.file), ...namedFiles(reloading.current, configFolder).map(({ path }) => path)];
        const stop = await watchFiles({
          files,
          // What came of it is logged and stands on /readyz.
          onChange: () => void reloading.reload('file').catch(() => undefined),
          onError: complain('a folder of the configuration cannot be watched; it is looked at now and then'),
        });
        stops.push(async () => stop());
      }
      return { address: await listeners.listen() };
    },
    reload: (cause) => reloading.reload(cause),
    async announceEnd() {
      draining = true;
      metrics.draining();
      await sleep(parseDuration(reloading.current.server.drainDelay));
    },
    async close() {
      draining = true;
      await closeInOrder([
        () => Promise.all(stops.map((stop) => stop())),
        // Waiting requests are answered while the running jobs come to their end.
        () => closeInOrder([async () => told(await workers.drain(), log)], [() => listeners.close()]),
        () => queue.close(),
        () => journalCopy?.close() ?? Promise.resolve(),
        async () => engine.executor.close(),
        () => parts.close(),
        () => http.close(),
        () => storage.close(),
      ]);
    },
  };
}

function told({ handedBack, complete }: DrainResult, log: Logger): void {
  if (complete) log.info({ handedBack }, 'no job runs any more; what is open stays in the queue');
  else log.warn({ handedBack }, 'a job did not end; it runs again after the next start');
}

/**
 * Closes the parts of a line one after the other, the lines beside each other, every part even when another one fails;
 * the first failure is told at the end.
 */
async function closeInOrder(...lines: readonly (readonly (() => Promise<unknown>)[])[]): Promise<void> {
  const failures: unknown[] = [];
  const closeLine = async (line: readonly (() => Promise<unknown>)[]) => {
    for (const close of line) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(lines.map(closeLine));
  if (failures.length > 0) throw failures[0];
}

function labelNames(config: ResolvedConfig): { applications: string[]; sources: string[] } {
  return { applications: Object.keys(config.applications), sources: Object.keys(config.sources) };
}
