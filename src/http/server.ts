import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import Fastify, {
  LogController,
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyHttpOptions,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type RawServerDefault,
} from 'fastify';
import { CodedError } from '../errors.ts';
import { authenticate } from './authentication.ts';
import { acceptJson } from './body.ts';
import { DEFAULT_LIMITS, type HttpDependencies, type HttpLimits } from './dependencies.ts';
import { answerFor } from './problem.ts';
import { registerRoutes } from './routes.ts';
import { checkWithTypeBox, noCompilers } from './validation.ts';
import { OpenRequests } from './waiting.ts';

const MAX_PARAMETER = 200;
const REQUEST_ID = /^[A-Za-z0-9._-]{1,100}$/;
const OTHER_ROUTE = 'other';

/** For pages that a browser shows by mistake; the docs page has a policy of its own. */
const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
};

/**
 * The HTTP service, not yet listening. Closing it ends event streams and waiting requests, then waits for the others.
 * Every route is registered in `routes.ts`; every error leaves as RFC 9457 problem, see `problem.ts`.
 */
export function createServer(deps: HttpDependencies, limits: HttpLimits = DEFAULT_LIMITS): FastifyInstance {
  const open = new OpenRequests(limits.maxOpen);
  let closing = false;
  const options: FastifyHttpOptions<RawServerDefault, FastifyBaseLogger> = {
    loggerInstance: deps.log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: deps.maxBodyBytes,
    requestTimeout: limits.requestTimeoutMs,
    connectionTimeout: limits.connectionTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    routerOptions: { maxParamLength: MAX_PARAMETER },
    http: { connectionsCheckingInterval: limits.timeoutCheckMs, headersTimeout: limits.requestTimeoutMs },
    genReqId: ({ headers }) => {
      const given = headers['x-request-id'];
      return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
    },
    schemaController: noCompilers,
    frameworkErrors: (error, request, reply) => {
      answer(error, request, reply);
    },
    clientErrorHandler: (error, socket) => {
      if (socket.destroyed || !socket.writable) socket.destroy();
      else socket.end(rawProblem(error.code), () => socket.destroy());
    },
  };
  const app: FastifyInstance = Fastify(options);
  app.server.maxConnections = limits.maxConnections;

  function answer(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const { problem, headers } = answerFor(error, request.id);
    deps.metrics.error(problem.code);
    if (problem.status >= 500) deps.log.error({ err: error, code: problem.code, request: request.id }, 'request failed');
    return reply
      .code(problem.status)
      .headers({ ...headers, ...SECURITY_HEADERS })
      .type('application/problem+json')
      .send(problem);
  }

  checkWithTypeBox(app);
  acceptJson(app);
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers({ ...SECURITY_HEADERS, 'x-request-id': request.id });
    done();
  });
  authenticate(app, deps.tokens);
  app.addHook('onResponse', (request, reply, done) => {
    record(deps, request, reply);
    // A connection whose answer ends while the server closes would stay open until its keep-alive is over.
    if (closing) setImmediate(() => app.server.closeIdleConnections());
    done();
  });
  app.setErrorHandler((error: FastifyError, request, reply) => answer(error, request, reply));
  app.setNotFoundHandler((request, reply) => answer(routeUnknown(), request, reply));
  app.addHook('preClose', (done) => {
    closing = true;
    open.close();
    // Whoever does not take the end of an answer is cut off.
    setTimeout(() => app.server.closeAllConnections(), limits.closeGraceMs).unref();
    done();
  });
  // Loaded when somebody asks for the document: the generator is not needed for anything else.
  registerRoutes(app, deps, limits, open, async () => (await import('./openapi.ts')).buildOpenApi());
  return app;
}

/** One line and one observation a request: never its body, its query string or its real path. */
function record({ log, metrics }: HttpDependencies, request: FastifyRequest, reply: FastifyReply): void {
  const { config, url } = request.routeOptions;
  const route = url ?? OTHER_ROUTE;
  const { statusCode: status, elapsedTime } = reply;
  const fields = {
    request: request.id,
    method: request.method,
    route,
    status,
    ms: Math.round(elapsedTime * 10) / 10,
    by: request.who,
  };
  if (config.frequent === true && status < 500) log.debug(fields, 'request answered');
  else log.info(fields, 'request answered');
  if (config.stream !== true) metrics.httpRequest(request.method, route, status, elapsedTime / 1_000);
}

function routeUnknown(): CodedError {
  return new CodedError('route_unknown', 'this address does not exist; GET /docs shows those that do');
}

/** For requests that are broken before fastify sees them: node knows only the socket then. */
function rawProblem(nodeCode: string): string {
  const code =
    nodeCode === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? 'request_timeout'
      : nodeCode === 'HPE_HEADER_OVERFLOW'
        ? 'headers_too_large'
        : 'request_invalid';
  const sentences = {
    request_timeout: 'the request was not complete in time',
    headers_too_large: 'the headers of the request are too large',
    request_invalid: 'this is not HTTP/1.1',
  };
  const { problem } = answerFor(new CodedError(code, sentences[code]), randomUUID());
  const body = JSON.stringify(problem);
  return [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    '',
    body,
  ].join('\r\n');
}
