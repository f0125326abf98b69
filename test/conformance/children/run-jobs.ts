// Ends the job `done`, starts the job `running` and never ends it, leaves the job `waiting`; then waits to be killed.
import { writeSync } from 'node:fs';
import { openFromArguments } from './adapter.ts';

const { queue } = await openFromArguments();

queue.work('rollback', { concurrency: 1 }, async ({ key, attempt }) => {
  writeSync(1, `started ${key} ${attempt}\n`);
  if (key === 'running') await new Promise(() => {});
});
await queue.enqueue({ kind: 'rollback', key: 'done' });
for (let left = 1; left > 0;) {
  const { rollback } = await queue.counts();
  left = rollback.waiting + rollback.running;
}
await queue.enqueue({ kind: 'rollback', key: 'running' });
await queue.enqueue({ kind: 'rollback', key: 'waiting' });
writeSync(1, 'ready\n');
