import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { Analysis, AnalysisRequest, ApplicationName, Measurements, Phase, isFinal } from '../../analysis/record.ts';
import { CodedError } from '../../errors.ts';
import type { HttpDependencies, HttpLimits } from '../dependencies.ts';
import { admit, admitted } from '../auth/principal.ts';
import { ownPage } from '../auth/own-page.ts';
import { DEFAULT_PAGE, LOCATION, idParams, json, pageOf, pageQuery } from '../answers.ts';
import { problems } from '../problem.ts';
import { analysisEvents, eventId } from '../events.ts';
import { follow, type OpenRequests } from '../waiting.ts';

const tags = ['analyses'];
const params = idParams('Id of the analysis.');
const IdempotencyKey = Type.String({
  pattern: '^[\\x20-\\x7e]{1,200}$',
  description: 'Printable characters, at most 200. The same key and body again give the analysis of the first time.',
});
const Prefer = Type.String({
  maxLength: 200,
  description: '`wait=N` (RFC 7240): answer only when the analysis has ended, or after N seconds.',
});

const APPLIED = { 'Preference-Applied': 'The preference that was heeded, with the seconds that were allowed.' };

const EventStream = Type.Unsafe<Readable>(Type.String());

const InPhase = Type.Unsafe<Phase>({ ...Phase, description: 'Only those in this phase.' });

const SeriesOfAnalysis = Type.Object(
  { series: Measurements.properties.series, times: Measurements.properties.times },
  { description: 'What was measured, one entry a tick; `times` are the ends of the windows in milliseconds since the epoch.' },
);

/** Analyses: ask for one, look at it, wait for it, cancel it. */
export function analysesRoutes(
  server: FastifyInstance,
  deps: Pick<HttpDependencies, 'analyses' | 'changes' | 'clock' | 'log'>,
  limits: HttpLimits,
  open: OpenRequests,
): void {
  const app = server.withTypeProvider<TypeBoxTypeProvider>();
  const { analyses, changes } = deps;

  app.post(
    '/api/v1/analyses',
    {
      config: { scope: 'analyses:write', rate: 'writes' },
      schema: {
        operationId: 'startAnalysis',
        tags,
        summary: 'Start an analysis',
        description:
          'Judges one revision of a configured application by its template. The answer comes when the request is stored: 202 while the analysis runs, 200 when it has ended (after `Prefer: wait=N`, or for a key that was used before).',
        headers: Type.Object({ 'idempotency-key': Type.Optional(IdempotencyKey), prefer: Type.Optional(Prefer) }),
        body: AnalysisRequest,
        response: {
          200: json('It has ended.', Analysis, { ...LOCATION, ...APPLIED }),
          202: json('It is stored and will run, or runs.', Analysis, { ...LOCATION, ...APPLIED }),
          ...problems(400, 401, 403, 404, 409, 413, 415, 422, 429, 503),
        },
      },
    },
    async (request, reply) => {
      admit(request.who, request.body.application);
      const idempotencyKey = request.headers['idempotency-key'] ?? null;
      const started = await analyses.start(request.body, { name: request.who.name, idempotencyKey });
      const seconds = secondsToWait(request.headers.prefer, limits.maxWaitSeconds);
      const visit = seconds === null || isFinal(started.analysis.phase) ? undefined : open.enter(reply);
      let analysis = started.analysis;
      if (visit !== undefined && seconds !== null) {
        reply.header('preference-applied', `wait=${seconds}`);
        const timer = setTimeout(visit.leave, seconds * 1_000);
        try {
          for await (const state of followed(analysis.id, visit.signal)) analysis = state;
        } finally {
          clearTimeout(timer);
          visit.leave();
        }
      }
      return reply
        .code(isFinal(analysis.phase) ? 200 : 202)
        .header('location', `/api/v1/analyses/${analysis.id}`)
        .send(analysis);
    },
  );

  app.get(
    '/api/v1/analyses',
    {
      config: { scope: 'analyses:read', rate: 'reads' },
      schema: {
        operationId: 'listAnalyses',
        tags,
        summary: 'List analyses',
        description:
          'Newest first. A caller that is bound to applications sees only those; a page may then have fewer entries than asked for, and still a next one.',
        querystring: Type.Object(
          { application: Type.Optional(ApplicationName), phase: Type.Optional(InPhase), ...pageQuery },
          { additionalProperties: false },
        ),
        response: { 200: json('A page.', pageOf(Analysis)), ...problems(400, 401, 403, 429, 503) },
      },
    },
    async (request) => {
      const { application, phase, cursor, limit = DEFAULT_PAGE } = request.query;
      return ownPage(request.who, { application, cursor, limit }, (page) =>
        analyses.list({ ...page, ...(phase !== undefined && { phase }) }),
      );
    },
  );

  app.get(
    '/api/v1/analyses/:id',
    {
      config: { scope: 'analyses:read', rate: 'reads' },
      schema: {
        operationId: 'getAnalysis',
        tags,
        summary: 'Look at an analysis',
        params,
        response: { 200: json('As it is now.', Analysis), ...problems(400, 401, 403, 404, 429, 503) },
      },
    },
    async (request) => admitted(request.who, await analyses.get(request.params.id)),
  );

  app.post(
    '/api/v1/analyses/:id/cancel',
    {
      config: { scope: 'analyses:write', rate: 'writes' },
      schema: {
        operationId: 'cancelAnalysis',
        tags,
        summary: 'Cancel an analysis',
        description: 'It ends as Cancelled and leads to nothing. 409 when it has ended.',
        params,
        response: { 200: json('It is cancelled.', Analysis), ...problems(400, 401, 403, 404, 409, 429, 503) },
      },
    },
    async (request) => {
      const { id } = request.params;
      admitted(request.who, await analyses.get(id));
      return analyses.cancel(id, { name: request.who.name });
    },
  );

  app.get(
    '/api/v1/analyses/:id/measurements',
    {
      config: { scope: 'analyses:read', rate: 'reads' },
      schema: {
        operationId: 'getMeasurements',
        tags,
        summary: 'What an analysis has measured',
        params,
        response: { 200: json('Everything up to the last tick.', SeriesOfAnalysis), ...problems(400, 401, 403, 404, 429, 503) },
      },
    },
    async (request) => {
      const { id } = request.params;
      admitted(request.who, await analyses.get(id));
      const { series, times } = await analyses.measurements(id);
      return { series, times };
    },
  );

  app.get(
    '/api/v1/analyses/:id/events',
    {
      exposeHeadRoute: false,
      config: { scope: 'analyses:read', rate: 'reads', stream: true },
      schema: {
        operationId: 'followAnalysis',
        tags,
        summary: 'Follow an analysis',
        description:
          'Server-sent events: `event: analysis`, the whole Analysis as data, whenever it changes. The stream ends after the final phase; a client that then connects again with its Last-Event-ID gets 204, which tells it to stop.',
        params,
        headers: Type.Object({
          'last-event-id': Type.Optional(
            Type.String({ maxLength: 200, description: 'Id of the event that was seen last; browsers send it.' }),
          ),
        }),
        response: {
          200: { description: 'The stream.', content: { 'text/event-stream': { schema: EventStream } } },
          204: Type.Null({ description: 'The event that the client saw last was the last one.' }),
          ...problems(400, 401, 403, 404, 429, 503),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const now = admitted(request.who, await analyses.get(id));
      if (isFinal(now.phase) && request.headers['last-event-id'] === eventId(now)) return reply.code(204).send(null);
      const visit = open.enter(reply);
      if (visit === undefined) {
        throw new CodedError(
          'too_many_streams',
          'too many requests stay open already; come back later, or ask for the analysis itself',
        );
      }
      const events = analysisEvents(followed(id, visit.signal), deps, limits.heartbeatMs);
      return reply
        .type('text/event-stream; charset=utf-8')
        .header('cache-control', 'no-store')
        .header('x-accel-buffering', 'no')
        .send(Readable.from(events, { objectMode: false }));
    },
  );

  function followed(id: string, signal: AbortSignal): AsyncGenerator<Analysis, void> {
    const rereadMs = Math.min(limits.rereadMs, limits.heartbeatMs);
    return follow({
      subject: id,
      read: () => analyses.get(id),
      isLast: ({ phase }) => isFinal(phase),
      changes,
      rereadMs,
      signal,
    });
  }
}

/** Seconds of the preference `wait` (RFC 7240 section 4.3), at most `max`; null when there is none that can be read. */
function secondsToWait(header: string | undefined, max: number): number | null {
  const found = /(?:^|[,;])\s*wait\s*=\s*"?([0-9]{1,9})"?\s*(?:$|[,;])/i.exec(header ?? '')?.[1];
  return found === undefined ? null : Math.min(Number(found), max);
}
