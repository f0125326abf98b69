import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';

const SCANNED_AT_ONCE = 500;

/** The Redis that the demo was given, with a prefix that no other run has. */
export interface DemoRedis {
  /** Without credentials. */
  url: string;
  username: string | null;
  password: string | null;
  prefix: string;
}

/** @returns null when this is not the address of a Redis */
export function demoRedis(text: string): DemoRedis | null {
  if (!/^rediss?:\/\/[^/]/.test(text) || !URL.canParse(text)) return null;
  const url = new URL(text);
  const [username, password] = [url.username, url.password].map(decodeURIComponent);
  url.username = '';
  url.password = '';
  return {
    url: url.href,
    username: username === undefined || username === '' ? null : username,
    password: password === undefined || password === '' ? null : password,
    prefix: `davylamp-demo-${randomBytes(4).toString('hex')}`,
  };
}

export const PASSWORD_FILE = 'redis-password';

/** What stands under `storage` in davylamp's configuration. */
export function storageOf(redis: DemoRedis | null): Record<string, unknown> {
  if (redis === null) return { kind: 'embedded', path: './data' };
  const { url, username, password, prefix } = redis;
  return {
    kind: 'redis',
    url,
    path: './data',
    prefix,
    ...(username === null ? {} : { username }),
    ...(password === null ? {} : { passwordFile: `./${PASSWORD_FILE}` }),
    // A Redis to play with often has no append-only file, and the story is over in a minute.
    acceptNotDurable: true,
  };
}

/** Removes what the demo left in the Redis. */
export async function forgetIn({ url, username, password, prefix }: DemoRedis): Promise<void> {
  const client = new Redis(url, {
    ...(username === null ? {} : { username }),
    ...(password === null ? {} : { password }),
    lazyConnect: true,
    retryStrategy: null,
  });
  // The error is that of the command, too.
  client.on('error', () => undefined);
  try {
    await client.connect();
    for (let cursor = '0'; ;) {
      const [next, keys] = await client.scan(cursor, 'MATCH', `{${prefix}}*`, 'COUNT', SCANNED_AT_ONCE);
      if (keys.length > 0) await client.unlink(...keys);
      if (next === '0') return;
      cursor = next;
    }
  } finally {
    client.disconnect();
  }
}
