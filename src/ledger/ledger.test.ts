import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ledgerWorld, type LedgerWorld } from '../../test/support/ledger-world.ts';

const signal = new AbortController().signal;
const HOUR = 3_600_000;
const byDelivery = { by: 'delivery', reason: 'it ran', reference: null };
const byAnalysis = { by: 'analysis', reason: 'its analysis failed', reference: 'an-1' };

let world: LedgerWorld;
beforeEach(async () => {
  world = await ledgerWorld();
});
afterEach(async () => {
  await world.close();
});

const lastGood = async (before: string, lowest: 'proved' | 'completed' | 'baked' | 'seeded' = 'baked') =>
  (await world.ledger.lastGood('shop', { before, lowest, repository: world.repository }, signal))?.revision ?? null;
const bake = (revision: string) => world.ledger.note('shop', revision, { ...byDelivery, rank: 'baked' });

describe('the ledger', () => {
  it('knows of a revision how good it is, since when, who says so and what it holds', async () => {
    const revision = await world.release('1');
    await world.ledger.noteLive('shop', revision, world.clock.now() - HOUR);
    await bake(revision);
    world.pass(HOUR);
    await world.ledger.note('shop', revision, {
      rank: 'proved',
      by: 'analysis',
      reason: 'its analysis passed',
      reference: 'an-7',
    });
    expect(await world.entry(revision)).toEqual({
      application: 'shop',
      revision,
      standing: 'good',
      rank: 'proved',
      since: '2026-01-01T12:00:00.000Z',
      by: 'analysis',
      reason: 'its analysis passed',
      reference: 'an-7',
      content: await world.repository.contentOf(revision, ['apps/shop'], signal),
      firstLiveAt: '2026-01-01T11:00:00.000Z',
      updatedAt: '2026-01-01T13:00:00.000Z',
    });
  });

  it('has every change in the journal, once, and nothing that changed nothing', async () => {
    const revision = await world.release('1');
    await bake(revision);
    await bake(revision);
    await world.ledger.note('shop', revision, { ...byDelivery, rank: 'seeded' });
    await world.ledger.noteBad('shop', revision, byAnalysis);
    await world.ledger.noteBad('shop', revision, { ...byAnalysis, reference: 'an-2' });
    await world.ledger.markGood('shop', revision, { by: 'ada', reason: 'a false one' });
    await world.ledger.markGood('shop', revision, { by: 'ada', reason: 'a false one' });
    const entries = await world.journal();
    expect(entries.map(({ event, subject, code }) => `${event} ${subject} ${code}`)).toEqual(
      ['baked', 'bad', 'marked_good'].map((code) => `ledger.marked shop/${revision} ${code}`),
    );
    expect(entries[1]).toMatchObject({
      application: 'shop',
      details: { standing: 'bad', reference: 'an-1', before: { standing: 'good', rank: 'baked', by: 'delivery' } },
    });
  });

  it('keeps one entry and one journal line however many processes note the same at once', async () => {
    const revision = await world.release('1');
    await Promise.all(Array.from({ length: 8 }, () => world.process().note('shop', revision, { ...byDelivery, rank: 'baked' })));
    await Promise.all(Array.from({ length: 8 }, () => world.process().noteLive('shop', revision, 1_000)));
    expect((await world.ledger.list('shop', { limit: 10 })).items).toHaveLength(1);
    expect((await world.journal()).map(({ code }) => code)).toEqual(['baked', 'seen_live']);
  });

  it('keeps the earliest time at which a revision was live', async () => {
    const revision = await world.release('1');
    for (const at of [5_000, 9_000, 2_000]) await world.ledger.noteLive('shop', revision, at);
    expect(await world.entry(revision)).toMatchObject({ standing: 'unknown', firstLiveAt: '1970-01-01T00:00:02.000Z' });
  });

  it('leaves what is bad bad, until a person says otherwise', async () => {
    const revision = await world.release('1');
    await world.ledger.noteBad('shop', revision, byAnalysis);
    await world.ledger.note('shop', revision, { rank: 'proved', by: 'analysis', reason: 'passed', reference: 'an-2' });
    expect(await world.entry(revision)).toMatchObject({ standing: 'bad', reference: 'an-1' });
    await world.ledger.noteSuspect('shop', revision, { reason: 'no help', reference: 'rb-1' });
    expect(await world.entry(revision)).toMatchObject({ standing: 'suspect', by: 'rollback' });
    await world.ledger.markGood('shop', revision, { by: 'ada', reason: 'it was the database' });
    expect(await world.entry(revision)).toMatchObject({ standing: 'good', rank: null, by: 'ada' });
  });

  it('writes down what it is told while Git is away, and knows the full id of an abbreviation', async () => {
    const revision = await world.release('1');
    expect(await world.ledger.note('shop', revision.slice(0, 8), { ...byDelivery, rank: 'seeded' })).toMatchObject({ revision });
    const never = 'f'.repeat(40);
    expect(await world.ledger.note('shop', never, { ...byDelivery, rank: 'seeded' })).toBeNull();
    await world.setReachable(false);
    const later = 'e'.repeat(40);
    expect(await world.ledger.note('shop', later, { ...byDelivery, rank: 'seeded' })).toMatchObject({ content: null });
  });

  it('takes no image tag, chart version or foreign application for a revision', async () => {
    const revision = await world.release('1');
    expect(await world.ledger.note('shop', 'v1.2.3', { ...byDelivery, rank: 'baked' })).toBeNull();
    expect(await world.ledger.note('other', revision, { ...byDelivery, rank: 'baked' })).toBeNull();
    expect(await world.journal()).toEqual([]);
  });

  it('lists what is known page by page, by standing where that is asked for', async () => {
    const revisions = [];
    for (const version of ['1', '2', '3']) revisions.push(await world.release(version));
    for (const revision of revisions) {
      await bake(revision);
      world.pass(1_000);
    }
    await world.ledger.noteBad('shop', revisions[1] ?? '', byAnalysis);
    const first = await world.ledger.list('shop', { limit: 2 });
    expect(first.items.map(({ revision }) => revision)).toEqual([revisions[2], revisions[1]]);
    const second = await world.ledger.list('shop', { limit: 2, before: first.next ?? '' });
    expect(second.items.map(({ revision }) => revision)).toEqual([revisions[0]]);
    const bad = await world.ledger.list('shop', { limit: 2, standing: 'bad' });
    expect(bad.items.map(({ revision }) => revision)).toEqual([revisions[1]]);
    await expect(world.ledger.list('shpo', { limit: 2 })).rejects.toMatchObject({ code: 'application_unknown' });
  });
});

describe('what a person marks', () => {
  it('is a commit of the branch, and nothing else changes anything', async () => {
    const revision = await world.release('1');
    await world.colleague.git('checkout', '--quiet', '-b', 'side');
    const side = await world.colleague.commit('aside', { 'apps/shop/rollout.yaml': 'image: shop:side\n' });
    await world.colleague.git('push', '--quiet', 'origin', 'HEAD:refs/heads/main-next');
    await world.repository.refresh(signal);
    const mark = (sha: string) => world.ledger.markBad('shop', sha, { by: 'ada', reason: 'broken' });
    await expect(mark('f'.repeat(40))).rejects.toMatchObject({ code: 'commit_unknown' });
    await expect(mark(side)).rejects.toMatchObject({ code: expect.stringMatching(/^commit_(not_on_branch|unknown)$/) });
    await expect(world.ledger.markGood('shpo', revision, { by: 'ada', reason: 'fine' })).rejects.toMatchObject({
      code: 'application_unknown',
    });
    expect(await world.journal()).toEqual([]);
    expect(await mark(revision.slice(0, 10))).toMatchObject({ revision, standing: 'bad', by: 'ada', reason: 'broken' });
  });

  it('can be marked while Git is away when it is known already', async () => {
    const revision = await world.release('1');
    await bake(revision);
    await world.setReachable(false);
    expect(await world.ledger.markBad('shop', revision, { by: 'ada', reason: 'broken' })).toMatchObject({ standing: 'bad' });
  });
});

describe('the last good revision', () => {
  it('is the newest before the bad one by the order of the branch, not by that of time', async () => {
    const [one, two, bad] = [await world.release('1'), await world.release('2'), await world.release('3')];
    await bake(two);
    world.pass(HOUR);
    await bake(one);
    expect(await lastGood(bad)).toBe(two);
  });

  it('is that also where it is a head that changed nothing of the application', async () => {
    const one = await world.release('1');
    await world.release('2');
    const head = await world.commit('another application', { 'apps/cart/rollout.yaml': 'image: cart:1\n' });
    const bad = await world.release('3');
    await bake(head);
    world.pass(HOUR);
    await bake(one);
    expect(await lastGood(bad)).toBe(head);
  });

  it('is none where none is known, and never the bad one itself or one after it', async () => {
    const [one, bad, after] = [await world.release('1'), await world.release('2'), await world.release('3')];
    expect(await lastGood(bad)).toBeNull();
    await bake(bad);
    await bake(after);
    expect(await lastGood(bad)).toBeNull();
    await bake(one);
    expect(await lastGood(bad)).toBe(one);
  });

  it('has at least the rank that the policy accepts, or a person’s word', async () => {
    const [one, two, three, bad] = [
      await world.release('1'),
      await world.release('2'),
      await world.release('3'),
      await world.release('4'),
    ];
    await world.ledger.note('shop', one, { ...byDelivery, rank: 'proved' });
    await world.ledger.note('shop', two, { ...byDelivery, rank: 'baked' });
    await world.ledger.note('shop', three, { ...byDelivery, rank: 'seeded' });
    expect(await lastGood(bad, 'seeded')).toBe(three);
    expect(await lastGood(bad, 'baked')).toBe(two);
    expect(await lastGood(bad, 'completed')).toBe(one);
    await world.ledger.markGood('shop', three, { by: 'ada', reason: 'I looked' });
    expect(await lastGood(bad, 'proved')).toBe(three);
  });

  it('is none that was marked bad or became suspect', async () => {
    const [one, two, three, bad] = [
      await world.release('1'),
      await world.release('2'),
      await world.release('3'),
      await world.release('4'),
    ];
    for (const revision of [one, two, three]) await bake(revision);
    await world.ledger.noteBad('shop', three, byAnalysis);
    await world.ledger.noteSuspect('shop', two, { reason: 'no help', reference: 'rb-1' });
    expect(await lastGood(bad)).toBe(one);
  });

  it('holds something else than the bad one: a later head with the same content is no way back', async () => {
    const one = await world.release('1');
    const bad = await world.release('2');
    const head = await world.commit('another application', { 'apps/cart/rollout.yaml': 'image: cart:1\n' });
    const later = await world.commit('another one', { 'apps/cart/rollout.yaml': 'image: cart:2\n' });
    await bake(one);
    await bake(head);
    expect(await lastGood(later)).toBe(one);
    expect(await lastGood(bad)).toBe(one);
  });

  it('may be a commit that does not touch the application, as clusters run them', async () => {
    await world.release('1');
    const head = await world.commit('another application', { 'apps/cart/rollout.yaml': 'image: cart:1\n' });
    const bad = await world.release('2');
    await bake(head);
    expect(await lastGood(bad)).toBe(head);
  });

  it('is none with the content of a revision that turned bad later, and one whose content was proved again after that', async () => {
    const one = await world.release('1');
    const two = await world.release('2');
    const again = await world.commit('shop 2 again', { 'apps/shop/rollout.yaml': 'image: shop:2\n', 'README.md': 'x\n' });
    const bad = await world.release('3');
    await bake(one);
    await bake(again);
    world.pass(1_000);
    await world.ledger.noteBad('shop', two, byAnalysis);
    expect(await lastGood(bad)).toBe(one);
    world.pass(1_000);
    await world.ledger.markGood('shop', again, { by: 'ada', reason: 'the database was to blame' });
    expect(await lastGood(bad)).toBe(again);
  });

  it('is none of another branch, and none that Git does not know', async () => {
    const one = await world.release('1');
    await bake(one);
    await world.setReachable(false);
    await world.ledger.note('shop', 'e'.repeat(40), { ...byDelivery, rank: 'proved' });
    await world.setReachable(true);
    const bad = await world.release('2');
    expect(await lastGood(bad)).toBe(one);
  });
});
