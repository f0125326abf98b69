import { codeOf } from './errors.ts';
import type { JournalEntry, RecordWrite, Store } from './store/port.ts';

/**
 * Stores records with their journal entries, all of them or none.
 *
 * @returns false when somebody else changed one of the records meanwhile: that state counts, read it again
 * @throws CodedError what the store says when it cannot take them, such as `store_unavailable`
 */
export async function committed(
  store: Pick<Store, 'commit'>,
  writes: readonly RecordWrite[],
  entries: readonly JournalEntry[] = [],
): Promise<boolean> {
  try {
    await store.commit(writes, entries);
    return true;
  } catch (error) {
    if (codeOf(error) === 'conflict') return false;
    throw error;
  }
}
