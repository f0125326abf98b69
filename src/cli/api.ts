import { Type, type Static, type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { readSecret } from '../config/secrets.ts';
import { CodedError } from '../errors.ts';
import { EXIT, readArguments, usage, type Command, type Surroundings } from './command-line.ts';
import { complainAbout } from './config-errors.ts';

/** One request to a running service; src/app/calling.ts sends it, within bounds of time and size. */
export interface ApiRequest {
  method: 'GET' | 'POST';
  url: string;
  headers: Readonly<Record<string, string>>;
  body?: string;
}
export type SendRequest = (request: ApiRequest) => Promise<{ status: number; text: string }>;

export const DEFAULT_SERVER = 'http://127.0.0.1:8080';
/** For the usage of every command that calls a service. */
export const SERVER_USAGE = '[--server URL] [--token-file FILE]';
const PAGE = 100;

type Query = Readonly<Record<string, string | number | undefined>>;

/** The HTTP API of a running service, as commands use it. */
export class Api {
  readonly #send: SendRequest;
  readonly #base: string;
  readonly #token: string | null;

  constructor(send: SendRequest, base: string, token: string | null) {
    this.#send = send;
    this.#base = base;
    this.#token = token;
  }

  /**
   * @param path with its own `/api/v1`, every name in it through `encodeURIComponent`
   * @returns the answer as it came, keys that are newer than this version included
   * @throws CodedError the code of the service's problem, `answer_unexpected`, and those of the HTTP client
   */
  get<S extends TSchema>(path: string, schema: S, query: Query = {}): Promise<Static<S>> {
    return this.#call('GET', `${path}${queryText(query)}`, undefined, schema);
  }

  /** @throws CodedError as `get` */
  post<S extends TSchema>(path: string, body: unknown, schema: S): Promise<Static<S>> {
    return this.#call('POST', path, body, schema);
  }

  /**
   * Reads a listing page by page.
   * @returns at most `most` items, newest first, and whether there are more
   * @throws CodedError as `get`
   */
  async list<S extends TSchema>(
    path: string,
    item: S,
    { most, query = {} }: { most: number; query?: Query },
  ): Promise<{ items: Static<S>[]; more: boolean }> {
    const items: Static<S>[] = [];
    const page = Type.Object({ items: Type.Array(item), next: Type.Union([Type.String(), Type.Null()]) });
    let cursor: string | undefined;
    do {
      const limit = Math.min(PAGE, most - items.length);
      const answer: { items: Static<S>[]; next: string | null } = await this.get(path, page, { ...query, limit, cursor });
      items.push(...answer.items);
      cursor = answer.next ?? undefined;
    } while (cursor !== undefined && items.length < most);
    return { items, more: cursor !== undefined };
  }

  async #call<S extends TSchema>(method: ApiRequest['method'], path: string, body: unknown, schema: S): Promise<Static<S>> {
    const { status, text } = await this.#send({
      method,
      url: `${this.#base}${path}`,
      headers: {
        accept: 'application/json',
        ...(this.#token !== null && { authorization: `Bearer ${this.#token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const answer = jsonIn(text);
    if (status < 200 || status > 299) throw problemOf(status, answer);
    // What a newer service adds is no reason to refuse its answer.
    if (!Value.Check(schema, Value.Clean(schema, Value.Clone(answer)))) {
      throw new CodedError(
        'answer_unexpected',
        `what ${this.#base} answered is not what this version of davylamp expects; check --server, and use the version that runs there`,
        { details: { status } },
      );
    }
    return answer as Static<S>;
  }
}

type Shape = Parameters<typeof readArguments>[1];

/**
 * A command that calls a running service. Its options `--server` and `--token-file`, the environment and the complaints
 * are the same for all of them; exit code 1 where the service says no or cannot be asked.
 *
 * @param shape of the arguments, without the two options
 */
export function apiCommand(
  send: SendRequest,
  shape: Shape,
  run: (call: Pick<Surroundings, 'write' | 'complain'> & ReturnType<typeof readArguments> & { api: Api }) => Promise<void>,
): Command {
  return async (args, { environment, write, complain }) => {
    const parsed = readArguments(args, { ...shape, values: [...(shape.values ?? []), 'server', 'token-file'] });
    const server = parsed.values.get('server') ?? named(environment['DAVYLAMP_SERVER']) ?? DEFAULT_SERVER;
    const base = addressOf(server);
    try {
      const token = await tokenOf(parsed.values.get('token-file'), environment);
      await run({ ...parsed, write, complain, api: new Api(send, base, token) });
      return EXIT.done;
    } catch (error) {
      return complainAbout(toldBy(error, base), complain);
    }
  };
}

/** Text that somebody else wrote, on one line and without what would steer a terminal. */
export function plain(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim();
}

/** Columns as wide as their widest cell; the last one is not filled up. */
export function table(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(plain));
  const widths = (cells[0] ?? []).map((_, at) => Math.max(...cells.map((row) => (row[at] ?? '').length)));
  return cells
    .map((row) => row.map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd(widths[at] ?? 0))).join('  '))
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}

function addressOf(server: string): string {
  const url = URL.canParse(server) ? new URL(server) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol) || url.search !== '' || url.hash !== '') {
    throw usage(`'${plain(server)}' is no address of a service; write for example --server ${DEFAULT_SERVER}`);
  }
  if (url.username !== '' || url.password !== '') {
    throw usage('--server holds a user name or a password; give a token with --token-file');
  }
  return url.href.replace(/\/+$/, '');
}

/** A file is better than the environment, which other programs of the user can read. */
async function tokenOf(file: string | undefined, environment: Surroundings['environment']): Promise<string | null> {
  if (file !== undefined) return readSecret('.', file, '--token-file');
  const other = named(environment['DAVYLAMP_TOKEN_FILE']);
  if (other !== undefined) return readSecret('.', other, 'DAVYLAMP_TOKEN_FILE');
  return named(environment['DAVYLAMP_TOKEN']) ?? null;
}

/** A variable that is set to nothing is not set. */
function named(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}

function queryText(query: Query): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value));
  return search.size === 0 ? '' : `?${search.toString()}`;
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The service's own words, when it is one. */
function problemOf(status: number, answer: unknown): CodedError {
  if (typeof answer === 'object' && answer !== null && 'code' in answer && 'detail' in answer) {
    return new CodedError(plain(String(answer.code)), plain(String(answer.detail)), { details: { status } });
  }
  return new CodedError('answer_unexpected', `the service answered ${status} without saying why; check --server and the token`, {
    details: { status },
  });
}

/** Where nobody answers, the address is what a person can check. */
function toldBy(error: unknown, base: string): unknown {
  if (!(error instanceof CodedError) || error.code !== 'connect_failed') return error;
  return new CodedError(error.code, `no davylamp answers at ${base}; start it, or name it with --server or DAVYLAMP_SERVER`, {
    retryable: true,
    cause: error,
  });
}
