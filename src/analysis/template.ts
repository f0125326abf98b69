import { Type, type Static } from 'typebox';
import type { MetricParameters } from '../judges/judge.ts';
import { Duration, Share, parseDuration, parseShare } from './quantities.ts';
import { SearchBuckets, SearchCount, SearchGauge } from './search.ts';

/** `${name}` in a query is replaced by the argument of that name. */
const selector = Type.String({ minLength: 1, maxLength: 4_000 });

export const CounterQuery = Type.Object(
  {
    counter: Type.String({
      ...selector,
      description: 'Selector of a counter; read raw and differenced per series by davylamp itself.',
    }),
  },
  { additionalProperties: false },
);
export const GaugeQuery = Type.Object(
  {
    gauge: Type.String({ ...selector, description: 'Selector of a gauge.' }),
    aggregate: Type.Optional(
      Type.Enum(['sum', 'avg', 'max', 'min'], { default: 'avg', description: 'How the series of one side become one value.' }),
    ),
  },
  { additionalProperties: false },
);
/** Finished query in the language of the source. Sources that cannot run one refuse it by name. */
export const FinishedQuery = Type.Object(
  {
    query: Type.String({
      ...selector,
      description: 'Finished query in the language of the source; marked as extrapolated in the evidence.',
    }),
  },
  { additionalProperties: false },
);

/** Written once: the schema shows them, and what reads a template without the configuration falls back on them. */
const DEFAULTS = {
  tolerate: '10%',
  passBelow: '0.1%',
  role: 'normal',
  judge: 'exact',
  falseRollbacks: '1%',
  warmup: '0s',
} as const;

const judged = {
  source: Type.String({ minLength: 1, description: 'Name of a configured source.' }),
  tolerate: Type.Optional(
    Type.Unsafe<string | number>({
      ...Share,
      default: DEFAULTS.tolerate,
      description: 'Accepted worsening relative to the baseline.',
    }),
  ),
  role: Type.Optional(
    Type.Enum(['critical', 'normal', 'report-only'], {
      default: DEFAULTS.role,
      description: 'report-only metrics are shown and never decide.',
    }),
  ),
};

export const ProportionMetric = Type.Object(
  {
    type: Type.Literal('proportion'),
    ...judged,
    total: Type.Union([CounterQuery, FinishedQuery, SearchCount]),
    events: Type.Union([CounterQuery, FinishedQuery, SearchCount]),
    limit: Type.Optional(
      Type.Unsafe<string | number>({ ...Share, description: 'Absolute limit; fails only while the baseline is below it.' }),
    ),
    passBelow: Type.Optional(
      Type.Unsafe<string | number>({
        ...Share,
        default: DEFAULTS.passBelow,
        description: 'A canary that is surely below this rate passes, whatever the ratio.',
      }),
    ),
  },
  { additionalProperties: false },
);
export const HistogramMetric = Type.Object(
  {
    type: Type.Literal('histogram'),
    ...judged,
    buckets: Type.Union([CounterQuery, FinishedQuery, SearchBuckets]),
    limit: Type.Optional(
      Type.Record(Type.String({ pattern: '^p[0-9]{1,2}(\\.[0-9]+)?$' }), Duration, {
        description: 'Absolute limits on quantiles, for example { p99: 500ms }; bounds are taken as seconds.',
      }),
    ),
  },
  { additionalProperties: false },
);
export const GaugeMetric = Type.Object(
  {
    type: Type.Literal('gauge'),
    ...judged,
    value: Type.Union([GaugeQuery, FinishedQuery, SearchGauge]),
    limit: Type.Optional(Type.Number({ description: 'Absolute limit; fails only while the baseline is below it.' })),
  },
  { additionalProperties: false },
);
export const MetricSpec = Type.Union([ProportionMetric, HistogramMetric, GaugeMetric]);
export type MetricSpec = Static<typeof MetricSpec>;

export const SideLabels = Type.Record(Type.String({ pattern: '^[a-zA-Z_][a-zA-Z0-9_]*$' }), Type.String({ maxLength: 1_000 }), {
  description: 'Labels that select this side; values may use ${...}.',
});

export type SideLabels = Static<typeof SideLabels>;

export const Template = Type.Object(
  {
    every: Type.Unsafe<string>({ ...Duration, description: 'How often it looks.' }),
    for: Type.Unsafe<string>({ ...Duration, description: 'How long the analysis lasts at most, warm-up included.' }),
    warmup: Type.Optional(Type.Unsafe<string>({ ...Duration, default: DEFAULTS.warmup, description: 'Measured, not judged.' })),
    canary: SideLabels,
    baseline: Type.Optional(SideLabels),
    control: Type.Optional(
      Type.Unsafe<SideLabels>({
        ...SideLabels,
        description:
          'Labels of series that a shared fault would hit, too, and this release would not, say those of the other services. Used where there is no live baseline: a change that they share fails nobody.',
      }),
    ),
    judge: Type.Optional(Type.String({ default: DEFAULTS.judge, description: 'Name of the judge.' })),
    falseRollbacks: Type.Optional(
      Type.Unsafe<string | number>({
        ...Share,
        default: DEFAULTS.falseRollbacks,
        description: 'Share of healthy releases that may be rolled back, for the whole analysis, however often it looks.',
      }),
    ),
    recovery: Type.Optional(
      Type.Object(
        {
          for: Type.Unsafe<string>({
            ...Duration,
            description: 'How long the metrics are measured after the rollback was deployed.',
          }),
        },
        { additionalProperties: false },
      ),
    ),
    metrics: Type.Record(Type.String({ pattern: '^[a-zA-Z][a-zA-Z0-9_-]{0,62}$' }), MetricSpec, {
      minProperties: 1,
      maxProperties: 200,
    }),
  },
  { additionalProperties: false },
);
export type Template = Static<typeof Template>;

/** The part of a metric that says how it is judged, without where it is measured. */
export type MetricMargins =
  | Pick<Static<typeof ProportionMetric>, 'type' | 'tolerate' | 'role' | 'limit' | 'passBelow'>
  | Pick<Static<typeof HistogramMetric>, 'type' | 'tolerate' | 'role' | 'limit'>
  | Pick<Static<typeof GaugeMetric>, 'type' | 'tolerate' | 'role' | 'limit'>;

/** The template's percent and duration texts as the numbers that judges take. */
export function parametersOf(metric: MetricMargins): MetricParameters {
  const quantileLimits =
    metric.type === 'histogram'
      ? Object.entries(metric.limit ?? {}).map(([name, text]) => ({
          quantile: Number(name.slice(1)) / 100,
          value: parseDuration(text) / 1_000,
        }))
      : [];
  return {
    tolerate: parseShare(metric.tolerate ?? DEFAULTS.tolerate),
    limit:
      metric.type === 'proportion'
        ? metric.limit === undefined
          ? null
          : parseShare(metric.limit)
        : metric.type === 'gauge'
          ? (metric.limit ?? null)
          : null,
    quantileLimits,
    passBelow: parseShare((metric.type === 'proportion' ? metric.passBelow : undefined) ?? DEFAULTS.passBelow),
    role: metric.role ?? DEFAULTS.role,
  };
}

/** The parts of a template that have a default, filled in. */
export function templateDefaults(template: Template): { judge: string; falseRollbacks: number; warmupMs: number } {
  return {
    judge: template.judge ?? DEFAULTS.judge,
    falseRollbacks: parseShare(template.falseRollbacks ?? DEFAULTS.falseRollbacks),
    warmupMs: parseDuration(template.warmup ?? DEFAULTS.warmup),
  };
}
