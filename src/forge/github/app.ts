import { createPrivateKey, type KeyObject } from 'node:crypto';
import { Type } from 'typebox';
import { CodedError } from '../../errors.ts';
import { ForgeApi, checkedToken, type ForgeApiOptions, type ForgeAuthority, type ForgeDependencies } from '../api.ts';
import type { ForgeSettings } from '../settings.ts';

const Token = Type.Object({
  token: Type.String({ minLength: 1, maxLength: 4_096 }),
  expires_at: Type.String({ format: 'date-time' }),
});
/** The specification does not promise the name; who ended a pull request is then told without leaving ourselves out. */
const App = Type.Object({ slug: Type.Optional(Type.String()) });

/** At most 10 minutes are allowed, and clocks differ ("Generating a JSON Web Token (JWT) for a GitHub App"). */
const JWT_LIVES_S = 540;
const JWT_BACKDATED_S = 60;
const RENEW_BEFORE_MS = 300_000;

/**
 * A GitHub App: proves itself with a JWT (RS256) and gets a token of its installation, restricted to the repository, which
 * lives an hour and is kept until five minutes before its end ("Generating an installation access token for a GitHub App").
 */
export class GithubApp implements ForgeAuthority {
  readonly #settings: ForgeSettings & { app: NonNullable<ForgeSettings['app']> };
  readonly #deps: ForgeDependencies;
  readonly #api: ForgeApi;
  #token: { secret: string; until: number } | null = null;
  #coming: Promise<{ secret: string; until: number }> | null = null;

  constructor(
    settings: ForgeSettings & { app: NonNullable<ForgeSettings['app']> },
    deps: ForgeDependencies,
    options: Omit<ForgeApiOptions, 'authority'>,
  ) {
    this.#settings = settings;
    this.#deps = deps;
    const proof: ForgeAuthority = {
      present: async () => {
        const secret = await this.#jwt();
        return { headers: { authorization: `Bearer ${secret}` }, secret };
      },
      renew: () => false,
    };
    const needs = 'the id of the App, the id of its installation and its private key in forge.app';
    this.#api = new ForgeApi({ ...options, authority: proof, needs });
  }

  async present(signal: AbortSignal): Promise<{ headers: Record<string, string>; secret: string }> {
    const secret = await this.token(signal);
    return { headers: { authorization: `Bearer ${secret}` }, secret };
  }

  /** A token that was taken back is not used again. */
  renew(): boolean {
    const had = this.#token !== null;
    this.#token = null;
    return had;
  }

  async token(signal: AbortSignal): Promise<string> {
    const known = this.#token;
    if (known !== null && known.until - RENEW_BEFORE_MS > this.#deps.clock.now()) return known.secret;
    this.#coming ??= this.#fetch(signal).finally(() => {
      this.#coming = null;
    });
    this.#token = await this.#coming;
    return this.#token.secret;
  }

  /** The name by which what it does is shown. */
  async login(signal: AbortSignal): Promise<string | null> {
    const { slug } = await this.#api.ask({ method: 'GET', path: '/app', what: 'read its own App' }, App, signal);
    return slug === undefined ? null : `${slug}[bot]`;
  }

  async #fetch(signal: AbortSignal): Promise<{ secret: string; until: number }> {
    const { app, project } = this.#settings;
    const call = {
      method: 'POST',
      path: `/app/installations/${encodeURIComponent(app.installation)}/access_tokens`,
      body: { repositories: [project.split('/')[1]] },
      what: 'make a token of the installation',
    } as const;
    const { token, expires_at: until } = await this.#api.ask(call, Token, signal);
    return { secret: checkedToken(token), until: Date.parse(until) };
  }

  async #jwt(): Promise<string> {
    const { id, privateKeyFile } = this.#settings.app;
    const key = rsaKey(await this.#deps.readSecret(privateKeyFile));
    const now = Math.floor(this.#deps.clock.now() / 1_000);
    const { SignJWT } = await import('jose');
    return new SignJWT({})
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
      .setIssuedAt(now - JWT_BACKDATED_S)
      .setExpirationTime(now + JWT_LIVES_S)
      .setIssuer(id)
      .sign(key);
  }
}

/** GitHub hands keys out as PKCS#1, which the WebCrypto importers do not read; what OpenSSL says can quote the key. */
function rsaKey(pem: string): KeyObject {
  let key: KeyObject | null = null;
  try {
    key = createPrivateKey(pem);
  } catch {
    key = null;
  }
  if (key?.asymmetricKeyType === 'rsa') return key;
  throw new CodedError('forge_token_invalid', 'the private key of the GitHub App is no RSA key in PEM; check privateKeyFile');
}
