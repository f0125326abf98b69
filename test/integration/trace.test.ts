import { afterEach, beforeEach, expect, it } from 'vitest';
import { registerMemoryTracing, type FinishedSpan } from '../support/memory-tracing.ts';
import { startService } from '../support/running-service.ts';
import { GIT_TOKEN, serviceWorld, type ServiceWorld } from '../support/service-world.ts';

let world: ServiceWorld;
let finished: FinishedSpan[] = [];
let unregister: () => void;
beforeEach(async () => {
  ({ finished, unregister } = registerMemoryTracing());
  world = await serviceWorld();
});
afterEach(async () => {
  unregister();
  await world.close();
});

it('a release that is rolled back is one trace: looks, reads, judging, abort, revert, push, annotation, sync', async () => {
  world.pages.set('canary', { errorShare: 0.3 });
  const service = await startService(world.config);
  try {
    const { id } = await service.analyzed(world.bad);
    await service.rollback('recovered');
    const first = finished.find(({ attributes }) => attributes['davylamp.analysis.id'] === id);
    const names = new Set(finished.filter(({ traceId }) => traceId === first?.traceId).map(({ name }) => name));
    expect([...names].sort()).toEqual([
      'davylamp.delivery.abort',
      'davylamp.delivery.annotate',
      'davylamp.delivery.observe',
      'davylamp.delivery.sync',
      'davylamp.git.fetch',
      'davylamp.git.push',
      'davylamp.git.revert',
      'davylamp.judge',
      'davylamp.rollback',
      'davylamp.source.read',
      'davylamp.tick',
    ]);
    const judged = finished.findLast(({ name, traceId }) => name === 'davylamp.judge' && traceId === first?.traceId);
    expect(judged?.attributes).toMatchObject({ 'davylamp.judge.name': 'exact' });
    // Every read stands below the look that asked for it.
    const ticks = new Set(finished.filter(({ name }) => name === 'davylamp.tick').map(({ spanId }) => spanId));
    const reads = finished.filter(({ name }) => name === 'davylamp.source.read');
    expect(reads.filter(({ parent }) => !ticks.has(parent ?? ''))).toEqual([]);
    expect(JSON.stringify(finished)).not.toContain(GIT_TOKEN);
    expect(JSON.stringify(finished)).not.toContain('http_requests_total');
  } finally {
    await service.close();
  }
});
