import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { parseDuration, parseShare } from '../src/analysis/quantities.ts';
import { parametersOf, type Template } from '../src/analysis/template.ts';
import type { Judge, Judgement, MetricParameters } from '../src/judges/judge.ts';
import { judgeNamed } from '../src/judges/registry.ts';
import type { MetricSeries } from '../src/judges/series.ts';

/** The demo's template as a judge takes it. */
export interface Wiring {
  judge: Judge;
  parameters: ReadonlyMap<string, MetricParameters>;
  falseRollbacks: number;
  warmup: number;
  planned: number;
}

/** Reads the template file; the compiled bench lies two folders below the root of the package. */
export function readWiring(): Wiring {
  const file = new URL('../../examples/demo/template.yaml', import.meta.url);
  const template = parse(readFileSync(file, 'utf8')) as Template;
  const name = template.judge ?? 'exact';
  const judge = judgeNamed(name);
  if (judge === undefined) throw new Error(`examples/demo/template.yaml names the judge "${name}", which does not exist`);
  const every = parseDuration(template.every);
  return {
    judge,
    parameters: new Map(Object.entries(template.metrics).map(([metric, spec]) => [metric, parametersOf(spec)])),
    falseRollbacks: parseShare(template.falseRollbacks ?? '1%'),
    warmup: Math.ceil(parseDuration(template.warmup ?? '0s') / every),
    planned: Math.ceil(parseDuration(template.for) / every),
  };
}

/** Judges at every tick with all ticks so far, as the service does, until there is a verdict. */
export function judgeAsItGoes(wiring: Wiring, series: Readonly<Record<string, MetricSeries>>): Judgement {
  for (let ticks = 1; ; ticks++) {
    const judgement = wiring.judge.judge({
      metrics: [...wiring.parameters].map(([name, parameters]) => {
        const known = series[name];
        if (known === undefined) throw new Error(`the bench simulates no metric "${name}"; add it to bench/traffic.ts`);
        return { name, parameters, series: firstTicks(known, ticks) };
      }),
      falseRollbacks: wiring.falseRollbacks,
      warmup: wiring.warmup,
      planned: wiring.planned,
      ended: ticks >= wiring.planned,
    });
    if (judgement.verdict !== null) return judgement;
  }
}

function firstTicks(series: MetricSeries, ticks: number): MetricSeries {
  switch (series.type) {
    case 'proportion': {
      const first = (side: typeof series.canary) => ({ events: side.events.slice(0, ticks), total: side.total.slice(0, ticks) });
      return { ...series, canary: first(series.canary), baseline: series.baseline === null ? null : first(series.baseline) };
    }
    case 'histogram': {
      const first = (side: typeof series.canary) => ({ counts: side.counts.slice(0, ticks) });
      return { ...series, canary: first(series.canary), baseline: series.baseline === null ? null : first(series.baseline) };
    }
    case 'gauge':
      return { ...series, canary: series.canary.slice(0, ticks), baseline: series.baseline?.slice(0, ticks) ?? null };
  }
}
