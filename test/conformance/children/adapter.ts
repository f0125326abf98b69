import type { JobQueue } from '../../../src/queue/port.ts';
import type { Store } from '../../../src/store/port.ts';

interface Adapter {
  open: (place: string) => Promise<{ store: Store; queue: JobQueue }>;
}

/** What the process that will be killed was given: the adapter's module, the place, and a word of the test. */
export async function openFromArguments(): Promise<{ store: Store; queue: JobQueue; word: string }> {
  const [adapter, place, word] = process.argv.slice(2);
  if (adapter === undefined || place === undefined) throw new Error('usage: SCRIPT ADAPTER PLACE [WORD]');
  const { open } = (await import(adapter)) as Adapter;
  return { ...(await open(place)), word: word ?? '' };
}
