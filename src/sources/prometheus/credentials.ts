import { Buffer } from 'node:buffer';
import { CodedError } from '../../errors.ts';
import type { TlsMaterial } from '../../net/client.ts';
import type { PrometheusSource } from './schema.ts';

export type ReadSecret = (file: string) => Promise<string>;

const OWN_HEADERS = new Set([
  'accept',
  'accept-encoding',
  'authorization',
  'connection',
  'content-length',
  'content-type',
  'host',
  'transfer-encoding',
  'x-scope-orgid',
]);

/** What a request shows of itself. */
export interface Presented {
  headers: Record<string, string>;
  tls: TlsMaterial | undefined;
}

/**
 * Reads every secret from its file, at every use, so that a rotated one is taken up.
 *
 * @throws CodedError `secret_unreadable` (retryable), `source_invalid`
 */
export async function present(config: PrometheusSource, readSecret: ReadSecret): Promise<Presented> {
  const { credentials, headers = {}, tenant, tls } = config;
  const presented: Presented = { headers: {}, tls: undefined };
  for (const [name, { file }] of Object.entries(headers)) presented.headers[name.toLowerCase()] = await line(file, readSecret);
  if (tenant !== undefined) presented.headers['x-scope-orgid'] = tenant;
  if (credentials !== undefined && 'tokenFile' in credentials) {
    presented.headers['authorization'] = `Bearer ${await line(credentials.tokenFile, readSecret)}`;
  } else if (credentials !== undefined) {
    const pair = `${credentials.username}:${await readSecret(credentials.passwordFile)}`;
    presented.headers['authorization'] = `Basic ${Buffer.from(pair, 'utf8').toString('base64')}`;
  }
  if (tls !== undefined && Object.keys(tls).length > 0) {
    const { caFile, certFile, keyFile } = tls;
    presented.tls = {
      ...(caFile !== undefined && { ca: await readSecret(caFile) }),
      ...(certFile !== undefined && { cert: await readSecret(certFile) }),
      ...(keyFile !== undefined && { key: await readSecret(keyFile) }),
    };
  }
  return presented;
}

/** What the schema cannot say. @throws CodedError `source_invalid` */
export function checkConfiguration({ url, tls, headers = {} }: PrometheusSource): void {
  const refuse = (why: string) => new CodedError('source_invalid', why);
  if (!URL.canParse(url)) throw refuse('the url cannot be read; write for example http://prometheus:9090');
  const { username, password, host } = new URL(url);
  if (username !== '' || password !== '') {
    throw refuse(`the url of ${host} holds a user name or password; take it out and use credentials`);
  }
  if ((tls?.certFile === undefined) !== (tls?.keyFile === undefined)) {
    throw refuse('tls needs certFile and keyFile together');
  }
  const own = Object.keys(headers).find((name) => OWN_HEADERS.has(name.toLowerCase()));
  if (own !== undefined) throw refuse(`the header ${own} is set by davylamp itself; for Authorization use credentials`);
}

/** A value of a header; a line break in it would begin another header. */
async function line(file: string, readSecret: ReadSecret): Promise<string> {
  const secret = (await readSecret(file)).trim();
  if (/^[\x20-\x7e]+$/.test(secret)) return secret;
  throw new CodedError(
    'source_invalid',
    `the file ${file} does not hold one line of plain signs, so it cannot be sent as a header`,
  );
}
