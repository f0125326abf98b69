import type { ReadinessCheck } from '../http/dependencies.ts';
import type { JobQueue } from '../queue/port.ts';
import type { JournalSink } from '../store/journal-sink.ts';
import type { Store, StoreCondition } from '../store/port.ts';
import type { ReloadState } from './reloading.ts';

/** Whether the service can work, one line a part; what a probe acts on, and what a person reads. */
export async function readinessOf(parts: {
  store: Store;
  queue: JobQueue;
  reconciler: { readonly open: readonly string[] };
  /** Null: the journal is copied nowhere. */
  journalCopy: Pick<JournalSink, 'condition'> | null;
  draining: boolean;
  configuration: ReloadState;
}): Promise<ReadinessCheck[]> {
  const [store, queue] = await Promise.all([parts.store.condition(), parts.queue.condition()]);
  const { configuration, draining } = parts;
  return [
    {
      name: 'running',
      ok: !draining,
      sentence: draining ? 'davylamp stops; what is open goes on after the start' : 'takes work',
    },
    { name: 'store', ok: store.ok, sentence: said(store) },
    { name: 'queue', ok: queue.ok, sentence: said(queue) },
    // Analyses run all the same; only automatic rollbacks wait.
    {
      name: 'reconciled',
      ok: parts.reconciler.open.length === 0,
      advisory: true,
      sentence:
        parts.reconciler.open.length === 0
          ? 'the store agrees with Git'
          : `automatic rollbacks wait until the store was compared with ${parts.reconciler.open.join(', ')} (state_lost)`,
    },
    ...(parts.journalCopy === null ? [] : [copied(parts.journalCopy.condition())]),
    // The old configuration works, so this makes nothing unready.
    { name: 'configuration', ok: configuration.ok, advisory: true, sentence: said(configuration) },
  ];
}

/** The journal itself is whole; only its copy waits. */
function copied(condition: StoreCondition): ReadinessCheck {
  return { name: 'journal copy', ok: condition.ok, advisory: true, sentence: said(condition) };
}

function said({ code, sentence }: { code: string; sentence: string }): string {
  return code === 'ok' ? sentence : `${sentence} (${code})`;
}
