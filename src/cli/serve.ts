import { loadConfig, type LoadedConfig } from '../config/load.ts';
import { EXIT, readArguments, usage, type Command } from './command-line.ts';
import { complainAbout } from './config-errors.ts';

/** What `serve` needs of the built service; src/app.ts makes it. */
export interface ServedApp {
  readonly logger: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
  /** Resolves when the service can no longer work and must be started anew. */
  readonly lost: Promise<Error>;
  start(): Promise<{ address: string }>;
  reload(cause: 'signal'): Promise<unknown>;
  /** Says that it will not take work any more, and goes on for a moment, so that load balancers notice. */
  announceEnd(): Promise<void>;
  close(): Promise<void>;
}
export type BuildApp = (
  loaded: LoadedConfig,
  options: { crashAt: string | undefined; source: { file: string; load: () => Promise<LoadedConfig> } },
) => Promise<ServedApp>;

/** With the longest drainDelay less than the 30 s after which Kubernetes kills a pod, so that the log still says what did not end. */
export const CLOSE_DEADLINE_MS = 19_000;

/** Runs the service until it is asked to stop, then closes it in order. */
export function serveWith(buildApp: BuildApp, closeDeadlineMs = CLOSE_DEADLINE_MS): Command {
  return async (args, { environment, complain, stop, onHangup }) => {
    const { values } = readArguments(args, { values: ['config'] });
    const file = values.get('config') ?? environment['DAVYLAMP_CONFIG'];
    if (file === undefined || file === '') throw usage('name a configuration with --config FILE or DAVYLAMP_CONFIG');
    let app: ServedApp;
    try {
      const load = () => loadConfig({ file, environment });
      const loaded = await load();
      app = await buildApp(loaded, { crashAt: environment['DAVYLAMP_CRASH_AT'], source: { file, load } });
      for (const warning of loaded.warnings) app.logger.warn({ problem: warning }, 'configuration warning');
    } catch (error) {
      return complainAbout(error, complain);
    }
    // What came of it is logged and stands on /readyz. Listened to from here on, or the signal would end the process.
    onHangup(() => void app.reload('signal').catch(() => undefined));
    try {
      const { address } = await app.start();
      app.logger.info({ address, config: file }, 'ready');
      const reason = await Promise.race([aborted(stop), app.lost]);
      if (reason instanceof Error) throw reason;
      app.logger.info({ signal: reason }, 'stopping');
      // A person at a terminal has no load balancer that would have to notice.
      if (reason !== 'SIGINT') await app.announceEnd();
    } catch (error) {
      await closeWithin(app, closeDeadlineMs);
      return complainAbout(error, complain);
    }
    return (await closeWithin(app, closeDeadlineMs)) ? EXIT.done : EXIT.failed;
  };
}

/** @returns the reason */
function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((done) => {
    if (signal.aborted) done(signal.reason);
    else signal.addEventListener('abort', () => done(signal.reason), { once: true });
  });
}

/** @returns whether the service closed in order and in time */
async function closeWithin(app: ServedApp, deadlineMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((done) => {
    timer = setTimeout(() => done('late'), deadlineMs);
  });
  try {
    const outcome = await Promise.race([app.close(), late]);
    if (outcome === 'late') app.logger.error({ deadlineMs }, 'not closed in time');
    return outcome !== 'late';
  } catch (error) {
    app.logger.error({ err: error }, 'closing failed');
    return false;
  } finally {
    clearTimeout(timer);
  }
}
