import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '../../../src/errors.ts';
import { openStorage, type Place } from './storage.ts';

/*
 * One of the processes that share a queue and a store: `node worker.js PLACE TICKS MS`. Each job is an analysis of that many
 * ticks of so many milliseconds; the effect of a tick is one versioned commit of its record and one entry of the journal. Prints `middle KEY`
 * between reading and writing, `refused KEY` when the write lost against another process.
 */
const CONCURRENCY = 4;

const [place = '', ticks = '1', effectMs = '10'] = process.argv.slice(2);
const { store, queue, close } = await openStorage(JSON.parse(place) as Place);
const say = (line: string) => writeSync(1, `${line}\n`);

queue.work('tick', { concurrency: CONCURRENCY }, async ({ key }) => {
  const record = await store.get('analysis', key);
  const done = record?.version ?? 0;
  if (done >= Number(ticks)) return undefined;
  say(`middle ${key}`);
  await sleep(Number(effectMs));
  const tick = done + 1;
  try {
    await store.commit(
      [{ kind: 'analysis', id: key, expect: done, createdAt: 1, index: { application: 'shop' }, value: { ticks: tick } }],
      [{ at: 1, event: 'test.tick', application: 'shop', subject: key, code: `tick-${tick}`, sentence: 'Ticked.', details: {} }],
    );
  } catch (error) {
    say(`refused ${key} ${codeOf(error)}`);
    throw error;
  }
  return tick < Number(ticks) ? { again: Date.now() } : undefined;
});

process.once('SIGTERM', () => {
  void close();
});
say('ready');
