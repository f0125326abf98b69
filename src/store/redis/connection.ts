import { Cluster, Redis, type ClusterOptions, type RedisOptions } from 'ioredis';
import { CodedError, codeOf, sentenceOf } from '../../errors.ts';
import { redisFailure } from './failures.ts';
import { assess, readInfo, UNKNOWN_FACTS, worst, type RedisConsent } from './policy.ts';
import type { RedisClient, RedisCondition, RedisConnection } from './port.ts';

export interface RedisSettings extends RedisConsent {
  /** `redis://host:port/db` or `rediss://…`, without credentials. */
  url: string;
  username?: string | undefined;
  /** Read anew before every reconnect, so that a rotated password is taken up. */
  readPassword?: (() => Promise<string>) | undefined;
  /** Certificate authorities in PEM; without it, those of the system. */
  readCa?: (() => Promise<string>) | undefined;
  /** Keys begin with it, in braces. */
  prefix: string;
}

interface Log {
  info(facts: object, sentence: string): void;
  warn(facts: object, sentence: string): void;
}

/** Times of the connection, in milliseconds. */
export interface RedisTimes {
  /** How long the start waits for a first connection. */
  openMs: number;
  /** The longest wait between two attempts to connect; the default of the library grows to 20 s. */
  mostReconnectMs: number;
  /** A command of the client that fails fast is given up after this. */
  commandMs: number;
  /** A connection that is silent for this long, while answers are due, is made anew. */
  silenceMs: number;
  /** How often the policy of the server is looked at. */
  inspectMs: number;
}

export const REDIS_TIMES: RedisTimes = {
  openMs: 10_000,
  mostReconnectMs: 1_000,
  commandMs: 3_000,
  silenceMs: 15_000,
  inspectMs: 10_000,
};

const FIRST_RECONNECT_MS = 50;
const CONNECT_TIMEOUT_MS = 5_000;
/** How long a socket is waited for that we end. */
const DISCONNECT_TIMEOUT_MS = 200;
/** Redirections of a cluster that a command follows before it fails. */
const MOST_REDIRECTIONS = 4;

/**
 * Connects to Redis, refuses one that would lose data silently, and keeps an eye on it.
 *
 * @throws CodedError `store_unavailable` (retryable: not reached, or the credentials were refused), `redis_policy`,
 *   `redis_readonly`, `redis_full`
 */
export async function openRedis(
  settings: RedisSettings,
  { log, times: given }: { log?: Log | undefined; times?: Partial<RedisTimes> | undefined } = {},
): Promise<RedisConnection> {
  const times = { ...REDIS_TIMES, ...given };
  const connection = new Connection(settings, times, log, await baseOptions(settings, times));
  try {
    await connection.open();
    return connection;
  } catch (error) {
    await connection.close();
    throw error;
  }
}

async function baseOptions({ url, username, readPassword, readCa }: RedisSettings, times: RedisTimes): Promise<RedisOptions> {
  const { protocol, hostname, port, pathname } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  return {
    host,
    port: port === '' ? 6379 : Number(port),
    db: pathname.length > 1 ? Number(pathname.slice(1)) : 0,
    ...(username === undefined ? {} : { username }),
    ...(readPassword === undefined ? {} : { password: await readPassword() }),
    ...(protocol === 'rediss:' ? { tls: { servername: host, ...(readCa === undefined ? {} : { ca: await readCa() }) } } : {}),
    retryStrategy: (attempt) => Math.min(times.mostReconnectMs, FIRST_RECONNECT_MS * 2 ** Math.min(attempt, 10)),
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    socketTimeout: times.silenceMs,
    // A failover leaves us with a replica under the old address: the next connection finds the primary.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  };
}

class Connection implements RedisConnection {
  readonly keyPrefix: string;
  readonly #settings: RedisSettings;
  readonly #times: RedisTimes;
  readonly #log: Log | undefined;
  readonly #options: RedisOptions;
  /** Each with those that were duplicated from it. */
  readonly #clients = new Map<RedisClient, Set<RedisClient>>();
  #client: RedisClient;
  #isCluster = false;
  #inspectable = true;
  #condition: RedisCondition = { ok: false, code: 'redis_unavailable', sentence: 'Redis was not reached yet.' };
  #inspecting: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #lastError: unknown;
  #closed = false;

  constructor(settings: RedisSettings, times: RedisTimes, log: Log | undefined, options: RedisOptions) {
    this.keyPrefix = `{${settings.prefix}}`;
    this.#settings = settings;
    this.#times = times;
    this.#log = log;
    this.#options = options;
    this.#client = this.#make('fast');
  }

  get inspectable(): boolean {
    return this.#inspectable;
  }

  get client(): RedisClient {
    return this.#client;
  }

  patientClient(): RedisClient {
    return this.#make('patient');
  }

  release(client: RedisClient): void {
    const copies = this.#clients.get(client);
    this.#clients.delete(client);
    for (const each of [client, ...(copies ?? [])]) each.disconnect();
  }

  condition(): RedisCondition {
    return this.#condition;
  }

  explain(error: unknown, code: 'store_unavailable' | 'queue_unavailable'): CodedError | undefined {
    const failure = redisFailure(error);
    if (failure === undefined) return undefined;
    const { reason, sentence } = failure;
    if (reason === 'full') this.#learn({ ok: false, code: 'redis_full', sentence });
    return new CodedError(code, sentence, { retryable: true, details: { redis: reason } });
  }

  async open(): Promise<void> {
    await this.#whenReady();
    let facts = await this.#factsOf(this.#client);
    if (facts.some(({ cluster }) => cluster)) {
      this.release(this.#client);
      this.#isCluster = true;
      this.#client = this.#make('fast');
      await this.#whenReady();
      facts = await this.#factsOf(this.#client);
    }
    const condition = worst(facts.map((each) => assess(each, this.#settings)));
    if (condition?.ok !== true) {
      throw new CodedError(condition?.code ?? 'store_unavailable', condition?.sentence ?? 'Redis did not answer.', {
        details: { server: this.#address() },
      });
    }
    this.#learn(condition);
    this.#client.on('ready', () => this.#inspect());
    this.#timer = setInterval(() => this.#inspect(), this.#times.inspectMs);
    this.#timer.unref();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const client of this.#clients.keys()) this.release(client);
    await this.#inspecting;
  }

  #address(): string {
    return `${String(this.#options.host)}:${String(this.#options.port)}`;
  }

  /** Waits for the first connection; refused credentials do not get better by waiting. */
  async #whenReady(): Promise<void> {
    const client = this.#client;
    if (client.status === 'ready') return;
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string) =>
        reject(
          new CodedError('store_unavailable', `${why} The address is ${this.#address()}.`, {
            retryable: true,
            details: { server: this.#address() },
          }),
        );
      const timer = setTimeout(
        () => fail(redisFailure(this.#lastError)?.sentence ?? 'Redis was not reached.'),
        this.#times.openMs,
      );
      const onError = (error: unknown) => {
        const failure = redisFailure(error);
        if (failure?.reason === 'refused') settle(() => fail(failure.sentence));
      };
      const settle = (then: () => void) => {
        clearTimeout(timer);
        client.off('ready', onReady);
        client.off('error', onError);
        then();
      };
      const onReady = () => settle(resolve);
      client.on('ready', onReady);
      client.on('error', onError);
    });
  }

  #make(kind: 'fast' | 'patient'): RedisClient {
    const waiting: RedisOptions =
      kind === 'fast'
        ? // Nobody waits for a Redis that is away: the API says so at once, and the sender repeats.
          { enableOfflineQueue: false, maxRetriesPerRequest: 0, commandTimeout: this.#times.commandMs }
        : { enableOfflineQueue: true, maxRetriesPerRequest: null };
    const options: RedisOptions = { ...this.#options, ...waiting };
    const client = this.#isCluster ? new Cluster([this.#node()], this.#clusterOptions(kind, options)) : new Redis(options);
    this.#clients.set(client, this.#copiesOf(client));
    client.on('error', (error: unknown) => this.#noteError(error));
    client.on('close', () => void this.#rereadPassword(client));
    return client;
  }

  /** A library that needs a connection of its own duplicates the one it got: the copy is looked after all the same. */
  #copiesOf(client: RedisClient): Set<RedisClient> {
    const copies = new Set<RedisClient>();
    const duplicate = Reflect.get(client, 'duplicate');
    Object.defineProperty(client, 'duplicate', {
      configurable: true,
      value: (...args: unknown[]): unknown => {
        const copy: unknown = Reflect.apply(duplicate, client, args);
        if (copy instanceof Redis || copy instanceof Cluster) {
          copies.add(copy);
          copy.on('close', () => void this.#rereadPassword(copy));
        }
        return copy;
      },
    });
    return copies;
  }

  #node(): { host: string; port: number } {
    return { host: this.#options.host ?? '', port: this.#options.port ?? 0 };
  }

  #clusterOptions(kind: 'fast' | 'patient', { db: _db, ...redisOptions }: RedisOptions): ClusterOptions {
    return {
      redisOptions,
      enableOfflineQueue: kind === 'patient',
      ...(kind === 'fast' ? { maxRedirections: MOST_REDIRECTIONS } : {}),
      clusterRetryStrategy: (attempt) => Math.min(this.#times.mostReconnectMs, FIRST_RECONNECT_MS * 2 ** Math.min(attempt, 10)),
      // Certificates are made for names, so names are not resolved before the connection is made.
      ...(redisOptions.tls === undefined ? {} : { dnsLookup: (address, done) => done(null, address) }),
    };
  }

  #noteError(error: unknown): void {
    const isNews = sentenceOf(error) !== sentenceOf(this.#lastError);
    this.#lastError = error;
    const failure = redisFailure(error);
    this.#learn({ ok: false, code: 'redis_unavailable', sentence: failure?.sentence ?? 'Redis does not answer.' });
    // The error itself carries the command with its arguments, the password among them.
    if (isNews && !this.#closed) {
      this.#log?.warn({ server: this.#address(), reason: failure?.reason ?? 'away' }, failure?.sentence ?? sentenceOf(error));
    }
  }

  async #rereadPassword(client: RedisClient): Promise<void> {
    const { readPassword } = this.#settings;
    if (readPassword === undefined || this.#closed) return;
    try {
      const password = await readPassword();
      this.#options.password = password;
      const options = client instanceof Cluster ? client.options.redisOptions : client.options;
      if (options !== undefined) Object.assign(options, { password });
    } catch (error) {
      // The password that was read before is tried again, and the file at the next reconnect.
      this.#log?.warn({ code: codeOf(error) }, sentenceOf(error));
    }
  }

  #inspect(): void {
    if (this.#closed) return;
    this.#inspecting = this.#inspecting.then(async () => {
      try {
        const facts = await this.#factsOf(this.#client);
        const condition = worst(facts.map((each) => assess(each, this.#settings)));
        if (condition !== undefined) this.#learn(condition);
      } catch (error) {
        const sentence = redisFailure(error)?.sentence ?? sentenceOf(error);
        this.#learn({ ok: false, code: 'redis_unavailable', sentence });
      }
    });
  }

  async #factsOf(client: RedisClient) {
    const nodes = client instanceof Cluster ? client.nodes('master') : [client];
    return Promise.all(
      nodes.map(async (node) => {
        try {
          return readInfo(await node.info());
        } catch (error) {
          if (error instanceof Error && error.message.startsWith('NOPERM')) {
            this.#inspectable = false;
            return UNKNOWN_FACTS;
          }
          throw this.explain(error, 'store_unavailable') ?? error;
        }
      }),
    );
  }

  #learn(condition: RedisCondition): void {
    const { code } = this.#condition;
    this.#condition = condition;
    if (code === condition.code || this.#closed) return;
    const facts = { server: this.#address(), code: condition.code };
    if (condition.ok && condition.code === 'ok') this.#log?.info(facts, condition.sentence);
    else this.#log?.warn(facts, condition.sentence);
  }
}
