import { randomUUID } from 'node:crypto';
import { STATUS_CODES, createServer as createHttpServer } from 'node:http';
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
import { parseDuration } from '../analysis/quantities.ts';
import { CodedError, codeOf } from '../errors.ts';
import { authenticate } from './authentication.ts';
import { acceptJson } from './body.ts';
import { DEFAULT_LIMITS, type HttpDependencies, type HttpLimits } from './dependencies.ts';
import { answerFor } from './problem.ts';
import { registerRoutes } from './routes.ts';
import { createTlsServer, reloader, type TlsFiles } from './tls.ts';
import { checkWithTypeBox, noCompilers } from './validation.ts';
import { OpenRequests } from './waiting.ts';

const MAX_PARAMETER = 200;
const REQUEST_ID = /^[A-Za-z0-9._-]{1,100}$/;
const OTHER_ROUTE = 'other';
const VERBOSE: ReadonlySet<string> = new Set(['debug', 'trace']);
const MAX_HEADER_BYTES = 16_384;
/** A connection is made anew now and then, so that a balancer in front can spread it. */
const MAX_REQUESTS_PER_CONNECTION = 10_000;

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
  const app = bareServer(deps, limits, deps.tls, () => open.close());
  acceptJson(app, authenticate(app, deps));
  if (deps.tls !== undefined) takeUpCertificates(app, deps.tls, deps);
  // Loaded when somebody asks for the document: the generator is not needed for anything else.
  registerRoutes(app, deps, limits, open, async () => (await import('./openapi.ts')).buildOpenApi());
  return app;
}

/** A server without routes and without authentication: its bounds, its errors, what it says of each request. */
export function bareServer(
  deps: HttpDependencies,
  limits: HttpLimits,
  tls: TlsFiles | undefined,
  onClose: () => void = () => undefined,
): FastifyInstance {
  let closing = false;
  const options: FastifyHttpOptions<RawServerDefault, FastifyBaseLogger> = {
    loggerInstance: deps.log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: deps.maxBodyBytes,
    requestTimeout: limits.requestTimeoutMs,
    connectionTimeout: limits.connectionTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    routerOptions: { maxParamLength: MAX_PARAMETER },
    serverFactory: (listener) => {
      const settings = {
        connectionsCheckingInterval: limits.timeoutCheckMs,
        headersTimeout: limits.requestTimeoutMs,
        requestTimeout: limits.requestTimeoutMs,
        keepAliveTimeout: limits.keepAliveTimeoutMs,
        maxHeaderSize: MAX_HEADER_BYTES,
        // What a proxy in front might read otherwise is refused (RFC 9112 section 11.2).
        insecureHTTPParser: false,
        requireHostHeader: true,
      };
      const server = tls === undefined ? createHttpServer(settings, listener) : createTlsServer(tls, settings, listener);
      server.setTimeout(limits.connectionTimeoutMs);
      server.maxConnections = limits.maxConnections;
      server.maxRequestsPerSocket = MAX_REQUESTS_PER_CONNECTION;
      return server;
    },
    genReqId: ({ headers }) => {
      const given = headers['x-request-id'];
      return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
    },
    schemaController: noCompilers,
    // Nothing is logged through the request; a child for each would cost as much as its check.
    childLoggerFactory: (logger) => logger,
    frameworkErrors: (error, request, reply) => {
      answer(error, request, reply);
    },
    clientErrorHandler: (error, socket) => {
      if (socket.destroyed || !socket.writable) socket.destroy();
      else socket.end(rawProblem(error.code), () => socket.destroy());
    },
  };
  const app: FastifyInstance = Fastify(options);

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
  app.addHook('onRequest', (request, reply, done) => {
    // No browser shows what a webhook is answered with.
    if (request.routeOptions.config.scope !== 'webhooks') reply.headers(SECURITY_HEADERS);
    reply.header('x-request-id', request.id);
    done();
  });
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
    onClose();
    // Whoever does not take the end of an answer is cut off.
    setTimeout(() => app.server.closeAllConnections(), limits.closeGraceMs).unref();
    done();
  });
  return app;
}

/** Looks at the files of the certificates now and then for as long as the server listens. */
function takeUpCertificates(app: FastifyInstance, tls: TlsFiles, { log, metrics }: HttpDependencies): void {
  const look = reloader(tls, app.server);
  let timer: NodeJS.Timeout | undefined;
  const next = () => {
    timer = setTimeout(() => {
      look()
        .then((found) => {
          if (found === 'changed') log.info({}, 'certificates were replaced');
        })
        .catch((error: unknown) => {
          metrics.error(codeOf(error));
          log.error({ err: error, code: codeOf(error) }, 'certificates cannot be replaced, the old ones stay in use');
        })
        .finally(next);
    }, parseDuration(tls.config.reloadEvery)).unref();
  };
  app.addHook('onListen', (done) => {
    next();
    done();
  });
  app.addHook('onClose', (_app, done) => {
    clearTimeout(timer);
    done();
  });
}

/** One line and one observation a request: never its body, its query string or its real path. */
function record({ log, metrics }: HttpDependencies, request: FastifyRequest, reply: FastifyReply): void {
  const { config, url } = request.routeOptions;
  const route = url ?? OTHER_ROUTE;
  const { statusCode: status, elapsedTime } = reply;
  const level = config.frequent === true && status < 500 ? 'debug' : 'info';
  // The fields of a line that nobody reads are not made.
  if (level === 'info' || VERBOSE.has(log.level)) {
    const ms = Math.round(elapsedTime * 10) / 10;
    const { id, method, who } = request;
    log[level]({ request: id, method, route, status, ms, by: who?.name }, 'request answered');
  }
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
