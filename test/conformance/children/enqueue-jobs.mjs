// Enqueues jobs until it is killed; prints what was confirmed, when it was.
import { writeSync } from 'node:fs';

const [adapter, place, prefix] = process.argv.slice(2);
const { open } = await import(adapter);
const { queue } = await open(place);

async function producer(number) {
  for (let turn = 0; ; turn += 1) {
    const key = `${prefix}-${number}-${turn}`;
    await queue.enqueue({ kind: 'tick', key });
    writeSync(1, `enqueued ${key}\n`);
  }
}

await Promise.all(Array.from({ length: 16 }, (_, number) => producer(number)));
