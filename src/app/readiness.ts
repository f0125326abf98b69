import type { ReadinessCheck } from '../http/dependencies.ts';
import type { JobQueue, QueueCondition } from '../queue/port.ts';
import type { JournalSink } from '../store/journal-sink.ts';
import type { Store, StoreCondition } from '../store/port.ts';
import type { ReloadState } from './reloading.ts';

/** Whether the service can work, one line a part; what a probe acts on, and what a person reads. */
export async function readinessOf(parts: {
  store: Pick<Store, 'condition'>;
  queue: Pick<JobQueue, 'condition'>;
  /** Whether store and Git agree. */
  reconciled: StoreCondition;
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
    worked('store', store),
    worked('queue', queue),
    // Analyses run all the same; only automatic rollbacks wait.
    { name: 'reconciled', ok: parts.reconciled.ok, advisory: true, sentence: said(parts.reconciled) },
    ...(parts.journalCopy === null ? [] : [copied(parts.journalCopy.condition())]),
    // The old configuration works, so this makes nothing unready.
    { name: 'configuration', ok: configuration.ok, advisory: true, sentence: said(configuration) },
  ];
}

/** What works by consent only (`not_durable`) is ready, and no plain "in order". */
function worked(name: string, condition: StoreCondition | QueueCondition): ReadinessCheck {
  return { name, ok: condition.code === 'ok', advisory: condition.ok, sentence: said(condition) };
}

/** The journal itself is whole; only its copy waits. */
function copied(condition: StoreCondition): ReadinessCheck {
  return { name: 'journal copy', ok: condition.ok, advisory: true, sentence: said(condition) };
}

function said({ code, sentence }: { code: string; sentence: string }): string {
  return code === 'ok' ? sentence : `${sentence} (${code})`;
}
