// Commits pairs of records and appends to the journal until it is killed; prints what was confirmed, when it was.
import { writeSync } from 'node:fs';

const [adapter, place, prefix] = process.argv.slice(2);
const { open } = await import(adapter);
const { store } = await open(place);
const say = (line) => writeSync(1, `${line}\n`);

async function writer(number) {
  for (let turn = 0; ; turn += 1) {
    const name = `${prefix}-${number}-${turn}`;
    const write = (id) => ({ kind: 'analysis', id, expect: 0, createdAt: turn, index: { open: true }, value: { name } });
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
