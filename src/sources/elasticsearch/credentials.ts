import { CodedError } from '../../errors.ts';
import type { TlsMaterial } from '../../net/client.ts';
import type { ElasticsearchSource } from './schema.ts';

export interface Access {
  headers: Readonly<Record<string, string>>;
  tls: TlsMaterial | null;
}
type ReadSecret = (file: string) => Promise<string>;

/**
 * What proves to Elasticsearch who is asking, read from its files at every use, so that a rotated secret is taken up.
 *
 * @throws CodedError `secret_unreadable`, `source_invalid`
 */
export async function accessOf(config: ElasticsearchSource, readSecret: ReadSecret): Promise<Access> {
  const headers: Record<string, string> = {};
  for (const [name, { file }] of Object.entries(config.headers ?? {}))
    headers[name.toLowerCase()] = sendable(await readSecret(file));
  if (config.apiKeyFile !== undefined) headers['authorization'] = `ApiKey ${sendable(await readSecret(config.apiKeyFile))}`;
  if (config.tokenFile !== undefined) headers['authorization'] = `Bearer ${sendable(await readSecret(config.tokenFile))}`;
  if (config.username !== undefined && config.passwordFile !== undefined) {
    const pair = `${config.username}:${await readSecret(config.passwordFile)}`;
    headers['authorization'] = `Basic ${Buffer.from(pair, 'utf8').toString('base64')}`;
  }
  return { headers, tls: await tlsOf(config.tls, readSecret) };
}

async function tlsOf(files: ElasticsearchSource['tls'], readSecret: ReadSecret): Promise<TlsMaterial | null> {
  if (files === undefined) return null;
  const { caFile, certFile, keyFile } = files;
  return {
    ...(caFile !== undefined && { ca: await readSecret(caFile) }),
    ...(certFile !== undefined && { cert: await readSecret(certFile) }),
    ...(keyFile !== undefined && { key: await readSecret(keyFile) }),
  };
}

/** The error of a header that cannot be sent would quote it. */
function sendable(secret: string): string {
  if (/^[\x20-\x7e]+$/.test(secret)) return secret;
  throw new CodedError(
    'source_invalid',
    'a secret file of the source holds signs that a header cannot carry; write one line of ASCII',
  );
}
