/**
 * How a process ends with 50 analyses in flight whose source hangs: `node dist/bench/drain.js [--redis URL]`. Time from
 * SIGTERM to the exit, the exit code, and how many analyses go on after the restart.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startDavylamp, startPage, storageOption, writeConfig } from './release-service.ts';

const ANALYSES = 50;
const LIMIT_MS = 30_000;
const GO_ON_MS = 90_000;

interface Analysis {
  id: string;
  phase: string;
  ticks: { done: number };
}

const folder = await mkdtemp(join(tmpdir(), 'davylamp-drain-'));
const page = await startPage();
try {
  const config = await writeConfig(folder, {
    page: page.url,
    storage: storageOption(),
    template: { every: '500ms', for: '30m' },
  });
  const first = await startDavylamp(config);
  const ids = await Promise.all(
    Array.from({ length: ANALYSES }, async (_, n) => {
      const revision = (n + 1).toString(16).padStart(40, 'a');
      return (await first.call<Analysis>('/api/v1/analyses', { application: 'shop', revision })).id;
    }),
  );
  await pause(3_000);
  page.hang(true);
  await pause(1_000);
  const readsWaiting = page.reads();
  const since = performance.now();
  first.signal('SIGTERM');
  const [code] = await first.exited;
  const ms = performance.now() - since;
  page.hang(false);

  const second = await startDavylamp(config);
  const before = new Map<string, number>();
  for (const id of ids) before.set(id, (await second.call<Analysis>(`/api/v1/analyses/${id}`)).ticks.done);
  const goingOn = new Set<string>();
  const end = performance.now() + GO_ON_MS;
  while (goingOn.size < ids.length && performance.now() < end) {
    for (const id of ids) {
      const { ticks, phase } = await second.call<Analysis>(`/api/v1/analyses/${id}`);
      if (phase === 'Running' && ticks.done > (before.get(id) ?? 0)) goingOn.add(id);
    }
    await pause(200);
  }
  second.signal('SIGTERM');
  const [secondCode] = await second.exited;
  console.log(`${ANALYSES} analyses in flight, ${readsWaiting} reads so far, the source hangs`);
  console.log(`SIGTERM to exit: ${(ms / 1_000).toFixed(1)} s with code ${code} (limit ${LIMIT_MS / 1_000} s, code 0)`);
  console.log(`${goingOn.size} of ${ids.length} go on after the restart; ${ids.length - goingOn.size} lost (limit 0)`);
  const held = ms < LIMIT_MS && code === 0 && secondCode === 0 && goingOn.size === ids.length;
  console.log(held ? 'limits held' : 'limits missed');
  process.exitCode = held ? 0 : 1;
} finally {
  page.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}
