import {
  pino,
  stdSerializers,
  type Bindings,
  type ChildLoggerOptions,
  type DestinationStream,
  type Logger as PinoLogger,
} from 'pino';

/**
 * Call it with fields and a static message: `log.info({ application, rollback }, 'rollback pushed')`. Facts go into the
 * fields, so that messages can be searched for and never carry what a client sent.
 */
export type Logger = PinoLogger;
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Field names whose value is a secret; compared without case, `-` and `_`. */
const SECRET_NAMES: ReadonlySet<string> = new Set([
  'authorization',
  'proxyauthorization',
  'cookie',
  'setcookie',
  'token',
  'accesstoken',
  'refreshtoken',
  'idtoken',
  'password',
  'passwd',
  'passphrase',
  'secret',
  'clientsecret',
  'apikey',
  'xapikey',
  'privatekey',
  'credential',
  'credentials',
]);
const REDACTED = '[redacted]';
const MAX_DEPTH = 8;
const MAX_ENTRIES = 200;
const MAX_TEXT = 16_384;

/** `https://user:password@host` and `Bearer abc` also turn up inside of texts, such as the errors of git. */
const URL_CREDENTIALS = /\b([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/@"']{1,512}@/gi;
const AUTHORIZATION_VALUE = /\b(bearer|basic)\s+[a-z0-9._~+/=-]{4,}/gi;

/** One JSON object a line on stdout, or on `destination`. */
export function createLogger(options: { level: LogLevel; destination?: DestinationStream }): Logger {
  const settings = {
    level: options.level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: {
      level: (label: string) => ({ level: label }),
      log: redactFields,
    },
  };
  const logger: Logger = options.destination === undefined ? pino(settings) : pino(settings, options.destination);
  const child = Reflect.get(logger, 'child');
  // pino runs the formatter of bindings for the first logger only; children inherit this property from it.
  Object.defineProperty(logger, 'child', {
    value(this: Logger, fields: Bindings, ownSettings?: ChildLoggerOptions): Logger {
      return Reflect.apply(child, this, [redactFields(fields), ownSettings]) as Logger;
    },
  });
  return logger;
}

function redactFields(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, redactNamed(name, value, 1)]));
}

function redactNamed(name: string, value: unknown, depth: number): unknown {
  return SECRET_NAMES.has(name.toLowerCase().replaceAll(/[-_]/g, '')) ? REDACTED : redact(value, depth);
}

/**
 * A copy of what will be written: pino's own `redact` knows paths of a fixed depth only, and an error carries its
 * credentials in texts.
 */
function redact(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return withoutCredentials(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MAX_DEPTH) return '[too deep]';
  if (value instanceof Error) return redact({ ...stdSerializers.err(value) }, depth);
  if (Array.isArray(value)) return value.slice(0, MAX_ENTRIES).map((entry) => redact(entry, depth + 1));
  if (value instanceof Date || 'toJSON' in value) return value;
  const entries =
    value instanceof Map ? [...value].map(([name, entry]) => [String(name), entry] as const) : Object.entries(value);
  return Object.fromEntries(entries.slice(0, MAX_ENTRIES).map(([name, entry]) => [name, redactNamed(name, entry, depth + 1)]));
}

function withoutCredentials(text: string): string {
  const short = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}… (${text.length} characters)` : text;
  return short.replace(URL_CREDENTIALS, `$1${REDACTED}@`).replace(AUTHORIZATION_VALUE, `$1 ${REDACTED}`);
}
