import { CodedError } from '../errors.ts';
import type { ChainEnd } from './chain.ts';
import type { SinkTarget } from './journal-sink.ts';
import type { Store } from './port.ts';

/** The record that keeps how far the output is; processes on one store share it. */
const CURSOR = { kind: 'state', id: 'journal-sink-stdout' } as const;
const TRIES = 5;

/**
 * Entries as lines of the standard output, which cannot be read back: how far it is, is kept in the store.
 *
 * @param options.print resolves when the output has taken the text
 */
export function stdoutSink(options: {
  store: Pick<Store, 'get' | 'commit'>;
  now: () => number;
  print: (text: string) => Promise<void>;
}): SinkTarget {
  const { store, now, print } = options;

  return {
    name: 'standard output',

    async position() {
      const record = await store.get(CURSOR.kind, CURSOR.id);
      return record === undefined ? null : (record.value as ChainEnd);
    },

    async write(text, { number, hash }) {
      await print(text);
      for (let attempt = 1; ; attempt += 1) {
        const found = await store.get(CURSOR.kind, CURSOR.id);
        const value: ChainEnd = { number, hash };
        try {
          await store.commit([
            { ...CURSOR, expect: found?.version ?? 0, createdAt: found?.createdAt ?? now(), index: { open: true }, value },
          ]);
          return;
        } catch (error) {
          if (!(error instanceof CodedError) || error.code !== 'conflict' || attempt === TRIES) throw error;
        }
      }
    },

    async close() {},
  };
}
