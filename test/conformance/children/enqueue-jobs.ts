// Enqueues jobs until it is killed; prints what was confirmed, when it was.
import { writeSync } from 'node:fs';
import { openFromArguments } from './adapter.ts';

const { queue, word } = await openFromArguments();

async function producer(number: number): Promise<never> {
  for (let turn = 0; ; turn += 1) {
    const key = `${word}-${number}-${turn}`;
    await queue.enqueue({ kind: 'tick', key });
    writeSync(1, `enqueued ${key}\n`);
  }
}

await Promise.all(Array.from({ length: 16 }, (_, number) => producer(number)));
