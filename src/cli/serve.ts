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
  close(): Promise<void>;
}
export type BuildApp = (loaded: LoadedConfig, options: { crashAt: string | undefined }) => Promise<ServedApp>;

/** Less than the 30 s after which Kubernetes kills a pod, so that the log still says what did not end. */
const CLOSE_DEADLINE_MS = 25_000;

/** Runs the service until it is asked to stop, then closes it in order. */
export function serveWith(buildApp: BuildApp, closeDeadlineMs = CLOSE_DEADLINE_MS): Command {
  return async (args, { environment, complain, stop }) => {
    const { values } = readArguments(args, { values: ['config'] });
    const file = values.get('config') ?? environment['DAVYLAMP_CONFIG'];
    if (file === undefined || file === '') throw usage('name a configuration with --config FILE or DAVYLAMP_CONFIG');
    let app: ServedApp;
    try {
      const loaded = await loadConfig({ file, environment });
      app = await buildApp(loaded, { crashAt: environment['DAVYLAMP_CRASH_AT'] });
      for (const warning of loaded.warnings) app.logger.warn({ problem: warning }, 'configuration warning');
    } catch (error) {
      return complainAbout(error, complain);
    }
    try {
      const { address } = await app.start();
      app.logger.info({ address, config: file }, 'ready');
      const reason = await Promise.race([aborted(stop), app.lost]);
      if (reason instanceof Error) throw reason;
      app.logger.info({}, 'stopping');
    } catch (error) {
      await closeWithin(app, closeDeadlineMs);
      return complainAbout(error, complain);
    }
    return (await closeWithin(app, closeDeadlineMs)) ? EXIT.done : EXIT.failed;
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    else signal.addEventListener('abort', () => done(), { once: true });
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
