import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Scope } from '../config/server.ts';
import { CodedError, codeOf } from '../errors.ts';
import { Credentials, replayed, type Outcome, type Refusal } from './auth/credentials.ts';
import { Failures } from './auth/failures.ts';
import { ANONYMOUS, forbidden, hasScope, type Principal } from './auth/principal.ts';
import { Rates, type RateClass } from './auth/rates.ts';
import type { Signed } from './auth/signature.ts';
import type { HttpDependencies } from './dependencies.ts';
import { invalid } from './problem.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who calls; `who.name` is for the journal. Known before the handler runs. */
    who: Principal;
    /** A signature that waits for its body. */
    signed: Signed | null;
    /** The signed message that is being handled; see `Replays`. */
    message: string | null;
  }
  interface FastifyContextConfig {
    /** Answers everybody: health checks and documents without data. */
    open?: boolean;
    /** What a caller needs; `any`: to be known. A route with neither this nor `open` answers nobody. */
    scope?: Scope | 'any';
    /** Tells of all applications, so that it is not for callers that are bound to some. */
    wide?: boolean;
    /** Counts against the rate of its caller. Left out for webhooks: see docs/reference/security.md. */
    rate?: RateClass;
    /** Called by machines every few seconds: logged at debug. */
    frequent?: boolean;
    /** Is handed its body as bytes, unread: it checks a signature of its own over them. */
    raw?: boolean;
    /** Stays open on purpose: left out of the durations. */
    stream?: boolean;
  }
}

const LOOPBACK = /^(localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?$/;
/** Headers that mean something else when they come twice, and how long their names are: most are told apart by that. */
const ONCE = ['host', 'authorization', 'content-type'];
const ONCE_LENGTHS = ONCE.map((name) => name.length);
const NO_LIMITS = { reads: 0, writes: 0, judgements: 0 };

type Done = (error?: Error) => void;
type Deps = Pick<HttpDependencies, 'tokens' | 'callers' | 'onCredentials' | 'rates' | 'metrics' | 'log' | 'clock'>;

/** Checks a signature when the body is there; see `acceptJson`. */
export type CheckSignature = (request: FastifyRequest, body: string, done: Done) => void;

/**
 * Who may call what. Every route but the open ones needs a credential with its scope. While no way to know callers is
 * configured davylamp listens on loopback only, where a web page in a local browser is the one stranger: it is refused
 * by its Origin, and by the Host that it must name when it was rebound to this address.
 */
export function authenticate(app: FastifyInstance, deps: Deps): CheckSignature {
  const { clock, metrics, log } = deps;
  let credentials = new Credentials(deps.tokens, deps.callers, clock);
  deps.onCredentials?.((next) => {
    credentials = new Credentials(next.tokens, next.callers, clock);
  });
  const failures = new Failures(clock);
  const rates = new Rates(deps.rates ?? NO_LIMITS, clock);
  app.decorateRequest('who');
  app.decorateRequest('signed', null);
  app.decorateRequest('message', null);

  function settle(request: FastifyRequest, outcome: Outcome, done: Done): void {
    if ('refusal' in outcome) {
      refuse(request, outcome.refusal, done);
      return;
    }
    if ('error' in outcome) {
      done(outcome.error);
      return;
    }
    if ('signed' in outcome) {
      request.signed = outcome.signed;
      done();
      return;
    }
    request.who = outcome.who;
    request.message = outcome.message ?? null;
    done(objection(request, outcome.who) ?? overRate(request, outcome.who));
  }

  async function settleLater(request: FastifyRequest, coming: Promise<Outcome>, done: Done): Promise<void> {
    let outcome: Outcome;
    try {
      outcome = await coming;
    } catch (error) {
      done(ourFault(error));
      return;
    }
    settle(request, outcome, done);
  }

  function overRate(request: FastifyRequest, { kind, name }: Principal): CodedError | undefined {
    const { rate } = request.routeOptions.config;
    const wait = rate === undefined ? 0 : rates.take(`${kind} ${name}`, rate);
    if (wait === 0) return undefined;
    return new CodedError('rate_limited', `this caller asks more often than server.rates allows; ask again in ${wait} s`, {
      details: { retryAfter: wait },
    });
  }

  function refuse({ ip, id }: FastifyRequest, { kind, reason, sentence }: Refusal, done: Done): void {
    metrics.authenticationFailed(kind, reason);
    const error = new CodedError('unauthenticated', sentence);
    if (kind === 'none') {
      done(error);
      return;
    }
    const { delayMs, tell, failures: count } = failures.note(ip);
    if (tell) log.warn({ kind, reason, address: ip, failures: count, request: id }, 'a credential was refused');
    failures.hold(delayMs, () => done(error));
  }

  app.addHook('onRequest', (request, _reply, done) => {
    request.who = ANONYMOUS;
    const { config } = request.routeOptions;
    if (config.open === true) {
      done();
      return;
    }
    const twice = saidTwice(request.raw.rawHeaders);
    if (twice !== undefined) {
      done(invalid('header_invalid', [{ path: `/${twice}`, message: 'is there twice' }]));
      return;
    }
    if (!credentials.configured) {
      done(isFromHere(request) ? undefined : originRefused());
      return;
    }
    const outcome = credentials.look(request, config.scope === 'webhooks');
    if (outcome instanceof Promise) void settleLater(request, outcome, done);
    else settle(request, outcome, done);
  });

  /** What is answered for good is remembered before; after a failure of ours the message may come again. */
  async function endMessage(request: FastifyRequest, isFinal: boolean, done: Done): Promise<void> {
    const { message } = request;
    request.message = null;
    let error: Error | undefined;
    try {
      if (message !== null && !(await credentials.endMessage(message, isFinal))) error = replayed();
    } catch (failure) {
      error = failure instanceof Error ? failure : new Error('a message could not be remembered');
    }
    done(error);
  }

  const checkSignature: CheckSignature = (request, body, done) => {
    const { signed } = request;
    if (signed === null) {
      done();
      return;
    }
    request.signed = null;
    void settleLater(request, credentials.checkSigned(signed, body), done);
  };
  // A request without a body never comes to a parser.
  app.addHook('preValidation', (request: FastifyRequest, _reply: FastifyReply, done: Done) => {
    if (request.signed === null) done();
    else checkSignature(request, '', done);
  });
  app.addHook('onSend', (request, reply, payload, done) => {
    if (request.message === null) done(null, payload);
    else void endMessage(request, reply.statusCode < 500, (error) => (error === undefined ? done(null, payload) : done(error)));
  });
  // Where no answer could be sent.
  app.addHook('onResponse', (request, _reply, done) => {
    if (request.message === null) done();
    else void endMessage(request, false, () => done());
  });
  return checkSignature;
}

/**
 * Of these node takes the first one and a proxy may take the last: who decided on one must not be answered for another.
 *
 * @param raw names and values in turn, as they came
 */
function saidTwice(raw: readonly string[]): string | undefined {
  let seen = 0;
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] ?? '';
    const place = ONCE_LENGTHS.includes(name.length) ? ONCE.indexOf(name.toLowerCase()) : -1;
    if (place < 0) continue;
    if ((seen & (1 << place)) !== 0) return ONCE[place];
    seen |= 1 << place;
  }
  return undefined;
}

/** What speaks against a known caller on this route. */
function objection({ routeOptions, is404 }: FastifyRequest, who: Principal): CodedError | undefined {
  const { scope, wide } = routeOptions.config;
  if (is404 || scope === 'any') return undefined;
  if (scope === undefined) return forbidden('this address answers nobody');
  if (!hasScope(who, scope)) return forbidden(`this needs the scope ${scope}, which the credential of the caller does not have`);
  if (wide === true && who.applications !== null)
    return forbidden('this tells of all applications, and the credential of the caller is bound to some');
  return undefined;
}

/** Whoever asks is not known yet, so the answer names neither files nor hosts; the log has the cause. */
function ourFault(error: unknown): Error {
  if (!(error instanceof CodedError)) return error instanceof Error ? error : new Error('a credential could not be checked');
  return new CodedError(
    codeOf(error),
    'davylamp cannot check this credential now, and it is not the fault of the caller; its log says why',
    {
      retryable: true,
      cause: error,
    },
  );
}

function isFromHere(request: FastifyRequest): boolean {
  const { host, origin } = request.headers;
  if (host !== undefined && !LOOPBACK.test(host)) return false;
  return origin === undefined || origin === `http://${host}` || origin === `https://${host}`;
}

function originRefused(): CodedError {
  return new CodedError(
    'origin_refused',
    'without tokens davylamp answers only requests to a loopback name and from its own pages; configure server.tokens to open it',
  );
}
