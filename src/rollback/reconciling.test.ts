import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { redisPlace } from '../../test/conformance/redis-place.ts';
import { gitWorld, type GitWorld } from '../../test/git/world.ts';
import { startRedis, type RedisServer } from '../../test/support/redis.ts';
import { systemClock } from '../clock.ts';
import type { Repository } from '../git/port.ts';
import { rollbackId } from './identity.ts';
import { revertMessage } from './message.ts';
import { POLICY } from '../../test/support/guard-facts.ts';
import type { Policy } from './policy.ts';
import { Reconciler } from './reconciling.ts';
import { rollbackIn } from './stored.ts';

const FETCH_TIMEOUT_MS = 400_000;
const never = new AbortController().signal;
const policy: Policy = { ...POLICY, repository: 'shop' };

describe('two processes whose store was emptied', () => {
  let redis: RedisServer;
  let world: GitWorld;
  const closes: (() => Promise<void>)[] = [];
  beforeEach(async () => {
    redis = await startRedis();
    world = await gitWorld();
  }, FETCH_TIMEOUT_MS);
  afterEach(async () => {
    await Promise.all(closes.splice(0).map((close) => close()));
    await world.close();
    await redis.stop();
  });

  /** What one process has: its own connection, its own mirror. */
  async function processOn(place: Awaited<ReturnType<typeof redisPlace>>) {
    const { store, close } = await place.openStore();
    closes.push(close);
    const repository = world.another();
    const told: string[] = [];
    const reconciler = new Reconciler({
      store,
      clock: systemClock,
      policies: new Map([['shop', policy]]),
      repositories: new Map([['shop', repository]]),
      lookAtClusters: () => Promise.resolve(),
      onLost: () => void told.push('lost'),
      onRemembered: async () => undefined,
      onReconciled: ({ rollbacks }) => void told.push(`reconciled ${rollbacks}`),
      onFault: (name, error) => void told.push(`${name}: ${String(error)}`),
    });
    return { store, repository, reconciler, told };
  }

  async function pushRevert(repository: Repository, badCommit: string, judged = badCommit): Promise<string> {
    const id = rollbackId({ ...policy, badCommit: judged });
    await repository.refresh(never);
    const bad = await repository.commit(badCommit, never);
    const message = revertMessage({ bad, rollback: id, application: 'shop', verdictSentence: 'errors', evidence: null });
    const result = await repository.revert({ badCommit, message, at: Date.now(), paths: policy.paths }, never);
    if (result.kind !== 'commit') throw new Error(`there is no revert: ${result.kind}`);
    await repository.push(result.commit, null, never);
    return id;
  }

  it('each read Git: what one pushed at that moment is younger than what the other one has read', async () => {
    await world.commit('shop 1.1.0', { 'apps/shop/version': '1.1.0' });
    const bad = await world.commit('shop 1.2.0', { 'apps/shop/version': '1.2.0' });
    const place = await redisPlace(redis);
    const one = await processOn(place);
    const other = await processOn(place);
    await one.reconciler.run(never);
    await other.reconciler.run(never);
    expect([one.told, other.told], 'a data set that was read before is trusted').toEqual([['reconciled 0'], []]);
    const admin = new Redis(redis.url);
    await admin.flushall();
    admin.disconnect();

    await other.reconciler.run(never);
    const id = await pushRevert(one.repository, bad);
    await one.reconciler.run(never);

    expect(other.told).toEqual(['lost', 'reconciled 0']);
    expect(one.told.slice(1)).toEqual(['lost', 'reconciled 1']);
    const record = await other.store.get('rollback', id);
    expect(record && rollbackIn(record)).toMatchObject({ id, state: 'failed', code: 'rebuilt', badCommit: bad });
    expect(one.reconciler.condition()).toMatchObject({ ok: true, code: 'ok' });
  });

  it('know the revision that was judged again, also where the guilty commit is an older one', async () => {
    await world.commit('shop 1.1.0', { 'apps/shop/version': '1.1.0' });
    const bad = await world.commit('shop 1.2.0', { 'apps/shop/version': '1.2.0' });
    const judged = await world.commit('mail 7', { 'apps/mail/version': '7' });
    await world.commit('mail 8', { 'apps/mail/version': '8' });
    const { store, repository, reconciler } = await processOn(await redisPlace(redis));
    const id = await pushRevert(repository, bad, judged);
    await reconciler.run(never);
    const record = await store.get('rollback', id);
    expect(record && rollbackIn(record)).toMatchObject({ id, badCommit: judged, plan: { kind: 'revert', undoes: [bad] } });
  });
});
