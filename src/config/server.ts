import { Type, type Static } from 'typebox';
import { ApplicationName } from '../analysis/record.ts';
import { Duration } from '../analysis/quantities.ts';

/** The `server` section: where davylamp listens, who may call, and what each of them may do. */
const closed = { additionalProperties: false };
const duration = (value: string, description: string) =>
  Type.Optional(Type.Unsafe<string>({ ...Duration, default: value, description }));

export const SCOPES = ['analyses:read', 'analyses:write', 'rollbacks:write', 'rollbacks:approve', 'webhooks', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** What a credential of a configuration that names no scopes may do. */
const ALL_BUT_ADMIN = SCOPES.filter((scope) => scope !== 'admin');

const Address = {
  pattern: '^(\\[[0-9a-fA-F:.]+\\]|[^:\\s]+):[0-9]{1,5}$',
};
const PrincipalName = Type.String({
  pattern: '^[\\x21-\\x7e]([\\x20-\\x7e]{0,98}[\\x21-\\x7e])?$',
  description: 'Stands in the journal as who did it; letters, digits and signs of ASCII.',
});
const scopes = (standard: readonly Scope[], description: string) =>
  Type.Optional(Type.Array(Type.Enum([...SCOPES]), { maxItems: SCOPES.length, default: [...standard], description }));
const applications = Type.Optional(
  Type.Array(ApplicationName, {
    minItems: 1,
    maxItems: 1_000,
    description: 'The only applications that it may see and act on; without this key, all of them.',
  }),
);
const Digest = Type.String({
  pattern: '^[0-9a-f]{64}$',
  description: 'SHA-256 in hex; the secret itself is never in the configuration.',
});
const File = (description: string) => Type.String({ minLength: 1, maxLength: 1_000, description });
const MAX_CREDENTIALS = 100;
const TWO = { minItems: 1, maxItems: 2 };

const Token = Type.Object(
  {
    name: PrincipalName,
    sha256: Type.Optional(Digest),
    sha256s: Type.Optional(
      Type.Array(Digest, {
        ...TWO,
        description: 'Instead of sha256: up to two tokens that are valid at the same time, for a rotation.',
      }),
    ),
    scopes: scopes(ALL_BUT_ADMIN, 'What it may do. `admin` includes the others.'),
    applications,
  },
  closed,
);

const Basic = Type.Object(
  {
    name: PrincipalName,
    username: Type.String({ pattern: '^[\\x21-\\x39\\x3b-\\x7e]{1,100}$', description: 'User name, without a colon.' }),
    passwordSha256: Type.Optional(Digest),
    passwordSha256s: Type.Optional(
      Type.Array(Digest, { ...TWO, description: 'Instead of passwordSha256: two passwords that are valid at the same time.' }),
    ),
    scopes: scopes(['webhooks'], 'What it may do.'),
    applications,
  },
  closed,
);

const Signer = Type.Object(
  {
    name: PrincipalName,
    secretFiles: Type.Array(File('File with a secret, as whsec_BASE64 or as it is; at least 24 bytes.'), {
      ...TWO,
      description: 'Secrets that are valid at the same time; read anew while the service runs.',
    }),
    applications,
  },
  { ...closed, description: 'A sender that signs by the Standard Webhooks specification. It may call webhooks only.' },
);

/** Asymmetric only: with a symmetric one, whoever knows the public keys could sign. */
export const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as const;

const Grant = Type.Object(
  {
    match: Type.Record(Type.String(), Type.String({ minLength: 1, maxLength: 500 }), {
      minProperties: 1,
      maxProperties: 20,
      description: 'Claims and their values, all of which must be met; `*` stands for anything but a slash, `**` for anything.',
    }),
    scopes: Type.Array(Type.Enum([...SCOPES]), {
      minItems: 1,
      maxItems: SCOPES.length,
      description: 'What such a caller may do.',
    }),
    applications,
  },
  closed,
);

const Oidc = Type.Object(
  {
    name: PrincipalName,
    issuer: Type.String({ pattern: '^https?://[^\\s?#]{1,500}$', description: 'The claim `iss`, to the letter.' }),
    audience: Type.String({
      minLength: 1,
      maxLength: 500,
      description: 'What the claim `aud` must hold: a name of this davylamp, never left open.',
    }),
    jwksUrl: Type.Optional(
      Type.String({
        pattern: '^https?://[^\\s#]{1,500}$',
        description: "Address of the issuer's keys; without it, the issuer's discovery document is asked.",
      }),
    ),
    algorithms: Type.Optional(
      Type.Array(Type.Enum([...ALGORITHMS]), {
        minItems: 1,
        maxItems: ALGORITHMS.length,
        default: ['RS256', 'ES256'],
        description: 'Signatures that are accepted.',
      }),
    ),
    clockTolerance: duration('30s', "How far the issuer's clock may be off."),
    keysFor: duration('10m', 'How long fetched keys are used without asking again.'),
    timeout: duration('5s', 'Time for one fetch of keys.'),
    subject: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 200,
        default: 'sub',
        description: 'The claim that stands in the journal, behind the name.',
      }),
    ),
    grants: Type.Array(Grant, {
      minItems: 1,
      maxItems: 100,
      description: 'What callers may do: the first one whose claims match.',
    }),
  },
  { ...closed, description: 'Tokens of an OpenID Connect issuer, such as those of CI jobs.' },
);

const Client = Type.Object(
  {
    name: PrincipalName,
    subject: Type.Optional(Type.String({ minLength: 1, maxLength: 200, description: 'Common name of the certificate.' })),
    san: Type.Optional(
      Type.String({
        pattern: '^(DNS|URI|email):[\\x21-\\x7e]{1,300}$',
        description: 'A subject alternative name, for example DNS:ci.example or URI:spiffe://example/ci.',
      }),
    ),
    scopes: scopes([], 'What it may do.'),
    applications,
  },
  { ...closed, description: 'A caller that is known by its client certificate.' },
);

const Tls = Type.Object(
  {
    certFile: File('Certificate with its chain, PEM.'),
    keyFile: File('Its private key, PEM.'),
    clientCaFile: Type.Optional(File('Certificate authorities of client certificates, PEM.')),
    requireClientCertificate: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Refuses connections without a client certificate; server.probes then serves the health checks.',
      }),
    ),
    minVersion: Type.Optional(Type.Enum(['1.2', '1.3'], { default: '1.2', description: 'Oldest version of TLS.' })),
    reloadEvery: duration('1m', 'How often the files are looked at; changed ones are taken up without a restart.'),
  },
  { ...closed, description: 'Serves https. Without it davylamp speaks plain HTTP, for loopback or behind a proxy.' },
);

const rate = (value: number, description: string) =>
  Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000, default: value, description }));

const MANY = { maxItems: MAX_CREDENTIALS, default: [] };

export const Server = Type.Object(
  {
    listen: Type.Optional(
      Type.String({ ...Address, default: '127.0.0.1:8080', description: 'Address and port; port 0 takes a free one.' }),
    ),
    tokens: Type.Optional(
      Type.Array(Token, {
        ...MANY,
        description: 'Bearer tokens. Without any way to know a caller, only a loopback address may be listened on.',
      }),
    ),
    basic: Type.Optional(
      Type.Array(Basic, {
        ...MANY,
        description:
          'User names and passwords, for clients such as Alertmanager. Passwords must be long random texts, as tokens are.',
      }),
    ),
    signers: Type.Optional(Type.Array(Signer, { ...MANY, description: 'Senders of signed webhooks (Standard Webhooks).' })),
    oidc: Type.Optional(Type.Array(Oidc, { maxItems: 10, default: [], description: 'Issuers whose tokens (JWT) are accepted.' })),
    clients: Type.Optional(
      Type.Array(Client, { ...MANY, description: 'Callers with client certificates; needs tls.clientCaFile.' }),
    ),
    tls: Type.Optional(Tls),
    probes: Type.Optional(
      Type.Object(
        { listen: Type.String({ ...Address, description: 'Address and port; port 0 takes a free one.' }) },
        {
          ...closed,
          description: 'A second, plain listener for /livez, /readyz, /healthz and /metrics only; it asks for no credentials.',
        },
      ),
    ),
    rates: Type.Optional(
      Type.Object(
        {
          reads: rate(200, 'Reads.'),
          writes: rate(100, 'Analyses and rollbacks that are asked for or changed.'),
          judgements: rate(20, 'Judgements of inline data.'),
        },
        {
          ...closed,
          default: {},
          description:
            'Requests a second that one caller may make on average, ten times as many at once; 0 is no limit. Webhooks, health checks and callers on a loopback address without credentials are not limited.',
        },
      ),
    ),
    publicUrl: Type.Optional(
      Type.String({
        pattern: '^https?://',
        maxLength: 2_000,
        description: 'Where people reach this service; for links in pull requests and notices, which have none without it.',
      }),
    ),
    maxBodyBytes: Type.Optional(Type.Integer({ minimum: 1_024, default: 1_048_576, description: 'Largest request body.' })),
    drainDelay: Type.Optional(
      Type.Unsafe<string>({
        ...Duration,
        // A supervisor kills the process in the end: what follows the delay needs the rest of its patience.
        longest: '10s',
        default: '1s',
        description:
          'How long SIGTERM is answered with "not ready" only before connections are refused, so that load balancers notice.',
      }),
    ),
  },
  { ...closed, default: {}, description: 'The HTTP API.' },
);
export type Server = Static<typeof Server>;

/** Every optional key is there, but for those named, which have no default. */
type Filled<T, Open extends keyof T = never> = Required<Omit<T, Open>> & Pick<T, Open>;

/** The section with its defaults filled in. */
export type ResolvedServer = Omit<
  Filled<Server, 'publicUrl'>,
  'tokens' | 'basic' | 'oidc' | 'clients' | 'tls' | 'probes' | 'rates'
> & {
  tokens: Filled<Static<typeof Token>, 'sha256' | 'sha256s' | 'applications'>[];
  basic: Filled<Static<typeof Basic>, 'passwordSha256' | 'passwordSha256s' | 'applications'>[];
  oidc: Filled<Static<typeof Oidc>, 'jwksUrl'>[];
  clients: Filled<Static<typeof Client>, 'subject' | 'san' | 'applications'>[];
  tls?: Filled<Static<typeof Tls>, 'clientCaFile'>;
  probes?: NonNullable<Server['probes']>;
  rates: Required<NonNullable<Server['rates']>>;
};
