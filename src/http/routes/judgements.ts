import type { FastifyInstance } from 'fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { Type, type Static } from 'typebox';
import { Share, parseShare } from '../../analysis/quantities.ts';
import { GaugeMetric, HistogramMetric, ProportionMetric, parametersOf } from '../../analysis/template.ts';
import { CodedError } from '../../errors.ts';
import { Judgement, type JudgeTask, type MetricParameters } from '../../judges/judge.ts';
import { GaugeSeries, HistogramSeries, ProportionSeries } from '../../judges/series.ts';
import type { HttpDependencies } from '../dependencies.ts';
import { json } from '../answers.ts';
import { misfits } from '../inline-series.ts';
import { invalid, problems, type InputError } from '../problem.ts';

const closed = { additionalProperties: false };
const margins = 'How it is judged, as in a template.';

const InlineMetric = Type.Union([
  Type.Object(
    {
      parameters: Type.Optional(
        Type.Object(
          {
            tolerate: ProportionMetric.properties.tolerate,
            limit: ProportionMetric.properties.limit,
            passBelow: ProportionMetric.properties.passBelow,
            role: ProportionMetric.properties.role,
          },
          { ...closed, description: margins },
        ),
      ),
      series: ProportionSeries,
    },
    closed,
  ),
  Type.Object(
    {
      parameters: Type.Optional(
        Type.Object(
          {
            tolerate: HistogramMetric.properties.tolerate,
            limit: HistogramMetric.properties.limit,
            role: HistogramMetric.properties.role,
          },
          { ...closed, description: margins },
        ),
      ),
      series: HistogramSeries,
    },
    closed,
  ),
  Type.Object(
    {
      parameters: Type.Optional(
        Type.Object(
          {
            tolerate: GaugeMetric.properties.tolerate,
            limit: GaugeMetric.properties.limit,
            role: GaugeMetric.properties.role,
          },
          { ...closed, description: margins },
        ),
      ),
      series: GaugeSeries,
    },
    closed,
  ),
]);
type InlineMetric = Static<typeof InlineMetric>;

export const JudgementRequest = Type.Object(
  {
    judge: Type.Optional(Type.String({ minLength: 1, maxLength: 100, default: 'exact', description: 'Name of the judge.' })),
    falseRollbacks: Type.Optional(
      Type.Unsafe<string | number>({
        ...Share,
        default: '1%',
        description: 'Share of healthy releases that may be failed, above 0 and below 100 %.',
      }),
    ),
    warmup: Type.Optional(Type.Integer({ minimum: 0, default: 0, description: 'Leading ticks that are not judged.' })),
    planned: Type.Optional(
      Type.Integer({
        minimum: 1,
        description: 'Ticks that the whole analysis will have; as many as are given, unless more will come.',
      }),
    ),
    ended: Type.Optional(
      Type.Boolean({ default: true, description: 'No more measurements will come, so that the verdict is final.' }),
    ),
    metrics: Type.Record(Type.String({ pattern: '^[a-zA-Z][a-zA-Z0-9_-]{0,62}$' }), InlineMetric, {
      ...closed,
      minProperties: 1,
      maxProperties: 200,
      description:
        'Measurements by metric. One entry a tick; all rows of all metrics are equally long, null where a tick has nothing.',
    }),
  },
  closed,
);
export type JudgementRequest = Static<typeof JudgementRequest>;

const DEFAULT_JUDGE = 'exact';
const DEFAULT_FALSE_ROLLBACKS = 0.01;

/** Judging of data that come with the request: nothing is stored, nothing follows from it. */
export function judgementsRoutes(server: FastifyInstance, deps: Pick<HttpDependencies, 'judge'>): void {
  server.withTypeProvider<TypeBoxTypeProvider>().post(
    '/api/v1/judgements',
    {
      config: { scope: 'analyses:write', rate: 'judgements' },
      schema: {
        operationId: 'judge',
        tags: ['judgements'],
        summary: 'Judge measurements',
        description: 'Pure: the same body always gives the same judgement. Nothing is stored and nothing is rolled back.',
        body: JudgementRequest,
        response: { 200: json('The judgement.', Judgement), ...problems(400, 401, 403, 404, 413, 415, 429) },
      },
    },
    async (request) => {
      const name = request.body.judge ?? DEFAULT_JUDGE;
      const judge = deps.judge(name);
      if (judge === undefined)
        throw new CodedError('judge_unknown', `there is no judge "${name}"; leave "judge" out for the default`);
      return judge.judge(taskOf(request.body));
    },
  );
}

/** @throws CodedError `body_invalid` where rows do not fit together, with the JSON pointer of each */
function taskOf(request: JudgementRequest): JudgeTask {
  const series = Object.entries(request.metrics).map(([name, metric]) => ({ name, series: metric.series }));
  const { ticks, errors } = misfits(series);
  const falseRollbacks = request.falseRollbacks === undefined ? DEFAULT_FALSE_ROLLBACKS : parseShare(request.falseRollbacks);
  const planned = request.planned ?? ticks;
  const warmup = request.warmup ?? 0;
  const all: InputError[] = [...errors];
  if (falseRollbacks <= 0 || falseRollbacks >= 1)
    all.push({ path: '/falseRollbacks', message: 'expected more than 0 and less than 100 %' });
  if (planned < ticks) all.push({ path: '/planned', message: `expected at least the ${ticks} ticks that are given` });
  if (warmup > planned) all.push({ path: '/warmup', message: `expected at most the ${planned} ticks of the analysis` });
  if (all.length > 0) throw invalid('body_invalid', all);
  return {
    metrics: Object.entries(request.metrics).map(([name, metric]) => ({
      name,
      parameters: parametersOfInline(metric),
      series: metric.series,
    })),
    falseRollbacks,
    warmup,
    planned,
    ended: request.ended ?? true,
  };
}

function parametersOfInline(metric: InlineMetric): MetricParameters {
  if (isOf(metric, 'proportion')) return parametersOf({ type: 'proportion', ...metric.parameters });
  if (isOf(metric, 'histogram')) return parametersOf({ type: 'histogram', ...metric.parameters });
  return parametersOf({ type: 'gauge', ...metric.parameters });
}

/** The type of the series tells the branch, which the schema has checked and the compiler cannot see. */
function isOf<T extends InlineMetric['series']['type']>(
  metric: InlineMetric,
  type: T,
): metric is Extract<InlineMetric, { series: { type: T } }> {
  return metric.series.type === type;
}
