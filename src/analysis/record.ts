import { Type, type Static } from 'typebox';
import { Judgement, Verdict } from '../judges/judge.ts';
import { MetricSeries } from '../judges/series.ts';

export const ApplicationName = Type.String({
  pattern: '^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$',
  description: 'Name of a configured application.',
});
export const Revision = Type.String({ pattern: '^[0-9a-f]{7,64}$', description: 'Commit id of the release, at least 7 digits.' });
const time = (description: string) => Type.String({ format: 'date-time', description });
const optionalTime = (description: string) => Type.Union([Type.String({ format: 'date-time' }), Type.Null()], { description });

export const Phase = Type.Enum(['Pending', 'Running', 'Successful', 'Failed', 'Inconclusive', 'Error', 'Cancelled']);
export type Phase = Static<typeof Phase>;

/** What a client asks: an application and, at most, a revision of it. Never a repository, a URL, a credential. */
export const AnalysisRequest = Type.Object(
  {
    application: ApplicationName,
    revision: Type.Optional(Revision),
    arguments: Type.Optional(
      Type.Record(Type.String({ pattern: '^[a-zA-Z_][a-zA-Z0-9_]{0,62}$' }), Type.String({ maxLength: 500 }), {
        additionalProperties: false,
        maxProperties: 50,
        description:
          'Override arguments of the application that its `requestArguments` lists; another one is 422 `argument_refused`.',
      }),
    ),
  },
  { additionalProperties: false, $id: 'AnalysisRequest' },
);
export type AnalysisRequest = Static<typeof AnalysisRequest>;

/** Why a confirmation was asked for, and what it compares. */
export const Confirmation = Type.Object(
  {
    comparison: Type.Enum(['baseline', 'before-after'], {
      description:
        'baseline: the revision is the canary and is compared with the live baseline; before-after: with the time before it went live, which a shared fault confounds',
    }),
    liveSince: time('When the revision went live, as far as is known.'),
    startKnown: Type.Boolean({ description: 'false: it was there already when davylamp first looked.' }),
    alert: Type.Object({
      name: Type.String({ description: 'Its alertname.' }),
      fingerprint: Type.String(),
      startsAt: time('When it began to fire.'),
    }),
  },
  { description: 'The alert that a confirmation answers.' },
);
export type Confirmation = Static<typeof Confirmation>;

/** One run of a template for one application and one revision: the record, and the resource of the API. */
export const Analysis = Type.Object(
  {
    id: Type.String(),
    kind: Type.Enum(['release', 'recovery', 'confirmation'], {
      description:
        'release: asked for by a client; recovery: did the metrics come back after a rollback?; confirmation: is the release to blame for an alert?',
    }),
    application: Type.String(),
    revision: Type.String({ description: 'Full commit id.' }),
    template: Type.String(),
    templateDigest: Type.Optional(
      Type.String({ description: 'Names the content that the template had when the analysis was asked for.' }),
    ),
    judge: Type.String(),
    arguments: Type.Record(Type.String(), Type.String()),
    phase: Phase,
    verdict: Type.Union([Verdict, Type.Null()]),
    code: Type.String({ description: 'Machine-readable reason of the phase.' }),
    sentence: Type.String({ description: 'The reason for a person.' }),
    ticks: Type.Object({ planned: Type.Integer(), done: Type.Integer(), warmup: Type.Integer(), everyMs: Type.Number() }),
    createdAt: time('When the request was stored.'),
    startedAt: optionalTime('First tick.'),
    endedAt: optionalTime('When the phase became final.'),
    nextTickAt: optionalTime('Planned time of the next tick.'),
    judgement: Type.Union([Judgement, Type.Null()]),
    warnings: Type.Array(Type.String(), { maxItems: 50 }),
    rollback: Type.Union([Type.String(), Type.Null()], { description: 'Id of the rollback that it led to, or that it checks.' }),
    confirmation: Type.Optional(Confirmation),
  },
  { additionalProperties: false, $id: 'Analysis' },
);
export type Analysis = Static<typeof Analysis>;

/** Kept beside the analysis: what was measured, and what each source needs to go on. Not part of listings. */
export const Measurements = Type.Object({
  series: Type.Record(Type.String(), MetricSeries),
  /** End of the window of each tick, milliseconds since the epoch. */
  times: Type.Array(Type.Number()),
  cursors: Type.Record(Type.String(), Type.Unknown()),
  /** `metric/side` whose first count after a gap over the end of the warm-up was left out; the next ones count. */
  resumed: Type.Array(Type.String()),
  /** Of a confirmation without a live baseline: the ticks before the revision went live, the last one ends with them. */
  before: Type.Optional(Type.Record(Type.String(), MetricSeries)),
  /** Ticks in a row in which the delivery said that the judged revision does not live. */
  troubled: Type.Optional(Type.Integer()),
});
export type Measurements = Static<typeof Measurements>;

const FINAL: ReadonlySet<Phase> = new Set(['Successful', 'Failed', 'Inconclusive', 'Error', 'Cancelled']);

export function isFinal(phase: Phase): boolean {
  return FINAL.has(phase);
}
