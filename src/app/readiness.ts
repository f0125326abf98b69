import type { ReadinessCheck } from '../http/dependencies.ts';
import type { JobQueue } from '../queue/port.ts';
import type { Store } from '../store/port.ts';
import type { ReloadState } from './reloading.ts';

/** Whether the service can work, one line a part; what a probe acts on, and what a person reads. */
export async function readinessOf(parts: {
  store: Store;
  queue: JobQueue;
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
    // The old configuration works, so this makes nothing unready.
    { name: 'configuration', ok: configuration.ok, advisory: true, sentence: said(configuration) },
  ];
}

function said({ code, sentence }: { code: string; sentence: string }): string {
  return code === 'ok' ? sentence : `${sentence} (${code})`;
}
