import { setTimeout as sleep } from 'node:timers/promises';
import type { Analysis } from '../../../src/analysis/record.ts';
import type { Rollback } from '../../../src/rollback/record.ts';
import type { LogLine } from '../../support/service-process.ts';
import { must, until, type PlayEntry } from './plays.ts';
import { onServices, type Service, type ServiceStage } from './service-stage.ts';

/*
 * A Redis that forgets everything, or takes no more, in the middle of a rollback. Two whole services work on it; the
 * remote is held at a moment of the push, or the rollout refuses, so that the moment is exact.
 */
const PROCESSES = 2;
/** A bad release fails as soon as there is evidence, however busy the machine is. */
const LONG_ENOUGH = '20s';
const HELD_FOR_MS = 3_000;
const FULL_FOR_MS = 3_000;
const ENDED: ReadonlySet<string> = new Set(['recovered', 'not_recovered', 'failed']);

type Moment = 'before the push' | 'during the push' | 'after the push' | 'after the record';
const MOMENTS: readonly Moment[] = ['before the push', 'during the push', 'after the push', 'after the record'];

/** Brings a rollback of the bad release to the moment and keeps it there. */
async function reach(
  { world, gate, services }: ServiceStage,
  moment: Moment,
): Promise<{ id: string; goOn: () => Promise<void> }> {
  const [{ api }] = services;
  world.pages.set('canary', { errorShare: 0.3 });
  const now = async () => (await api.call<{ items: Rollback[] }>('GET', '/api/v1/rollbacks')).body.items[0];
  const id = async () => (await now())?.id ?? '';
  if (moment === 'during the push' || moment === 'after the push') {
    const held = await gate.hold(moment === 'during the push' ? 'update' : 'post-receive');
    await api.analyze(world.bad);
    await held.arrived();
    return { id: await id(), goOn: held.release };
  }
  if (moment === 'before the push') world.rollout.answerWith(503);
  const held = await gate.hold('post-receive');
  await api.analyze(world.bad);
  if (moment === 'before the push') {
    await held.release();
    await until('the abort is refused', async () => (await now())?.problem?.code === 'delivery_failed');
  } else {
    await held.arrived();
    world.rollout.answerWith(503);
    await held.release();
    await until('the revert is on record', async () => (await now())?.state === 'pushed');
  }
  return { id: await id(), goOn: async () => world.rollout.answerWith(null) };
}

async function page({ address }: Service, path: string): Promise<string> {
  return (await fetch(`${address}${path}`)).text();
}

/** The end of the rollback, wherever it is asked for; exactly one revert says so in Git. */
async function ends({ services, reverts, world }: ServiceStage, id: string): Promise<Rollback> {
  let known: Rollback[] = [];
  await until('the rollback ends', async () => {
    const pages = await Promise.all(
      services.map(({ api }) => api.call<{ items?: Rollback[] }>('GET', '/api/v1/rollbacks').catch(() => null)),
    );
    known = pages.flatMap((each) => each?.body.items ?? []);
    return known.length === services.length && known.every(({ state }) => ENDED.has(state));
  });
  const [rollback] = known;
  const made = await reverts();
  must(made.length === 1, `${made.length} reverts are on the branch`);
  must(
    known.every((each) => each.id === id && each.revertCommit === made[0]?.sha),
    'the record names another commit or rollback',
  );
  must((await world.fileOnRemote('apps/shop/rollout.yaml')).includes('1.1.0'), 'the good content is not on the branch');
  if (rollback === undefined) throw new Error('no rollback is known');
  return rollback;
}

/** A step that failed for it may say so before the process has taken the new data set up. */
const isLoss = ({ msg }: LogLine) => msg.startsWith('the store was emptied');

function emptied(moment: Moment, lose: (stage: ServiceStage) => Promise<void>): (stage: ServiceStage) => Promise<string> {
  return async (stage) => {
    const { world, services, reverts } = stage;
    const [{ api }] = services;
    const { id, goOn } = await reach(stage, moment);
    // Git cannot be read for now, so that what waits for it is seen to wait.
    world.git.fault('unavailable');
    const from = performance.now();
    await lose(stage);
    await Promise.all(services.map(({ logged }) => logged(isLoss)));
    const noticed = performance.now() - from;
    for (const service of services) {
      const metrics = await page(service, '/metrics');
      must(metrics.includes('davylamp_condition{part="reconciled",code="state_lost"} 0'), 'the metrics do not say state_lost');
      must((await page(service, '/readyz?verbose')).includes('[!]reconciled:'), '/readyz does not say that rollbacks wait');
    }
    await goOn();
    // A push that was let in has arrived; everything after it waits.
    await sleep(HELD_FOR_MS);
    const before = (await reverts()).length;
    const again = await api.analyzed(world.bad);
    must(again.rollback === null || again.rollback === id, `the same release led to another rollback ${String(again.rollback)}`);
    await sleep(HELD_FOR_MS);
    must((await reverts()).length === before, 'something was rolled back before Git was read');
    world.git.fault(null);
    const rollback = await ends(stage, id);
    // Told once more: it is known.
    const last = await api.analyzed(world.bad);
    must(last.rollback === id || last.verdict !== 'fail', 'a release that was rolled back led to something else');
    must((await reverts()).length === 1, 'it was rolled back twice');
    return `state_lost after ${noticed.toFixed(0)} ms, then ${rollback.state} (${rollback.code}), one revert`;
  };
}

const UNREAD = 'repository deploy could not be compared with the store';
/** After so many failures the next reading is 8 s away, the next step of a rollback 5 s at most. */
const FAILED_READINGS = 5;

/** Git answers again, and it is not read yet: now only the named state holds what was decided anew. */
async function emptiedUnread(stage: ServiceStage): Promise<string> {
  const { world, services, admin, reverts } = stage;
  const [service] = services;
  const { id, goOn } = await reach(stage, 'before the push');
  world.git.fault('unavailable');
  const from = service.log.length;
  await admin.flushall();
  await service.logged(isLoss, from);
  await goOn();
  const again = await service.api.analyzed(world.bad);
  must(again.rollback === id, `the same release led to ${String(again.rollback)} (${again.verdict}, ${again.code})`);
  const failures = () => service.log.slice(from).filter(({ msg }) => msg.startsWith(UNREAD)).length;
  await until('Git was tried again and again', async () => failures() >= FAILED_READINGS);
  world.git.fault(null);
  await until('the rollback says what it waits for', async () => {
    const { problem } = (await service.api.call<Rollback>('GET', `/api/v1/rollbacks/${id}`)).body;
    return problem?.code === 'state_lost';
  });
  must((await reverts()).length === 0, 'it was rolled back before Git was read');
  const rollback = await ends(stage, id);
  return `held with the code state_lost, then ${rollback.state}, one revert`;
}

function filled(moment: Moment): (stage: ServiceStage) => Promise<string> {
  return async (stage) => {
    const { world, services, admin, reverts } = stage;
    const [{ api }] = services;
    const { id, goOn } = await reach(stage, moment);
    const { analysis } = (await api.call<Rollback>('GET', `/api/v1/rollbacks/${id}`)).body;
    await admin.config('SET', 'maxmemory', '1mb');
    const refused = await api.call('POST', '/api/v1/analyses', { application: 'shop', revision: world.bad });
    must(refused.status === 503, `an analysis was answered with ${refused.status} while Redis was full`);
    await until('the full Redis has its name', async () => {
      const metrics = await page(services[0], '/metrics');
      return metrics.includes('davylamp_condition{part="store",code="store_full"} 0');
    });
    must((await page(services[0], '/readyz?verbose')).includes('(store_full)'), '/readyz does not say that the store is full');
    await goOn();
    await sleep(FULL_FOR_MS);
    must((await reverts()).length <= 1, 'it was rolled back twice');
    await admin.config('SET', 'maxmemory', '0');
    const from = performance.now();
    const rollback = await ends(stage, id);
    const took = performance.now() - from;
    // A busy machine may not be able to measure the recovery.
    const over = rollback.state === 'recovered' || rollback.code === 'recovery_unmeasured';
    must(over, `it ended as ${rollback.state} (${rollback.code}): ${rollback.sentence}`);
    const { body } = await api.call<Analysis>('GET', `/api/v1/analyses/${analysis ?? ''}`);
    must(body.rollback === id && body.endedAt !== null, 'the analysis was lost');
    const journal = (await api.call<{ items: { event: string }[] }>('GET', `/api/v1/rollbacks/${id}/journal`)).body.items;
    const pushed = journal.filter(({ event }) => event === 'rollback.pushed').length;
    must(pushed === 1, `the journal has the push ${pushed} times`);
    return `named store_full, ended ${(took / 1_000).toFixed(1)} s after there was room, one revert, nothing lost`;
  };
}

const NO_FILE = { appendonly: 'no' };
const WAYS = [
  { name: 'FLUSHALL', redis: {}, lose: async ({ admin }: ServiceStage) => void (await admin.flushall()) },
  {
    name: 'restart without AOF',
    redis: NO_FILE,
    lose: async ({ server }: ServiceStage) => {
      await server.kill();
      await server.start();
    },
  },
];

export const ROLLBACK_PLAYS: readonly PlayEntry[] = [
  ...WAYS.flatMap(({ name, redis, lose }) =>
    MOMENTS.map((moment) => ({
      name: `${name} in a rollback, ${moment}`,
      perform: () => onServices({ processes: PROCESSES, redis, for: LONG_ENOUGH }, emptied(moment, lose)),
    })),
  ),
  { name: 'FLUSHALL in a rollback, Git unread', perform: () => onServices({ processes: 1, for: LONG_ENOUGH }, emptiedUnread) },
  ...MOMENTS.map((moment) => ({
    name: `a full Redis in a rollback, ${moment}`,
    perform: () => onServices({ processes: PROCESSES, for: LONG_ENOUGH }, filled(moment)),
  })),
];
