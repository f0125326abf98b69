import { appendFile, chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { auditFile } from './audit-file.ts';
import { link } from './chain.ts';
import { CodedError } from '../errors.ts';
import { startJournalSink, type JournalSink, type SinkTarget } from './journal-sink.ts';
import type { ChainedEntry, RecordWrite, Store, StoredRecord } from './port.ts';
import { fileSink } from './sink-file.ts';
import { stdoutSink } from './sink-stdout.ts';

let folder: string;
let path: string;
let journal: ChainedEntry[];
const sinks: JournalSink[] = [];
const warnings: string[] = [];
const log = { warn: (_: object, sentence: string) => void warnings.push(sentence) };

const store: Pick<Store, 'journal'> = {
  journal: async ({ after = 0, limit }) => journal.filter(({ number }) => number > after).slice(0, limit),
};

function append(count: number, sentence = 'Held: ä⛏️\u2028.'): void {
  for (let n = 0; n < count; n += 1) {
    const entry = { at: 1, event: 'rollback.held', application: 'shop', subject: `r${n}`, code: 'guard', sentence, details: {} };
    journal.push(link(entry, journal.at(-1) ?? null));
  }
}

function start(target: SinkTarget, from: Pick<Store, 'journal'> = store): JournalSink {
  const sink = startJournalSink({ store: from, target, log, pollMs: 5, firstRetryMs: 5 });
  sinks.push(sink);
  return sink;
}

const written = (sink: JournalSink, number: number) =>
  expect.poll(() => sink.state(), { timeout: 10_000 }).toEqual({ written: number, failing: false });
const numbers = async () =>
  (await readFile(path, 'utf8'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as ChainedEntry).number);
const upTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, n) => first + n);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'davylamp-sink-'));
  path = join(folder, 'journal.jsonl');
  journal = [];
  warnings.length = 0;
});
afterEach(async () => {
  await Promise.all(sinks.splice(0).map((sink) => sink.close()));
  await chmod(folder, 0o700);
  await rm(folder, { recursive: true });
});

describe('the journal in a file', () => {
  it('has every entry as one line, in order, those that come later included', async () => {
    append(250);
    const sink = start(fileSink(path));
    await written(sink, 250);
    append(3);
    await written(sink, 253);
    expect(await numbers()).toEqual(upTo(253));
    expect(await auditFile(path)).toMatchObject({ entries: 253, first: 1, last: 253, repeated: 0, cut: false, broken: null });
    expect(sink.condition()).toMatchObject({ ok: true });
  });

  it('goes on where the process before has ended, without repeating', async () => {
    append(5);
    const first = start(fileSink(path));
    await written(first, 5);
    await first.close();
    append(5);
    await written(start(fileSink(path)), 10);
    expect(await numbers()).toEqual(upTo(10));
  });

  it('takes away a line that a crash has cut and writes it again', async () => {
    append(5);
    const first = start(fileSink(path));
    await written(first, 5);
    await first.close();
    await appendFile(path, JSON.stringify(journal[4]).slice(0, 40));
    append(1);
    await written(start(fileSink(path)), 6);
    expect(await numbers()).toEqual(upTo(6));
  });

  it('begins anew when the only line of the file was cut', async () => {
    append(2);
    await writeFile(path, '{"at":1,"ev');
    await written(start(fileSink(path)), 2);
    expect(await numbers()).toEqual(upTo(2));
  });

  it('repeats entries whose flush was not noted, which the audit can tell', async () => {
    append(5);
    const first = start(fileSink(path));
    await written(first, 5);
    await first.close();
    const text = await readFile(path, 'utf8');
    await writeFile(path, text + text.split('\n').slice(2).join('\n'));
    append(1);
    await written(start(fileSink(path)), 6);
    expect(await auditFile(path)).toMatchObject({ entries: 6, repeated: 3, broken: null });
  });

  it('goes on in a new file when the old one was moved away, at the next number', async () => {
    append(4);
    const sink = start(fileSink(path));
    await written(sink, 4);
    await rename(path, `${path}.1`);
    append(2);
    await written(sink, 6);
    expect(await numbers()).toEqual([5, 6]);
    expect(await auditFile(path)).toMatchObject({ entries: 2, first: 5, broken: null });
    await sink.close();
    await rename(path, `${path}.2`);
    append(1);
    await written(start(fileSink(path)), 7);
    expect(await numbers()).toEqual([7]);
  });

  it('says that it is broken, keeps trying, and has everything once it is mended', async () => {
    append(3);
    const missing = join(folder, 'later', 'journal.jsonl');
    const sink = start(fileSink(missing));
    await expect.poll(() => sink.condition().code).toBe('journal_sink_failed');
    expect(sink.condition().sentence).toContain(missing);
    expect(sink.state().failing).toBe(true);
    append(3);
    await mkdir(join(folder, 'later'));
    await written(sink, 6);
    path = missing;
    expect(await numbers()).toEqual(upTo(6));
    expect(warnings.filter((sentence) => sentence.includes('not copied'))).toHaveLength(1);
  });

  it('writes nothing into a file of somebody else', async () => {
    await writeFile(path, '{"level":30,"msg":"a log"}\n');
    append(1);
    const sink = start(fileSink(path));
    await expect.poll(() => sink.condition().code).toBe('journal_sink_failed');
    expect(await readFile(path, 'utf8')).toBe('{"level":30,"msg":"a log"}\n');
  });

  it.each([
    ['shorter', 2],
    ['longer', 9],
  ])('begins again when the journal is another, %s one, and the audit names the place', async (_, length) => {
    append(5);
    const sink = start(fileSink(path));
    await written(sink, 5);
    journal = [];
    append(length, 'Another journal.');
    await written(sink, length);
    expect(await numbers()).toEqual([...upTo(5), ...upTo(length)]);
    expect((await auditFile(path)).broken).toMatchObject({ number: 1, fault: 'number', line: 6 });
    expect(warnings.join()).toContain('another one');
  });

  it('is told when the store does not answer, and goes on afterwards', async () => {
    append(2);
    let down = true;
    const flaky: Pick<Store, 'journal'> = {
      journal: async (query) => {
        if (down) throw new CodedError('store_unavailable', 'Away.', { retryable: true });
        return store.journal(query);
      },
    };
    const sink = start(fileSink(path), flaky);
    await expect.poll(() => sink.condition().code).toBe('store_unavailable');
    down = false;
    await written(sink, 2);
  });

  it('closes soon even when its target hangs', async () => {
    append(1);
    const hanging: SinkTarget = {
      name: 'hangs',
      position: () => new Promise(() => {}),
      write: async () => {},
      close: async () => {},
    };
    await start(hanging).close();
  });
});

describe('the journal on the standard output', () => {
  it('goes on where the process before has ended, by what the store knows', async () => {
    let kept: StoredRecord | undefined;
    const records: Pick<Store, 'get' | 'commit'> = {
      get: async () => kept,
      commit: async ([write]: readonly RecordWrite[]) => {
        if (write === undefined || write.expect !== (kept?.version ?? 0)) throw new CodedError('conflict', 'Changed.');
        const { expect: before, ...rest } = write;
        kept = { ...rest, version: before + 1 };
        return [];
      },
    };
    const lines: string[] = [];
    const target = () => stdoutSink({ store: records, now: () => 1, print: async (text) => void lines.push(text) });
    append(150);
    const first = start(target());
    await written(first, 150);
    await first.close();
    append(2);
    await written(start(target()), 152);
    const seen = lines.join('').trimEnd().split('\n');
    expect(seen.map((line) => (JSON.parse(line) as ChainedEntry).number)).toEqual(upTo(152));
    expect(kept?.index.open).toBe(true);
  });
});
