import { Type, type Static } from 'typebox';

/**
 * Measurements of one metric, one entry a tick, both sides aligned by index. `null` is a missing measurement,
 * which is never the same as 0. The same shape is stored between ticks, judged, and accepted inline by the API.
 */
const count = Type.Union([Type.Number({ minimum: 0 }), Type.Null()]);
const value = Type.Union([Type.Number(), Type.Null()]);
/** Most ticks that one analysis can have. */
export const MAX_TICKS = 20_000;
const MAX_BUCKETS = 500;

export const ProportionSide = Type.Object(
  { events: Type.Array(count, { maxItems: MAX_TICKS }), total: Type.Array(count, { maxItems: MAX_TICKS }) },
  { additionalProperties: false, description: 'Events (say errors) among total (say requests), counted per tick.' },
);
export const HistogramSide = Type.Object(
  {
    counts: Type.Array(Type.Union([Type.Array(Type.Number({ minimum: 0 }), { maxItems: MAX_BUCKETS + 1 }), Type.Null()]), {
      maxItems: MAX_TICKS,
    }),
  },
  {
    additionalProperties: false,
    description:
      'Per tick the counts of each bucket, not cumulative; one more entry than bounds (the last is above every bound).',
  },
);

const optionalSide = <S extends typeof ProportionSide | typeof HistogramSide>(side: S) => Type.Union([side, Type.Null()]);

export const ProportionSeries = Type.Object(
  { type: Type.Literal('proportion'), canary: ProportionSide, baseline: optionalSide(ProportionSide) },
  { additionalProperties: false },
);
export const HistogramSeries = Type.Object(
  {
    type: Type.Literal('histogram'),
    bounds: Type.Array(Type.Number(), {
      maxItems: MAX_BUCKETS,
      description: 'Upper bounds of the buckets, rising, without infinity.',
    }),
    canary: HistogramSide,
    baseline: optionalSide(HistogramSide),
  },
  { additionalProperties: false },
);
export const GaugeSeries = Type.Object(
  {
    type: Type.Literal('gauge'),
    canary: Type.Array(value, { maxItems: MAX_TICKS }),
    baseline: Type.Union([Type.Array(value, { maxItems: MAX_TICKS }), Type.Null()]),
  },
  { additionalProperties: false },
);
/** Either of the three kinds. A null baseline: there is no live baseline, only limits can be judged. */
export const MetricSeries = Type.Union([ProportionSeries, HistogramSeries, GaugeSeries]);

export type ProportionSide = Static<typeof ProportionSide>;
export type HistogramSide = Static<typeof HistogramSide>;
export type ProportionSeries = Static<typeof ProportionSeries>;
export type HistogramSeries = Static<typeof HistogramSeries>;
export type GaugeSeries = Static<typeof GaugeSeries>;
export type MetricSeries = Static<typeof MetricSeries>;
