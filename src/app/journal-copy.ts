import { resolve } from 'node:path';
import type { Clock } from '../clock.ts';
import type { ResolvedConfig } from '../config/defaults.ts';
import type { Logger } from '../observability/logger.ts';
import type { JournalSink } from '../store/journal-sink.ts';
import type { Store } from '../store/port.ts';

/**
 * Copies the journal to where the configuration says; null where it says nowhere.
 *
 * @param deps.print resolves when the text is out
 */
export async function startJournalCopy(
  { sink, path }: ResolvedConfig['journal'],
  deps: {
    store: Store;
    clock: Clock;
    log: Logger;
    folder: string;
    print: (text: string) => Promise<void>;
    onFailure: (code: string) => void;
  },
): Promise<JournalSink | null> {
  if (sink === 'none') return null;
  const { store, clock, log, print, onFailure } = deps;
  const { startJournalSink } = await import('../store/journal-sink.ts');
  const target =
    sink === 'file'
      ? (await import('../store/sink-file.ts')).fileSink(resolve(deps.folder, path))
      : (await import('../store/sink-stdout.ts')).stdoutSink({ store, now: () => clock.now(), print });
  return startJournalSink({ store, target, log, onFailure });
}
