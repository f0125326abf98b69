// Commits pairs of records and appends to the journal until it is killed; prints what was confirmed, when it was.
import { writeSync } from 'node:fs';
import type { RecordWrite } from '../../../src/store/port.ts';
import { openFromArguments } from './adapter.ts';

const { store, word } = await openFromArguments();
const say = (line: string) => writeSync(1, `${line}\n`);

async function writer(number: number): Promise<never> {
  for (let turn = 0; ; turn += 1) {
    const name = `${word}-${number}-${turn}`;
    const write = (id: string): RecordWrite => ({
      kind: 'analysis',
      id,
      expect: 0,
      createdAt: turn,
      index: { open: true },
      value: { name },
    });
    await store.commit([write(`${name}-left`), write(`${name}-right`)]);
    say(`committed ${name}`);
    const { hash } = await store.append({
      at: turn,
      event: 'test.written',
      application: 'shop',
      subject: name,
      code: 'ok',
      sentence: 'Written.',
      details: { turn },
    });
    say(`appended ${hash}`);
  }
}

await Promise.all(Array.from({ length: 16 }, (_, number) => writer(number)));
