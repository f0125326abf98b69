/**
 * Broken and odd webhooks against the whole way from the parser to the store: `node dist/bench/fuzz-webhook.js [COUNT] [SEED]`.
 *
 * Nothing may answer 5xx or end the process, and what is taken must fit the schema, checked a second time by another way
 * than the server's.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startWebhookService } from './webhook-service.ts';
import { mutated } from './webhook-mutations.ts';
import { Value } from 'typebox/value';
import { AlertmanagerWebhook } from '../src/alerts/webhook.ts';

const COUNT = Number(process.argv[2] ?? 100_000);
const SEED = Number(process.argv[3] ?? 1);
const IN_FLIGHT = 16;
const FIXTURES = new URL('../../test/fixtures/alertmanager/', import.meta.url);

const bodies = readdirSync(FIXTURES)
  .filter((name) => name.endsWith('.json'))
  .map((name) => (JSON.parse(readFileSync(new URL(name, FIXTURES), 'utf8')) as { body: unknown }).body);
const folder = await mkdtemp(join(tmpdir(), 'davylamp-fuzz-'));
const service = await startWebhookService({ kind: 'embedded', place: folder, acts: true });
const statuses = new Map<number, number>();
const faults: string[] = [];
let slowest = 0;
try {
  let next = 0;
  const lane = async () => {
    while (next < COUNT) {
      const seed = SEED * 1_000_003 + next++;
      const body = mutated(bodies, seed);
      const began = performance.now();
      const { statusCode, payload } = await service.inject(body);
      slowest = Math.max(slowest, performance.now() - began);
      statuses.set(statusCode, (statuses.get(statusCode) ?? 0) + 1);
      if (statusCode >= 500) faults.push(`seed ${seed}: ${statusCode} ${payload.slice(0, 300)}`);
      if (statusCode === 202 && !Value.Check(AlertmanagerWebhook, JSON.parse(body.toString('utf8'))))
        faults.push(`seed ${seed}: taken, and does not fit the schema`);
      if (statusCode === 400 && !payload.includes('"errors":[{"path":')) faults.push(`seed ${seed}: 400 without a path`);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
} finally {
  await service.close();
  await rm(folder, { recursive: true });
}
console.table([...statuses].toSorted(([a], [b]) => a - b).map(([status, count]) => ({ status, count })));
console.log(`${COUNT} bodies, the slowest answer took ${slowest.toFixed(0)} ms.`);
for (const fault of faults.slice(0, 20)) console.log(fault);
if (faults.length > 0) console.log(`${faults.length} faults.`);
// One play: the bodies are no tests of their own.
console.log(faults.length > 0 ? '0 passed, 1 failed' : '1 passed, 0 failed');
process.exitCode = faults.length > 0 ? 1 : 0;
