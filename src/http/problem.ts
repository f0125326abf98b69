import type { FastifyError } from 'fastify';
import { Type, type Static } from 'typebox';
import { CodedError } from '../errors.ts';

/** Every error answer: application/problem+json of RFC 9457, with a stable code. */
export const ProblemDetails = Type.Object(
  {
    type: Type.String({ format: 'uri', description: 'Stable address of the explanation of the code.' }),
    title: Type.String({ description: 'Name of the status.' }),
    status: Type.Integer({ minimum: 400, maximum: 599 }),
    detail: Type.String({ description: 'What is wrong and what to do.' }),
    code: Type.String({ description: 'Machine-readable reason; never changes its meaning.' }),
    request: Type.String({ description: 'Id of the request, as in the log and in the header X-Request-Id.' }),
    nearest: Type.Optional(Type.String({ description: 'The name that was probably meant.' })),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          path: Type.String({ description: 'JSON pointer into the part that was refused.' }),
          message: Type.String(),
        }),
        { description: 'What does not fit, at most a few entries.' },
      ),
    ),
  },
  {
    description: 'An error, as RFC 9457 has it.',
    examples: [
      {
        type: 'urn:davylamp:error:application_unknown',
        title: 'Not Found',
        status: 404,
        detail: 'there is no application "shpo" in the configuration; did you mean "shop"?',
        code: 'application_unknown',
        request: '0d9c1f0e-8f43-4d0a-9f9b-1e2f3a4b5c6d',
        nearest: 'shop',
      },
    ],
  },
);
export type ProblemDetails = Static<typeof ProblemDetails>;

export interface InputError {
  path: string;
  message: string;
}

const TYPE_BASE = 'urn:davylamp:error:';
const RETRY_AFTER_SECONDS = '5';

const TITLES = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  413: 'Content Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
} as const;
export type ProblemStatus = keyof typeof TITLES;

/** The one place where a code becomes a status; docs/reference/api.md shows it. */
export const STATUS_OF_CODE: Readonly<Record<string, ProblemStatus>> = {
  body_invalid: 400,
  query_invalid: 400,
  path_invalid: 400,
  header_invalid: 400,
  request_invalid: 400,
  cursor_invalid: 400,
  argument_missing: 422,
  argument_unsafe: 422,
  argument_refused: 422,
  unauthenticated: 401,
  origin_refused: 403,
  forbidden: 403,
  rate_limited: 429,
  webhook_replayed: 409,
  identity_provider_unavailable: 503,
  secret_unreadable: 503,
  secret_invalid: 503,
  route_unknown: 404,
  application_unknown: 404,
  analysis_unknown: 404,
  rollback_unknown: 404,
  repository_unknown: 404,
  judge_unknown: 404,
  webhook_signature_wrong: 401,
  webhook_invalid: 400,
  method_not_allowed: 405,
  request_timeout: 408,
  headers_too_large: 431,
  analysis_ended: 409,
  rollback_not_held: 409,
  rollback_final: 409,
  approval_useless: 409,
  approval_needs_another: 409,
  plan_changed: 409,
  rollbacks_stopped: 409,
  already_reverted: 409,
  marked_good: 409,
  push_unconfirmed: 409,
  conflict: 409,
  nothing_in_git: 409,
  chart_version: 409,
  parameter_override: 409,
  mutable_tag: 409,
  other_repository: 409,
  backup_running: 409,
  configuration_changed: 409,
  git_auth_failed: 409,
  git_repository_missing: 409,
  reload_needs_restart: 409,
  config_invalid: 422,
  config_unreadable: 422,
  adapter_not_available: 422,
  reload_failed: 422,
  request_too_large: 413,
  record_too_large: 413,
  media_type_unsupported: 415,
  idempotency_mismatch: 422,
  revision_unknown: 422,
  commit_unknown: 422,
  plan_required: 422,
  switch_invalid: 422,
  commit_is_root: 422,
  commit_not_on_branch: 422,
  commit_outside_application: 422,
  store_unavailable: 503,
  queue_unavailable: 503,
  too_many_streams: 503,
  shutting_down: 503,
};

/** What fastify and node call the faults that they find before a route does. */
const CODE_OF_FRAMEWORK: Readonly<Record<string, string>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'request_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'media_type_unsupported',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'body_invalid',
  FST_ERR_BAD_URL: 'path_invalid',
  FST_ERR_MAX_PARAM_LENGTH: 'path_invalid',
  ECONNRESET: 'request_invalid',
};

const SENTENCE_OF_FRAMEWORK: Readonly<Record<string, string>> = {
  request_too_large: 'the body is larger than server.maxBodyBytes allows; send less, or raise the limit',
  media_type_unsupported: 'send the body as application/json',
  body_invalid: 'the body is not as long as its Content-Length says',
  path_invalid: 'the path is not a valid address of this API',
  request_invalid: 'the request ended before it was complete',
};

/** An error as it is answered: nothing of an error that is not coded gets out. */
export interface Answer {
  problem: ProblemDetails;
  headers: Readonly<Record<string, string>>;
}

/**
 * What is told of an error. Coded errors are written for people and keep their code: one that may pass later is 503,
 * one that is not listed above 500. Anything else is a bug: `internal`, without its message.
 */
export function codedOf(error: unknown): {
  code: string;
  detail: string;
  status: ProblemStatus;
  details: Readonly<Record<string, unknown>>;
} {
  if (error instanceof CodedError) {
    const status = STATUS_OF_CODE[error.code] ?? (error.retryable ? 503 : 500);
    return { code: error.code, detail: error.message, status, details: error.details };
  }
  const code = CODE_OF_FRAMEWORK[frameworkCode(error)];
  const status = code === undefined ? undefined : STATUS_OF_CODE[code];
  if (code !== undefined && status !== undefined) {
    return { code, detail: SENTENCE_OF_FRAMEWORK[code] ?? TITLES[status], status, details: {} };
  }
  const detail = 'something went wrong inside of davylamp; its log has the cause under the id of this request';
  return { code: 'internal', detail, status: 500, details: {} };
}

/** @param request the id of the request */
export function answerFor(error: unknown, request: string): Answer {
  const { code, detail, status, details } = codedOf(error);
  const problem: ProblemDetails = { type: `${TYPE_BASE}${code}`, title: TITLES[status], status, detail, code, request };
  if (typeof details['nearest'] === 'string') problem.nearest = details['nearest'];
  if (isInputErrors(details['errors'])) problem.errors = details['errors'];
  const headers: Record<string, string> = {};
  if (status === 503) headers['retry-after'] = RETRY_AFTER_SECONDS;
  if (typeof details['retryAfter'] === 'number') headers['retry-after'] = String(details['retryAfter']);
  if (status === 401) headers['www-authenticate'] = 'Bearer realm="davylamp"';
  if (typeof details['allow'] === 'string') headers['allow'] = details['allow'];
  return { problem, headers };
}

/** A part of a request that does not fit, as one error. */
export function invalid(
  code: 'body_invalid' | 'query_invalid' | 'path_invalid' | 'header_invalid',
  errors: readonly InputError[],
): CodedError {
  const first = errors[0];
  const where = first === undefined || first.path === '' ? '' : `${first.path}: `;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  return new CodedError(code, `${where}${first?.message ?? 'it does not have the expected shape'}${more}`, {
    details: { errors },
  });
}

/** The error answers of an operation, for its schema. */
export function problems<const S extends DocumentedStatus>(...statuses: S[]): Record<S, ProblemResponse> {
  const entries = statuses.map((status) => [
    status,
    { description: MEANINGS[status], content: { 'application/problem+json': { schema: ProblemDetails } } },
  ]);
  return Object.fromEntries(entries) as Record<S, ProblemResponse>;
}

interface ProblemResponse {
  description: string;
  content: { 'application/problem+json': { schema: typeof ProblemDetails } };
}

const MEANINGS = {
  400: 'A part of the request does not fit: `body_invalid`, `query_invalid`, `path_invalid`, `header_invalid`, `cursor_invalid`; `errors` names the places.',
  401: 'No credential, or one that does not hold: `unauthenticated`, `webhook_signature_wrong`.',
  403: 'The caller is known and may not do this: `forbidden`; or a web page of another origin: `origin_refused`.',
  404: 'What the request names does not exist: `application_unknown`, `analysis_unknown`, `rollback_unknown`, `repository_unknown`, `judge_unknown`.',
  409: 'Its state forbids it: `analysis_ended`, `rollback_not_held`, `rollback_final`, `already_reverted`, `marked_good`, `approval_useless`, `approval_needs_another`, `plan_changed`, `rollbacks_stopped`, `push_unconfirmed`, `conflict`, `backup_running`, `webhook_replayed`.',
  413: 'The body is too large: `request_too_large`.',
  415: 'The body is not application/json: `media_type_unsupported`.',
  422: 'Well formed, but it cannot be done: `revision_unknown`, `idempotency_mismatch`, `commit_…`, `plan_required`, `switch_invalid`, `argument_…`.',
  429: 'This caller asks too often, see Retry-After: `rate_limited`.',
  503: 'It may work later, see Retry-After: `store_unavailable`, `queue_unavailable`, `too_many_streams`, or what a back end said.',
} as const;
type DocumentedStatus = keyof typeof MEANINGS;

function frameworkCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String((error as FastifyError).code) : '';
}

function isInputErrors(value: unknown): value is InputError[] {
  return (
    Array.isArray(value) &&
    value.every((entry: unknown) => typeof entry === 'object' && entry !== null && 'path' in entry && 'message' in entry)
  );
}
