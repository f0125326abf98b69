import { register } from 'node:module';
import { MUTATIONS } from './mutations.ts';

/*
 * A process of its own, since what is loaded stays loaded: node mutant.js INDEX FROM COUNT
 * Its only line: how many schedules it took to find the broken rule, and the rule; or null.
 */
const [index, from, count] = process.argv.slice(2).map(Number);
const mutation = MUTATIONS[index ?? -1];
if (mutation === undefined || from === undefined || count === undefined) throw new Error('usage: mutant.js INDEX FROM COUNT');
register('./mutating.js', import.meta.url, { data: mutation });
const { play } = await import('./schedule.ts');
let found: { schedules: number; seed: number; violation: string } | null = null;
for (let seed = from; seed < from + count && found === null; seed += 1) {
  const { violation } = await play(seed);
  if (violation !== null) found = { schedules: seed - from + 1, seed, violation };
}
process.stdout.write(`${JSON.stringify(found)}\n`);
