import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Analysis } from '../../src/analysis/record.ts';
import { startRedis, type RedisServer } from '../support/redis.ts';
import { client } from '../support/running-service.ts';
import { serve, type ServiceProcess } from '../support/service-process.ts';
import { serviceWorld, type ServiceWorld } from '../support/service-world.ts';

/** The lease of a lost process ends after 30 s and two checks of 10 s. */
const TAKE_OVER_MS = 120_000;
const TEST_TIMEOUT_MS = 180_000;

let redis: RedisServer;
let world: ServiceWorld | undefined;
const processes: ServiceProcess[] = [];
beforeAll(async () => {
  redis = await startRedis();
}, 400_000);
afterEach(async () => {
  await Promise.all(processes.splice(0).map((process) => process.stop()));
  await world?.close();
});
afterAll(() => redis.stop());

let count = 0;
/** A world whose configuration stands once for each process: the same Redis, a data folder of its own. */
async function shared(settings: Parameters<typeof serviceWorld>[0] = {}) {
  const made = await serviceWorld(settings);
  world = made;
  count += 1;
  const text = await readFile(made.config, 'utf8');
  const start = async (name: string, environment: Record<string, string> = {}) => {
    const file = join(made.folder, `${name}.yaml`);
    const storage = `{ kind: redis, url: ${redis.url}, prefix: distributed-${count}, path: ./${name} }`;
    await writeFile(file, text.replace('{ kind: embedded, path: ./data }', storage));
    const process = await serve(file, environment);
    processes.push(process);
    return process;
  };
  const reverts = async () => (await made.commits()).filter(({ rollback }) => rollback !== '');
  return { ...made, start, reverts };
}

const isOver = ({ endedAt }: Analysis) => endedAt !== null;
interface Page {
  items: { state: string; revertCommit: string | null }[];
}
const isRecovered = ({ items }: Page) => items[0]?.state === 'recovered';

describe('two services on one Redis', () => {
  it(
    'share the analyses of one another, and roll back once',
    async () => {
      const { start, pages, bad, reverts } = await shared();
      pages.set('canary', { errorShare: 0.3 });
      const [one, other] = await Promise.all([start('one'), start('other')]);
      const begun = await Promise.all([one, other, one, other].map(({ address }) => client(address).analyze(bad)));
      for (const { id } of begun) {
        const ended = await client(other.address).until<Analysis>(`/api/v1/analyses/${id}`, isOver);
        expect(ended).toMatchObject({ verdict: 'fail' });
      }
      const { items } = await client(one.address).until<Page>('/api/v1/rollbacks', isRecovered, TAKE_OVER_MS);
      expect(items).toHaveLength(1);
      expect(await reverts()).toHaveLength(1);
      expect((await reverts())[0]?.sha).toBe(items[0]?.revertCommit);
    },
    TEST_TIMEOUT_MS,
  );

  it(
    'go on with what the other one did when it was killed',
    async () => {
      const { start, pages, bad, reverts } = await shared({ for: '20s' });
      pages.set('canary', { errorShare: 0.3 });
      // The first one alone takes the job, and dies with the revert on the remote and nothing of it in the store.
      const one = await start('one', { DAVYLAMP_CRASH_AT: 'push-done' });
      const { id } = await client(one.address).analyze(bad);
      const other = await start('other', { DAVYLAMP_CRASH_AT: 'push-done' });
      const died = await Promise.race([one.ended().then(() => one), other.ended().then(() => other)]);
      const left = died === one ? other : one;
      // Whichever it was: it comes back as a process that does not die.
      await left.stop();
      const survivor = await start('survivor');
      const { items } = await client(survivor.address).until<Page>('/api/v1/rollbacks', isRecovered, TAKE_OVER_MS);
      expect(items).toHaveLength(1);
      expect(await client(survivor.address).call<Analysis>('GET', `/api/v1/analyses/${id}`)).toMatchObject({
        body: { verdict: 'fail' },
      });
      expect(await reverts()).toHaveLength(1);
    },
    TEST_TIMEOUT_MS,
  );

  it(
    'end an analysis although the one that began it is killed in the middle',
    async () => {
      const { start, pages, bad, reverts } = await shared({ for: '4s' });
      pages.set('canary', { errorShare: 0.01 });
      const [one, other] = await Promise.all([start('one'), start('other')]);
      const begun = await Promise.all(Array.from({ length: 10 }, () => client(one.address).analyze(bad)));
      await client(other.address).until<Analysis>(`/api/v1/analyses/${begun[0]?.id}`, ({ ticks }) => ticks.done > 2);
      one.signal('SIGKILL');
      await one.ended();
      const ended = await Promise.all(
        begun.map(({ id }) => client(other.address).until<Analysis>(`/api/v1/analyses/${id}`, isOver, TAKE_OVER_MS)),
      );
      // Ticks that nobody took are gaps, and a gap is no evidence against a release.
      expect(ended.filter(({ verdict }) => verdict === 'fail' || verdict === 'error')).toEqual([]);
      expect(await reverts()).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );
});
