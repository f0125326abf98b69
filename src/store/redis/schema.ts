import { Type } from 'typebox';

export const RedisStorage = Type.Object(
  {
    kind: Type.Literal('redis'),
    url: Type.String({
      pattern: '^rediss?://',
      maxLength: 2_000,
      description: 'Address of the Redis, redis://host:port/database or rediss:// for TLS, without credentials in it.',
    }),
    path: Type.Optional(
      Type.String({
        minLength: 1,
        default: './data',
        description: 'Folder for what can be fetched again, such as mirrors, relative to the configuration file.',
      }),
    ),
    username: Type.Optional(
      Type.String({ minLength: 1, maxLength: 200, description: 'User of an ACL; without it, the default user.' }),
    ),
    passwordFile: Type.Optional(
      Type.String({ minLength: 1, description: 'File that holds the password; read anew before every reconnect.' }),
    ),
    tls: Type.Optional(
      Type.Object(
        {
          caFile: Type.Optional(
            Type.String({ minLength: 1, description: 'Certificate authorities, PEM; else those of the system.' }),
          ),
        },
        { additionalProperties: false, default: {}, description: 'How a rediss:// server is verified.' },
      ),
    ),
    prefix: Type.Optional(
      Type.String({
        pattern: '^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$',
        default: 'davylamp',
        description: 'Every key begins with {prefix}; installations that share a Redis need different ones.',
      }),
    ),
    acceptNotDurable: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Start on a Redis without an append-only file, which forgets everything when it restarts.',
      }),
    ),
    acceptUnverified: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Start on a Redis that does not tell its eviction policy and persistence (INFO is forbidden).',
      }),
    ),
  },
  { additionalProperties: false },
);
