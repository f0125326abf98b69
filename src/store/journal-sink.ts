import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, sentenceOf } from '../errors.ts';
import type { ChainEnd } from './chain.ts';
import type { Store, StoreCondition } from './port.ts';

/** Entries of one write. */
const BATCH = 100;
/** How often the journal is looked at: entries of other processes are not announced. */
const POLL_MS = 1_000;
const FIRST_RETRY_MS = 1_000;
const MOST_RETRY_MS = 30_000;
/** How long the close waits for what is under way. */
const CLOSE_MS = 2_000;

/** Where the entries go. */
export interface SinkTarget {
  /** For people. */
  readonly name: string;
  /** The last entry that it has for certain; null for none. Entries after it may be there already. */
  position(): Promise<ChainEnd | null>;
  /** Durable when it resolves. @param text whole lines @param end the last entry of them */
  write(text: string, end: ChainEnd): Promise<void>;
  close(): Promise<void>;
}

interface Log {
  warn(facts: object, sentence: string): void;
}

export interface JournalSink {
  /** Never rejects. `ok`, `journal_sink_failed`, or what the store said. */
  condition(): StoreCondition;
  /** Number of the last entry that was written, and since when further ones could not be; for metrics. */
  state(): { written: number; failing: boolean };
  /** Writes what is there, as far as that goes quickly, and stops. */
  close(): Promise<void>;
}

/**
 * Copies the journal, every entry as one line of JSON, in order, at least once: after a crash, entries may come again
 * with the same number. It reads behind the decisions and holds none of them up: while the target is full or broken the
 * journal stays where it is, the condition says so, and it goes on from there later.
 */
export function startJournalSink(options: {
  store: Pick<Store, 'journal'>;
  target: SinkTarget;
  log: Log;
  /** Told with each failure, for the metrics. */
  onFailure?: (code: string) => void;
  pollMs?: number;
  firstRetryMs?: number;
}): JournalSink {
  const { store, target, log, onFailure, pollMs = POLL_MS, firstRetryMs = FIRST_RETRY_MS } = options;
  const closing = new AbortController();
  let condition: StoreCondition = { ok: true, code: 'ok', sentence: `the journal goes to ${target.name}` };
  let position: ChainEnd | null = null;
  let known = false;
  let failures = 0;

  const pause = async (ms: number): Promise<void> => {
    await sleep(ms, undefined, { signal: closing.signal }).catch(() => {});
  };

  /** @returns whether more is there at once */
  const step = async (): Promise<boolean> => {
    if (!known) position = await target.position();
    known = true;
    // The last one is read, too: when it is not the one that was written, the journal is another one.
    const overlap = position === null ? 0 : 1;
    const entries = await store.journal({ after: (position?.number ?? 0) - overlap, limit: BATCH + overlap });
    if (position !== null && entries[0]?.hash !== position.hash) {
      log.warn({ number: position.number, sink: target.name }, 'The journal is another one than was written; it begins anew.');
      position = null;
      return true;
    }
    const fresh = entries.slice(overlap);
    const last = fresh.at(-1);
    if (last === undefined) return false;
    const end = { number: last.number, hash: last.hash };
    await target.write(fresh.map((entry) => `${JSON.stringify(entry)}\n`).join(''), end);
    position = end;
    return fresh.length === BATCH;
  };

  const fail = (error: unknown): void => {
    // What the target has is asked anew.
    known = false;
    failures += 1;
    const code = codeOf(error);
    const sentence = sentenceOf(error);
    onFailure?.(code);
    if (condition.code !== code) log.warn({ code, sink: target.name }, `The journal is not copied: ${sentence}`);
    condition = { ok: false, code, sentence };
  };

  const run = async (): Promise<void> => {
    for (;;) {
      try {
        const more = await step();
        failures = 0;
        condition = { ok: true, code: 'ok', sentence: `the journal goes to ${target.name}` };
        if (more) continue;
        if (closing.signal.aborted) return;
        await pause(pollMs);
      } catch (error) {
        fail(error);
        if (closing.signal.aborted) return;
        await pause(Math.min(MOST_RETRY_MS, firstRetryMs * 2 ** Math.min(failures - 1, 10)));
      }
    }
  };
  const running = run();

  return {
    condition: () => condition,
    state: () => ({ written: position?.number ?? 0, failing: !condition.ok }),
    async close() {
      closing.abort();
      const late = new AbortController();
      await Promise.race([running, sleep(CLOSE_MS, undefined, { signal: late.signal }).catch(() => {})]);
      late.abort();
      await target.close();
    },
  };
}
