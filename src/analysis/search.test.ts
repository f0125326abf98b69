import { describe, expect, it } from 'vitest';
import { planOf, queriesOf } from './plan.ts';
import { searchOf } from './search.ts';
import type { Template } from './template.ts';

const index = 'logs-${team}-*';
const template: Template = {
  every: '1m',
  for: '10m',
  canary: { track: 'canary', revision: '${revision}' },
  baseline: { track: 'stable' },
  metrics: {
    errors: {
      type: 'proportion',
      source: 'logs',
      total: { search: { index, filter: { term: { service: '${service}' } } } },
      events: { search: { index, filter: { term: { status: 500 } }, timeField: 'at' } },
    },
    latency: {
      type: 'histogram',
      source: 'logs',
      buckets: { search: { index, field: 'event.duration', bounds: [1e8, 5e8], unit: 'ns' } },
    },
    heap: { type: 'gauge', source: 'logs', value: { search: { index, field: 'heap' } } },
    slowest: { type: 'gauge', source: 'logs', value: { search: { index, field: 'took', percentile: 99 } } },
  },
};
const values = { team: 'shop', service: 'cart"]}', revision: 'abc' };

describe('the searches of a template', () => {
  const asked = queriesOf(planOf('logs', template), values, [
    { side: 'canary', labels: template.canary },
    { side: 'baseline', labels: template.baseline ?? {} },
  ]).get('logs');
  const search = (id: string) => asked?.find((query) => query.id === id)?.search;

  it('are asked for both sides, with the labels of the side beside the filter', () => {
    expect(asked).toHaveLength(10);
    expect(asked?.[0]).toEqual({
      id: 'errors/canary/total',
      pair: { metric: 'errors', side: 'canary', part: 'total' },
      shape: 'counter',
      text: '',
      finished: false,
      labels: { track: 'canary', revision: 'abc' },
      aggregate: 'avg',
      search: {
        index: 'logs-shop-*',
        timeField: '@timestamp',
        filter: { term: { service: 'cart"]}' } },
        measure: { kind: 'documents' },
      },
    });
    expect(search('errors/baseline/events')).toMatchObject({ timeField: 'at' });
  });

  it('measure what the metric needs', () => {
    expect(search('latency/canary/buckets')).toMatchObject({
      filter: null,
      measure: { kind: 'buckets', field: 'event.duration', bounds: [1e8, 5e8], perSecond: 1e9 },
    });
    expect(search('heap/canary/value')?.measure).toEqual({ kind: 'stat', field: 'heap', stat: 'avg' });
    expect(search('slowest/canary/value')?.measure).toEqual({ kind: 'percentile', field: 'took', percentile: 99 });
  });

  it.each(['*', 'a,b', '-a', '_all', 'other:logs', 'A', 'a*', '<now>', ''])(
    'take no argument such as %j in the name of an index',
    (team) => {
      expect(() => searchOf({ search: { index } }, { team })).toThrow(expect.objectContaining({ code: 'argument_unsafe' }));
    },
  );
});
