import { play } from './schedule.ts';
const [from = '1', count = '200'] = process.argv.slice(2);
const began = performance.now();
let steps = 0; const ends = new Map<string, number>(); let bad = 0; const rules = new Map<string, number[]>();
let pushes=0, aborts=0, proposals=0, faults=0, crashes=0;
for (let seed = Number(from); seed < Number(from) + Number(count); seed += 1) {
  const played = await play(seed, process.env.TRACE !== undefined);
  steps += played.counts.steps; pushes+=played.pushes; aborts+=played.aborts; proposals+=played.proposals; faults+=played.counts.faults; crashes+=played.counts.crashes;
  for (const end of played.ends) ends.set(end, (ends.get(end) ?? 0) + 1);
  if (played.violation !== null) { bad += 1; const key = played.violation.split(':')[0] ?? ''; const k = rules.get(key) ?? []; k.push(seed); rules.set(key, k); if (bad < 8 || process.env.TRACE) console.log(seed, played.violation); if (process.env.TRACE) console.log(played.trace.join('\n')); }
  else if (process.env.TRACE) console.log(played.trace.join('\n'));
}
const s = (performance.now() - began) / 1000;
console.log({ seconds: s, perMs: s * 1000 / Number(count), steps: steps / Number(count), pushes, aborts, proposals, faults, crashes, bad });
console.log([...ends].sort((a, b) => b[1] - a[1]).map((e) => e.join(' ')).join(', '));
for (const [k, v] of rules) console.log(k, v.length, v.slice(0, 8).join(' '));
