import type { Cluster, Redis } from 'ioredis';
import type { CodedError } from '../../errors.ts';

export type RedisClient = Redis | Cluster;

/** What is known of the Redis itself; the store and the queue answer with it when they have nothing worse to say. */
export interface RedisCondition {
  ok: boolean;
  /** `ok`, `redis_unavailable`, `redis_policy`, `redis_full`, `redis_readonly`, `not_durable` (works, by consent, without an append-only file) */
  code: string;
  sentence: string;
}

/** The one Redis that the store and the queue of a process share. */
export interface RedisConnection {
  /** `{prefix}`: every key begins with it, so that all of them lie in one slot of a cluster. */
  readonly keyPrefix: string;
  /** Commands fail at once while Redis is away, and after a named time when it does not answer. */
  readonly client: RedisClient;
  /** A further connection, whose commands wait until Redis is back; to be released by who asked for it. */
  patientClient(): RedisClient;
  /** Disconnects a patient client and what was duplicated from it. */
  release(client: RedisClient): void;
  /** Whether the server answers INFO. */
  readonly inspectable: boolean;
  /** As of the last inspection, which follows every connect and is repeated on a timer. */
  condition(): RedisCondition;
  /**
   * What a failed command means.
   *
   * @returns a `CodedError` with that code (retryable) when Redis is at fault; undefined when the command was wrong,
   *   which is a bug and is thrown as it is
   */
  explain(error: unknown, code: 'store_unavailable' | 'queue_unavailable'): CodedError | undefined;
  close(): Promise<void>;
}
