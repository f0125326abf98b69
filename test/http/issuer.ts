import { SignJWT, exportJWK, generateKeyPair, type CryptoKey, type JWK } from 'jose';
import { startFaultServer } from '../support/fault-server.ts';

const DISCOVERY = '/.well-known/openid-configuration';

/** An OpenID Connect issuer on loopback: keys that can be rotated, tokens with any claims, and every way to fail. */
export async function startIssuer() {
  const far = await startFaultServer();
  const issuer = far.url;
  const keys = new Map<string, { publicKey: JWK; privateKey: CryptoKey }>();
  const publish = () =>
    far.on('/keys', { kind: 'answer', body: JSON.stringify({ keys: [...keys.values()].map(({ publicKey }) => publicKey) }) });
  const addKey = async (kid: string, alg = 'RS256') => {
    const pair = await generateKeyPair(alg, { extractable: true });
    keys.set(kid, { privateKey: pair.privateKey, publicKey: { ...(await exportJWK(pair.publicKey)), kid, alg, use: 'sig' } });
    publish();
  };
  far.on(DISCOVERY, { kind: 'answer', body: JSON.stringify({ issuer, jwks_uri: `${issuer}/keys` }) });
  await addKey('one');
  return {
    far,
    issuer,
    keys,
    publish,
    addKey,
    discovery: (document: unknown) => far.on(DISCOVERY, { kind: 'answer', body: JSON.stringify(document) }),
    fetches: () => far.requests.filter(({ path }) => path === '/keys').length,
    /** A token of a CI job that is good at `now`; every part of it can be replaced. */
    async token(
      now: number,
      {
        kid = 'one',
        header = {},
        claims = {},
        key,
      }: { kid?: string; header?: object; claims?: object; key?: CryptoKey | Uint8Array } = {},
    ) {
      const seconds = Math.floor(now / 1_000);
      const signer = key ?? keys.get(kid)?.privateKey;
      if (signer === undefined) throw new Error(`the issuer has no key ${kid}`);
      const payload = {
        iss: issuer,
        aud: 'davylamp',
        sub: 'repo:acme/shop:ref:refs/heads/main',
        repository: 'acme/shop',
        ref: 'refs/heads/main',
        iat: seconds,
        nbf: seconds,
        exp: seconds + 300,
        ...claims,
      };
      return new SignJWT(payload).setProtectedHeader({ alg: 'RS256', kid, ...header }).sign(signer);
    },
    close: () => far.close(),
  };
}

export type Issuer = Awaited<ReturnType<typeof startIssuer>>;
