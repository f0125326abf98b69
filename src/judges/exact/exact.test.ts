import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Generator } from '../../../bench/generator.ts';
import type { Judgement, JudgeTask, MetricParameters } from '../judge.ts';
import type { GaugeSeries, HistogramSeries, MetricSeries, ProportionSeries } from '../series.ts';
import { exactJudge } from './exact.ts';

const PARAMETERS: MetricParameters = {
  tolerate: 0.1,
  limit: null,
  quantileLimits: [],
  passBelow: 0.001,
  role: 'normal',
};
const BOUNDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];

interface Given {
  name?: string;
  series: MetricSeries;
  parameters?: Partial<MetricParameters>;
}

function judge(metrics: Given | readonly Given[], rest: Partial<JudgeTask> = {}): Judgement {
  const list = Array.isArray(metrics) ? (metrics as readonly Given[]) : [metrics as Given];
  return exactJudge.judge({
    metrics: list.map(({ name, series, parameters }) => ({
      name: name ?? 'errors',
      parameters: { ...PARAMETERS, ...parameters },
      series,
    })),
    falseRollbacks: 0.01,
    warmup: 0,
    planned: 30,
    ended: true,
    ...rest,
  });
}

/** The same counts in every tick. */
function steady(ticks: number, canary: [number, number], baseline: [number, number] | null): ProportionSeries {
  const side = ([events, total]: [number, number]) => ({
    events: Array.from({ length: ticks }, () => events),
    total: Array.from({ length: ticks }, () => total),
  });
  return { type: 'proportion', canary: side(canary), baseline: baseline === null ? null : side(baseline) };
}

function poissonErrors(seed: number, ticks: number, canaryRate: number, baselineRate: number, requests = 60): ProportionSeries {
  const random = new Generator(seed);
  const series = steady(ticks, [0, requests], [0, requests * 9]);
  for (let tick = 0; tick < ticks; tick++) {
    series.canary.events[tick] = Math.min(requests, random.poisson(requests * canaryRate));
    if (series.baseline !== null) series.baseline.events[tick] = random.poisson(requests * 9 * baselineRate);
  }
  return series;
}

function latencies(seed: number, ticks: number, slower: number, median = 0.03, requests = 60): HistogramSeries {
  const random = new Generator(seed);
  const row = (count: number, factor: number): number[] => {
    const counts = [...BOUNDS, Infinity].map(() => 0);
    for (let i = 0; i < count; i++) {
      const seconds = median * factor * Math.exp(0.5 * random.normal());
      const bucket = BOUNDS.findIndex((bound) => seconds <= bound);
      const index = bucket < 0 ? BOUNDS.length : bucket;
      counts[index] = (counts[index] ?? 0) + 1;
    }
    return counts;
  };
  const rows = (count: number, factor: number) => ({ counts: Array.from({ length: ticks }, () => row(count, factor)) });
  return { type: 'histogram', bounds: BOUNDS, canary: rows(requests, slower), baseline: rows(requests * 9, 1) };
}

function values(seed: number, ticks: number, ratio: number, spread = 0.03): GaugeSeries {
  const random = new Generator(seed);
  const side = (factor: number) => Array.from({ length: ticks }, () => 40 * factor * Math.exp(spread * random.normal()));
  return { type: 'gauge', canary: side(ratio), baseline: side(1) };
}

describe('a proportion', () => {
  it('fails a release with three times the errors, in words a person can read', () => {
    const judgement = judge({ series: steady(30, [4, 60], [11, 540]) });
    expect(judgement).toMatchObject({ verdict: 'fail', code: 'worse_than_baseline', decidedBy: 'errors', confounded: false });
    expect(judgement.tick).toBeLessThan(8);
    expect(judgement.sentence).toMatch(
      /^errors: canary 6\.7 % against 2\.0 % in the baseline, 3\.3 times as many \(\d\.\d to \d+(\.\d)?\), over [\d,]+ and [\d,]+ requests$/,
    );
    const [metric] = judgement.metrics;
    expect(metric?.eValue.value).toBeGreaterThanOrEqual(metric?.eValue.needed ?? Infinity);
    expect(metric?.effect.kind).toBe('rate-ratio');
  });

  it('is undecided while ticks are to come, and passes at the end when nothing is wrong', () => {
    const series = steady(30, [12, 600], [108, 5_400]);
    expect(judge({ series: steady(10, [12, 600], [108, 5_400]) }, { ended: false })).toMatchObject({ verdict: null, tick: null });
    expect(judge({ series }, { ended: false }).verdict).toBe('pass');
    expect(judge({ series }).sentence).toContain('95 % bound');
  });

  it('passes a canary that is surely below passBelow, whatever the ratio', () => {
    const judgement = judge({ series: steady(30, [0, 600], [0, 5_400]) });
    expect(judgement).toMatchObject({ verdict: 'pass', code: 'negligible' });
    expect(judgement.metrics[0]?.effect).toEqual({ kind: 'rate-ratio', estimate: null, low: null, high: null });
  });

  it('ends inconclusive on too little traffic and says what could have been seen', () => {
    const judgement = judge({ series: steady(30, [0, 1], [0, 9]) });
    expect(judgement).toMatchObject({ verdict: 'inconclusive', code: 'not_enough_data' });
    expect(judgement.sentence).toMatch(/could have shown/);
  });

  it('works with all events on one side', () => {
    expect(judge({ series: steady(30, [6, 60], [0, 540]) })).toMatchObject({ verdict: 'fail' });
    expect(judge({ series: steady(30, [6, 60], [0, 540]) }).sentence).toContain('at least');
    expect(judge({ series: steady(30, [0, 60], [54, 540]) })).toMatchObject({ verdict: 'pass' });
  });

  it('needs more than one tick, however bad it is', () => {
    const series = steady(10, [1, 60], [9, 540]);
    series.canary.events[5] = 60;
    expect(judge({ series }, { ended: false }).verdict).toBeNull();
  });

  it('calls it marginal when the evidence is between a tenth and all of what a fail needs', () => {
    const verdicts = new Set<unknown>();
    for (let events = 9; events < 30; events++) {
      const series = steady(1, [events, 300], [40, 2_700]);
      for (let tick = 0; tick < 3; tick++) {
        series.canary.events.push(events);
        series.canary.total.push(300);
        series.baseline?.events.push(40);
        series.baseline?.total.push(2_700);
      }
      const judgement = judge({ series });
      const share = (judgement.metrics[0]?.eValue.value ?? 0) / (judgement.metrics[0]?.eValue.needed ?? 1);
      verdicts.add(judgement.verdict);
      expect(judgement.verdict === 'fail').toBe(share >= 1);
      expect(judgement.verdict === 'marginal').toBe(share >= 0.1 && share < 1);
    }
    expect([...verdicts]).toEqual(expect.arrayContaining(['fail', 'marginal']));
  });

  it('treats more events than total as missing, not as a total failure', () => {
    const judgement = judge({ series: steady(30, [61, 60], [0, 540]) });
    expect(judgement).toMatchObject({ verdict: 'inconclusive', code: 'no_data', tick: null });
    expect(judgement.sentence).toContain('more events than its total in 30 ticks');
  });

  it('does not pass on a few ticks of data out of many', () => {
    const series = steady(30, [12, 6_000], [108, 54_000]);
    series.canary.total.fill(null, 8);
    expect(judge({ series })).toMatchObject({ verdict: 'inconclusive' });
    expect(judge({ series }).sentence).toContain('missing in 22 of 30 ticks');
  });
});

describe('limits', () => {
  const limited = (canary: [number, number], baseline: [number, number] | null) =>
    judge({ series: steady(30, canary, baseline), parameters: { limit: 0.05, tolerate: 10 } });

  it('fail a canary above the limit while the baseline is below it', () => {
    const judgement = limited([8, 60], [11, 540]);
    expect(judgement).toMatchObject({ verdict: 'fail', code: 'above_limit' });
    expect(judgement.sentence).toContain('above the limit of 5 %');
  });

  it('do not fail a release for a fault that both sides share', () => {
    const judgement = limited([8, 60], [72, 540]);
    expect(judgement).toMatchObject({ verdict: 'inconclusive', code: 'environment_unhealthy' });
  });

  it('hardly ever fail a release for a shared fault that lies just at the limit', () => {
    let failed = 0;
    for (let seed = 0; seed < 200; seed++) {
      const series = poissonErrors(seed, 30, 0.055, 0.055);
      if (judge({ series, parameters: { limit: 0.05 } }).verdict === 'fail') failed += 1;
    }
    expect(failed).toBeLessThanOrEqual(4);
  });

  it('cannot fail while a configured baseline has no data', () => {
    const series = steady(30, [30, 60], [0, 0]);
    expect(judge({ series, parameters: { limit: 0.05 } })).toMatchObject({ verdict: 'inconclusive', code: 'no_data' });
  });

  it('are all there is without a baseline, and the judgement is marked as confounded', () => {
    expect(limited([8, 60], null)).toMatchObject({ verdict: 'fail', code: 'above_limit', confounded: true });
    expect(limited([0, 60], null)).toMatchObject({ verdict: 'pass', confounded: true });
    expect(judge({ series: steady(30, [30, 60], null) })).toMatchObject({ verdict: 'inconclusive', code: 'no_baseline' });
  });

  it('hold for quantiles of a histogram', () => {
    const slow = judge(
      { series: latencies(1, 30, 8), parameters: { tolerate: 20, quantileLimits: [{ quantile: 0.99, value: 0.5 }] } },
      { warmup: 3 },
    );
    expect(slow).toMatchObject({ verdict: 'fail', code: 'above_limit' });
    expect(slow.sentence).toMatch(/took longer than 500 ms, above the 1 % that p99 <= 500 ms allows/);
    const shared = latencies(2, 30, 1, 0.4);
    expect(
      judge({ series: shared, parameters: { quantileLimits: [{ quantile: 0.99, value: 0.5 }] } }, { warmup: 3 }),
    ).toMatchObject({
      verdict: 'inconclusive',
      code: 'environment_unhealthy',
    });
  });

  it('hold for gauges', () => {
    const given = (ratio: number, limit: number) => ({ series: values(3, 30, ratio), parameters: { tolerate: 10, limit } });
    expect(judge(given(2, 60))).toMatchObject({ verdict: 'fail', code: 'above_limit' });
    expect(judge(given(2, 30))).toMatchObject({ verdict: 'inconclusive', code: 'environment_unhealthy' });
    expect(judge(given(1, 60))).toMatchObject({ verdict: 'pass' });
  });
});

describe('a histogram', () => {
  it('fails a slower canary and names the bound', () => {
    const judgement = judge({ name: 'latency', series: latencies(4, 30, 1.8), parameters: { tolerate: 0.25 } }, { warmup: 3 });
    expect(judgement).toMatchObject({ verdict: 'fail', code: 'worse_than_baseline' });
    expect(judgement.sentence).toMatch(/^latency: slower than \d+ ms: canary \d/);
  });

  it('passes one that is as fast', () => {
    expect(judge({ series: latencies(5, 30, 1), parameters: { tolerate: 0.25 } }, { warmup: 3 }).verdict).toBe('pass');
  });

  it('chooses its bounds from the first judged tick when there is no warm-up', () => {
    const judgement = judge({ series: latencies(6, 30, 1.8), parameters: { tolerate: 0.25 } });
    expect(judgement.verdict).toBe('fail');
    expect(judgement.tick).toBeGreaterThan(0);
  });

  it('sees a service slow down that answers everything within the first bucket', () => {
    const judgement = judge({ series: latencies(7, 30, 20, 0.0005), parameters: { tolerate: 0.25 } }, { warmup: 3 });
    expect(judgement.verdict).toBe('fail');
  });

  it('takes histograms that cannot be read for missing', () => {
    const short = latencies(8, 30, 3);
    short.canary.counts = short.canary.counts.map((row) => row?.slice(1) ?? null);
    expect(judge({ series: short })).toMatchObject({ verdict: 'inconclusive', code: 'no_data' });
    const unsorted = { ...latencies(8, 30, 3), bounds: [...BOUNDS].reverse() };
    expect(judge({ series: unsorted })).toMatchObject({ verdict: 'inconclusive', code: 'no_data' });
  });
});

describe('a gauge', () => {
  it('fails a canary that lies far above and passes one that does not', () => {
    expect(judge({ name: 'cpu', series: values(1, 30, 1.6) })).toMatchObject({ verdict: 'fail', code: 'worse_than_baseline' });
    expect(judge({ name: 'cpu', series: values(1, 30, 1.6) }).sentence).toMatch(
      /^cpu: canary \d+\.?\d* against .* 1\.[56]\d times as much/,
    );
    expect(judge({ name: 'cpu', series: values(2, 30, 1) })).toMatchObject({ verdict: 'pass' });
  });

  it('takes values that are not positive for missing, with the reason', () => {
    const series: GaugeSeries = { type: 'gauge', canary: [-5, 0, 3], baseline: [1, 1, 1] };
    const [metric] = judge({ series }).metrics;
    expect(metric?.traffic).toMatchObject({ ticks: 1, missing: 2 });
    const none: GaugeSeries = { type: 'gauge', canary: [-5, 0], baseline: [1, 1] };
    expect(judge({ series: none }).sentence).toContain('not positive');
  });
});

describe('several metrics', () => {
  it('share one budget: each alone needs more evidence', () => {
    const series = steady(30, [4, 60], [11, 540]);
    const quiet = steady(30, [11, 600], [11, 600]);
    const alone = judge({ series });
    const together = judge([{ series }, ...['b', 'c', 'd'].map((name) => ({ name, series: quiet }))]);
    expect(together.verdict).toBe('fail');
    expect(together.tick ?? 0).toBeGreaterThan(alone.tick ?? 0);
    expect(together.metrics[0]?.eValue.needed).toBeCloseTo(400, 6);
    expect(together.decidedBy).toBe('errors');
  });

  it('never fail by a metric that is report-only', () => {
    const bad = { name: 'bad', series: steady(30, [40, 60], [11, 540]), parameters: { role: 'report-only' as const } };
    const good = { name: 'good', series: steady(30, [12, 600], [108, 5_400]) };
    const judgement = judge([bad, good]);
    expect(judgement.verdict).toBe('pass');
    expect(judgement.metrics[0]?.eValue.value).toBeGreaterThan(1_000);
    expect(judge(bad)).toMatchObject({ verdict: 'inconclusive', code: 'no_data' });
  });

  it('do not pass while one of them has no data', () => {
    const good = { name: 'good', series: steady(30, [12, 600], [108, 5_400]) };
    const empty = { name: 'empty', series: steady(30, [0, 0], [0, 0]) };
    expect(judge([good, empty])).toMatchObject({ verdict: 'inconclusive', code: 'no_data', decidedBy: 'empty' });
  });

  it('are confounded only where the fail needs a metric without a baseline', () => {
    const clear = { name: 'clear', series: steady(30, [30, 60], [11, 540]) };
    const blind = { name: 'blind', series: steady(30, [30, 60], null), parameters: { limit: 0.05 } };
    expect(judge(blind).confounded).toBe(true);
    expect(judge([clear, { ...blind, series: steady(30, [0, 60], null) }])).toMatchObject({ verdict: 'fail', confounded: false });
  });

  it('without any metric nothing is decided', () => {
    expect(judge([])).toMatchObject({ verdict: 'inconclusive', code: 'no_data', tick: null });
  });
});

describe('whatever comes in', () => {
  const strange = fc.oneof(
    fc.constant(null),
    fc.constantFrom(Number.NaN, Infinity, -Infinity, -1, -1e9, 1e300, Number.MAX_VALUE, -0.5),
  );
  const array = fc.array(strange, { maxLength: 12 });

  it('NaN, infinities, negative and absurd numbers never fail a release', () => {
    const fine = steady(12, [1, 60], [9, 540]);
    fc.assert(
      fc.property(array, array, array, array, fc.boolean(), (a, b, c, d, mixed) => {
        const side = (events: (number | null)[], total: (number | null)[]) => ({ events, total });
        const proportion: ProportionSeries = {
          type: 'proportion',
          canary: side(a, mixed ? fine.canary.total : b),
          baseline: mixed ? fine.baseline : side(c, d),
        };
        const gauge: GaugeSeries = {
          type: 'gauge',
          canary: a,
          baseline: c,
        };
        const rows = (list: (number | null)[]) => ({ counts: list.map((x) => (x === null ? null : [x, 5, x])) });
        const histogram: HistogramSeries = { type: 'histogram', bounds: [0.1, 0.5], canary: rows(a), baseline: rows(c) };
        for (const series of [proportion, gauge, histogram]) {
          const judgement = judge({ series, parameters: { limit: 0.05, quantileLimits: [{ quantile: 0.5, value: 0.1 }] } });
          expect(judgement.verdict).not.toBe('fail');
          expect(judgement.verdict).not.toBe('pass');
          expect(JSON.parse(JSON.stringify(judgement))).toEqual(judgement);
        }
      }),
    );
  });

  it('a tick that cannot be read is the same as a missing tick', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 29 }), strange, (tick, value) => {
        const broken = poissonErrors(5, 30, 0.06, 0.02);
        const missing = structuredClone(broken);
        broken.canary.total[tick] = value;
        missing.canary.total[tick] = null;
        const [a, b] = [judge({ series: broken }), judge({ series: missing })];
        expect([a.verdict, a.tick, a.metrics[0]?.eValue]).toEqual([b.verdict, b.tick, b.metrics[0]?.eValue]);
      }),
    );
  });

  it('no traffic is inconclusive, never a pass and never a fail', () => {
    for (const series of [steady(30, [0, 0], [0, 0]), steady(0, [0, 0], [0, 0]), steady(30, [0, 0], null)]) {
      expect(judge({ series, parameters: { limit: 0.05 } })).toMatchObject({
        verdict: 'inconclusive',
        code: 'no_data',
        tick: null,
      });
    }
  });

  it('an odd share of false rollbacks never fails a release that nothing speaks against', () => {
    for (const falseRollbacks of [0, 1, 5, Number.NaN]) {
      expect(judge({ series: steady(30, [12, 600], [108, 5_400]) }, { falseRollbacks }).verdict).not.toBe('fail');
    }
  });
});

describe('ticks', () => {
  it('appended later never change an earlier verdict', () => {
    fc.assert(
      fc.property(fc.integer(), fc.constantFrom(0.02, 0.05, 0.08), fc.constantFrom(1, 1.6, 2), (seed, rate, slower) => {
        const errors = poissonErrors(seed, 34, rate, 0.02);
        const latency = latencies(seed + 1, 34, slower, 0.03, 20);
        const cpu = values(seed + 2, 34, slower, 0.1);
        let decided: Judgement | null = null;
        for (let ticks = 1; ticks <= 34; ticks++) {
          const judgement = judge(
            [
              { name: 'errors', series: first(errors, ticks), parameters: { limit: 0.05 } },
              { name: 'latency', series: first(latency, ticks), parameters: { quantileLimits: [{ quantile: 0.9, value: 0.1 }] } },
              { name: 'cpu', series: first(cpu, ticks) },
            ],
            { ended: false, warmup: 2 },
          );
          if (decided !== null) expect(judgement).toEqual(decided);
          if (judgement.verdict !== null) decided = judgement;
        }
        expect(decided?.tick).toBeLessThan(30);
      }),
      { numRuns: 15 },
    );
  });

  it('of the warm-up are not judged', () => {
    const series = poissonErrors(9, 30, 0.02, 0.02, 600);
    for (let tick = 0; tick < 5; tick++) series.canary.events[tick] = 500;
    expect(judge({ series }, { warmup: 5 }).verdict).toBe('pass');
    expect(judge({ series }, { warmup: 0 }).verdict).toBe('fail');
  });

  it('the order of the metrics does not matter', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.constantFrom(0.02, 0.05),
        fc.shuffledSubarray([0, 1, 2], { minLength: 3, maxLength: 3 }),
        (seed, rate, order) => {
          const metrics = [
            { name: 'a', series: poissonErrors(seed, 30, rate, 0.02) },
            { name: 'b', series: poissonErrors(seed + 1, 30, rate, 0.02) },
            { name: 'c', series: values(seed + 2, 30, 1.2) },
          ];
          const [plain, permuted] = [judge(metrics), judge(order.flatMap((i) => metrics[i] ?? []))];
          expect([permuted.verdict, permuted.tick, permuted.decidedBy]).toEqual([plain.verdict, plain.tick, plain.decidedBy]);
        },
      ),
      { numRuns: 25 },
    );
  });

  it('the unit of a gauge and of latency does not matter', () => {
    const series = values(4, 30, 1.4);
    const scaled: GaugeSeries = {
      ...series,
      canary: series.canary.map((value) => (value ?? 0) * 1_024),
      baseline: series.baseline?.map((value) => (value ?? 0) * 1_024) ?? null,
    };
    const [a, b] = [judge({ series }).metrics[0]?.eValue.value ?? 0, judge({ series: scaled }).metrics[0]?.eValue.value ?? 1];
    expect(b / a).toBeCloseTo(1, 9);
    const histogram = latencies(4, 30, 1.5);
    const minutes = { ...histogram, bounds: histogram.bounds.map((bound) => bound / 60) };
    expect(judge({ series: minutes }, { warmup: 3 }).tick).toBe(judge({ series: histogram }, { warmup: 3 }).tick);
  });

  it('with the sides changed over, a release that fails does not fail', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const series = poissonErrors(seed, 30, 0.08, 0.02);
        const turned: ProportionSeries = { ...series, canary: series.baseline ?? series.canary, baseline: series.canary };
        expect(judge({ series }).verdict).toBe('fail');
        expect(judge({ series: turned }).verdict).not.toBe('fail');
      }),
      { numRuns: 20 },
    );
  });

  it('cost the same each: 4,000 ticks are judged in well under a second', () => {
    const began = performance.now();
    judge({ series: poissonErrors(1, 4_000, 0.02, 0.02) }, { planned: 4_000 });
    expect(performance.now() - began).toBeLessThan(1_500);
  });
});

describe('the stated rate of false rollbacks', () => {
  it('holds at what is just tolerated, with three metrics, looking at every tick', () => {
    const runs = 250;
    let failed = 0;
    for (let run = 0; run < runs; run++) {
      const judgement = judge(
        [
          { name: 'errors', series: poissonErrors(run * 3, 30, 0.022, 0.02), parameters: { limit: 0.05 } },
          { name: 'timeouts', series: poissonErrors(run * 3 + 1, 30, 0.33, 0.3) },
          { name: 'latency', series: latencies(run * 3 + 2, 30, 1, 0.03, 15) },
        ],
        { falseRollbacks: 0.1, warmup: 3 },
      );
      if (judgement.verdict === 'fail') failed += 1;
    }
    expect(failed / runs).toBeLessThanOrEqual(0.1);
  });
});

function first(series: MetricSeries, ticks: number): MetricSeries {
  switch (series.type) {
    case 'proportion': {
      const cut = (side: ProportionSeries['canary']) => ({
        events: side.events.slice(0, ticks),
        total: side.total.slice(0, ticks),
      });
      return { ...series, canary: cut(series.canary), baseline: series.baseline === null ? null : cut(series.baseline) };
    }
    case 'histogram': {
      const cut = (side: HistogramSeries['canary']) => ({ counts: side.counts.slice(0, ticks) });
      return { ...series, canary: cut(series.canary), baseline: series.baseline === null ? null : cut(series.baseline) };
    }
    case 'gauge':
      return { ...series, canary: series.canary.slice(0, ticks), baseline: series.baseline?.slice(0, ticks) ?? null };
  }
}
