import { Type, type Static } from 'typebox';

const closed = { additionalProperties: false };
const file = (description: string) => Type.String({ minLength: 1, maxLength: 1_000, description });

export const SigningConfig = Type.Union(
  [
    Type.Object(
      {
        type: Type.Literal('ssh'),
        keyFile: file('Private key without a passphrase, or the public half of a key that an ssh-agent holds.'),
      },
      closed,
    ),
    Type.Object(
      {
        type: Type.Literal('gpg'),
        keyId: Type.String({
          pattern: '^[0-9A-Fa-f]{8,64}$',
          description: 'Id or fingerprint of the secret key, in hexadecimal digits; the key has no passphrase.',
        }),
        home: file('Folder of GnuPG that holds the secret key (GNUPGHOME); gpg must be able to write to it.'),
      },
      closed,
    ),
  ],
  { description: 'How the commits are signed; without it they are not. A commit that cannot be signed is not made.' },
);
export type SigningConfig = Static<typeof SigningConfig>;

export const SshConfig = Type.Object(
  {
    keyFile: file('Private key without a passphrase.'),
    knownHostsFile: file('Keys of the host, in the form of ssh-keyscan; no other host is spoken to.'),
  },
  { ...closed, description: 'How an ssh:// address is reached; without it, by an ssh-agent and the known hosts of the machine.' },
);
export type SshConfig = Static<typeof SshConfig>;
