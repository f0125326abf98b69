import { createHash } from 'node:crypto';
import type { MetricParameters } from '../judges/judge.ts';
import type { SourceQuery } from '../sources/port.ts';
import { fillPlain, fillSelector } from './arguments.ts';
import { parseDuration } from './quantities.ts';
import { searchOf, type SearchPart } from './search.ts';
import { parametersOf, templateDefaults, type MetricSpec, type Template } from './template.ts';

/** Which series of a metric are meant: the two sides of a comparison, or what serves everybody after a rollback. */
export type Side = 'canary' | 'baseline';

/** A template in numbers, worked out once when the application is loaded. */
export interface AnalysisPlan {
  templateName: string;
  template: Template;
  /** Names the content of the template: what was measured by one content is never judged by another. */
  digest: string;
  judge: string;
  everyMs: number;
  /** Looks of a whole analysis, warm-up included. */
  planned: number;
  warmup: number;
  falseRollbacks: number;
  recoveryTicks: number;
  metrics: readonly { name: string; spec: MetricSpec; parameters: MetricParameters }[];
}

const DEFAULT_RECOVERY_TICKS = 5;
const DIGEST_CHARACTERS = 16;

export function planOf(templateName: string, template: Template): AnalysisPlan {
  const everyMs = parseDuration(template.every);
  const { judge, falseRollbacks, warmupMs } = templateDefaults(template);
  // A period that is no whole number of ticks is rounded up; the small amount takes the error of the division back.
  const ticks = (ms: number) => Math.ceil(ms / everyMs - 1e-9);
  return {
    templateName,
    template,
    digest: createHash('sha256').update(JSON.stringify(template)).digest('hex').slice(0, DIGEST_CHARACTERS),
    judge,
    everyMs,
    planned: Math.max(1, ticks(parseDuration(template.for))),
    warmup: ticks(warmupMs),
    falseRollbacks,
    recoveryTicks:
      template.recovery === undefined ? DEFAULT_RECOVERY_TICKS : Math.max(1, ticks(parseDuration(template.recovery.for))),
    metrics: Object.entries(template.metrics).map(([name, spec]) => ({ name, spec, parameters: parametersOf(spec) })),
  };
}

interface Part {
  part: 'total' | 'events' | 'buckets' | 'value';
  shape: SourceQuery['shape'];
  query: { counter: string } | { gauge: string; aggregate?: SourceQuery['aggregate'] } | { query: string } | SearchPart;
}

function partsOf(spec: MetricSpec): Part[] {
  switch (spec.type) {
    case 'proportion':
      return [
        { part: 'total', shape: 'counter', query: spec.total },
        { part: 'events', shape: 'counter', query: spec.events },
      ];
    case 'histogram':
      return [{ part: 'buckets', shape: 'buckets', query: spec.buckets }];
    case 'gauge':
      return [{ part: 'value', shape: 'gauge', query: spec.value }];
  }
}

export function queryId(metric: string, side: Side, part: string): string {
  return `${metric}/${side}/${part}`;
}

/**
 * Everything that one tick asks, grouped by source.
 *
 * @param sides which selectors of the template are asked, and under which name of a side the answers come back
 * @throws CodedError `argument_missing`, `argument_unsafe`
 */
export function queriesOf(
  plan: AnalysisPlan,
  values: Readonly<Record<string, string>>,
  sides: readonly { side: Side; labels: Readonly<Record<string, string>> }[],
): Map<string, SourceQuery[]> {
  const bySource = new Map<string, SourceQuery[]>();
  for (const { name, spec } of plan.metrics) {
    const queries = bySource.get(spec.source) ?? [];
    bySource.set(spec.source, queries);
    for (const { side, labels } of sides) {
      const filledLabels = Object.fromEntries(Object.entries(labels).map(([label, text]) => [label, fillPlain(text, values)]));
      for (const { part, shape, query } of partsOf(spec)) {
        const paired = part === 'total' || part === 'events' ? { pair: { metric: name, side, part } } : {};
        const asked = { id: queryId(name, side, part), shape, labels: filledLabels, finished: 'query' in query, ...paired };
        if ('search' in query) {
          queries.push({ ...asked, text: '', aggregate: 'avg', search: searchOf(query, values) });
          continue;
        }
        const text = 'counter' in query ? query.counter : 'gauge' in query ? query.gauge : query.query;
        queries.push({
          ...asked,
          text: fillSelector(text, values),
          aggregate: ('aggregate' in query ? query.aggregate : undefined) ?? 'avg',
        });
      }
    }
  }
  return bySource;
}
