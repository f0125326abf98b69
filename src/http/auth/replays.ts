import { createHash } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import { codeOf } from '../../errors.ts';
import type { Store } from '../../store/port.ts';

/** Sees to it that a message is taken once, and that one which could not be taken may come again. */
export interface Replays {
  /**
   * Waits while the same message is handled by this process.
   *
   * @returns whether it may be handled now, for which `end` is to be called once; false when it was taken before.
   * @throws what the store throws
   */
  begin(id: string): Promise<boolean>;
  /**
   * @param isFinal whether it is answered for good, which is remembered durably: it was taken, or is wrong for ever
   * @returns false when another process has taken it meanwhile. @throws what the store throws
   */
  end(id: string, isFinal: boolean): Promise<boolean>;
}

/**
 * Remembers in the store that all processes share. The mark is set when the message was taken and before that is
 * answered: a message that we answered with 503, or not at all, is not a replay when it comes again. Two processes that are
 * given the same at the same moment both handle it, and one of them says so; what a webhook leads to is told apart by
 * what it says, so that happens once.
 *
 * The records are of kind `idempotency`, closed, and of no use once the time window of signatures is over, so retention
 * takes them.
 */
export function replaysIn(store: Pick<Store, 'get' | 'commit'>, clock: Clock): Replays {
  const running = new Map<string, { ended: Promise<void>; release: () => void }>();

  const leave = (id: string): void => {
    running.get(id)?.release();
    running.delete(id);
  };

  return {
    async begin(id) {
      for (let same = running.get(id); same !== undefined; same = running.get(id)) await same.ended;
      let release = (): void => undefined;
      const ended = new Promise<void>((resolve) => (release = resolve));
      running.set(id, { ended, release });
      try {
        if ((await store.get('idempotency', recordId(id))) === undefined) return true;
      } catch (error) {
        leave(id);
        throw error;
      }
      leave(id);
      return false;
    },

    async end(id, isFinal) {
      try {
        if (!isFinal) return true;
        const now = clock.now();
        const value = { seen: now };
        await store.commit([{ kind: 'idempotency', id: recordId(id), expect: 0, createdAt: now, index: {}, value }]);
        return true;
      } catch (error) {
        if (codeOf(error) === 'conflict') return false;
        throw error;
      } finally {
        leave(id);
      }
    },
  };
}

function recordId(id: string): string {
  return `signed-${createHash('sha256').update(id).digest('hex')}`;
}
