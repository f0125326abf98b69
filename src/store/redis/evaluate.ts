import { CodedError } from '../../errors.ts';
import type { RedisConnection } from './port.ts';
import type { Script } from './scripts.ts';

/**
 * Runs a script, which is sent whole only to a server that does not have it. The answer has no type that the compiler
 * could know: each caller says what its script answers.
 *
 * @throws CodedError `store_unavailable`, `store_full` (both retryable)
 */
export async function evaluate<Answer>(
  connection: RedisConnection,
  { source, sha }: Script,
  keys: readonly string[],
  args: readonly (string | number)[],
): Promise<Answer> {
  const { client } = connection;
  return asking(connection, async () => {
    try {
      return (await client.evalsha(sha, keys.length, ...keys, ...args)) as Answer;
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return (await client.eval(source, keys.length, ...keys, ...args)) as Answer;
    }
  });
}

/** Says what a failure of Redis means. */
export async function asking<T>(connection: RedisConnection, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    const explained = connection.explain(error, 'store_unavailable');
    if (explained?.details['redis'] !== 'full') throw explained ?? error;
    throw new CodedError('store_full', explained.message, { retryable: true, details: explained.details });
  }
}
