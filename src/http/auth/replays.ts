import { createHash } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import { codeOf } from '../../errors.ts';
import type { Store } from '../../store/port.ts';

/**
 * Remembers durably what was seen, in the store that all processes share: a write that must be the first one of its
 * kind. The records are of kind `idempotency`, closed, and of no use once the time window of signatures is over, so
 * retention takes them.
 *
 * @returns false for the first call with an id, true ever after. @throws what the store throws
 */
export function seenIn(store: Pick<Store, 'commit'>, clock: Clock): (id: string) => Promise<boolean> {
  return async (id) => {
    const now = clock.now();
    const digest = createHash('sha256').update(id).digest('hex');
    try {
      const record = {
        kind: 'idempotency' as const,
        id: `signed-${digest}`,
        expect: 0,
        createdAt: now,
        index: {},
        value: { seen: now },
      };
      await store.commit([record]);
      return false;
    } catch (error) {
      if (codeOf(error) === 'conflict') return true;
      throw error;
    }
  };
}
