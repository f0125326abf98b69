/** Why a command failed, when Redis or the way to it is at fault. */
export interface RedisFailure {
  reason: 'away' | 'full' | 'readonly' | 'refused';
  /** What to do, for a person. */
  sentence: string;
}

/** The words that Redis begins its errors with. */
const ANSWERS: readonly { word: RegExp; reason: RedisFailure['reason']; sentence: string }[] = [
  {
    word: /^OOM\b|-OOM |: OOM /,
    reason: 'full',
    sentence: 'Redis is full (maxmemory is reached). Give it more memory; nothing was lost.',
  },
  {
    word: /^(READONLY|UNBLOCKED)\b|: -?READONLY\b/,
    reason: 'readonly',
    sentence: 'Redis is a replica and takes no writes. Point storage.url at the primary.',
  },
  {
    word: /^MISCONF\b|: -?MISCONF\b/,
    reason: 'away',
    sentence: 'Redis cannot write to its disk and takes no writes. Make room on the disk of Redis.',
  },
  {
    word: /^(NOAUTH|WRONGPASS|ERR invalid password|ERR AUTH)/,
    reason: 'refused',
    sentence: 'Redis refused the credentials. Check storage.username and the content of storage.passwordFile.',
  },
  {
    word: /^NOPERM\b/,
    reason: 'refused',
    sentence: 'The user of Redis may not do that. Give it the commands that docs/reference/redis.md lists.',
  },
  {
    word: /^(LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MOVED|ASK|BUSY|NOREPLICAS|NOMASTERLINK)\b/,
    reason: 'away',
    sentence: 'Redis is not ready.',
  },
];

/** How ioredis and the system say that there is no connection, or no answer. */
const AWAY =
  /enableOfflineQueue|Connection is closed|max retries per request|Command timed out|Socket timeout|aborted due to connection close|Connection is not available|Failed to refresh slots cache|None of startup nodes|Too many Cluster redirections|All nodes are|Socket closed|connect ETIMEDOUT/i;

/**
 * Tells a failure of Redis from a mistake of ours. The text of the error is not passed on: with it go the arguments of
 * the command.
 *
 * @returns undefined for any other error
 * @see https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors
 */
export function redisFailure(error: unknown): RedisFailure | undefined {
  if (!(error instanceof Error)) return undefined;
  for (const { word, reason, sentence } of ANSWERS) {
    if (word.test(error.message)) return { reason, sentence };
  }
  const systemCode = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  const isSystem = systemCode !== undefined && /^(E[A-Z]+|CERT_[A-Z_]+|[A-Z_]*CERT[A-Z_]*|UNABLE_TO_[A-Z_]+)$/.test(systemCode);
  if (!isSystem && !AWAY.test(error.message)) return undefined;
  const why = systemCode === undefined ? '' : ` (${systemCode})`;
  return { reason: 'away', sentence: `Redis does not answer${why}. Nothing that was confirmed is lost; it is tried again.` };
}
