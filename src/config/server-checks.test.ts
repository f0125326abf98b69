import { describe, expect, it } from 'vitest';
import { loadConfig } from './load.ts';

const HEX = 'a'.repeat(64);

async function problems(server: string): Promise<string[]> {
  const text = `server: ${server}\n`;
  try {
    await loadConfig({ file: '/x/davylamp.yaml', environment: {}, readFile: () => Promise.resolve(text) });
    return [];
  } catch (error) {
    const { details } = error as { details: { problems: { path: string; message: string }[] } };
    return details.problems.map(({ path, message }) => `${path}: ${message}`);
  }
}

describe('the server section', () => {
  it.each([
    `{ listen: '0.0.0.0:8080', tokens: [{ name: ci, sha256: ${HEX} }] }`,
    `{ listen: '0.0.0.0:8080', basic: [{ name: am, username: am, passwordSha256: ${HEX} }] }`,
    `{ listen: '[::]:8080', signers: [{ name: pager, secretFiles: [/run/secrets/pager] }] }`,
    `{ listen: '0.0.0.0:8080', oidc: [{ name: ci, issuer: 'https://issuer.example', audience: davylamp, grants: [{ match: { sub: x }, scopes: [admin] }] }] }`,
    `{ listen: '0.0.0.0:8443', tls: { certFile: a, keyFile: b, clientCaFile: c }, clients: [{ name: ci, subject: ci.example, scopes: [webhooks] }], probes: { listen: '0.0.0.0:9090' } }`,
    `{ drainDelay: 10s }`,
    `{ tokens: [{ name: ci, sha256s: [${HEX}, ${HEX.replaceAll('a', 'b')}], scopes: [analyses:read] }] }`,
  ])('may be %s', async (server) => {
    expect(await problems(server)).toEqual([]);
  });

  it.each([
    [`{ listen: '0.0.0.0:8080' }`, 'server.listen: 0.0.0.0 can be reached from other machines'],
    [`{ listen: '0.0.0.0:8080', tls: { certFile: a, keyFile: b } }`, 'server.listen: 0.0.0.0 can be reached from other machines'],
    [`{ drainDelay: 10001ms }`, "server.drainDelay: expected a duration of at most 10s; got '10001ms'"],
    [`{ tokens: [{ name: ci }] }`, 'server.tokens[0]: needs sha256'],
    [`{ tokens: [{ name: ci, sha256: ${HEX}, sha256s: [${HEX}] }] }`, 'server.tokens[0]: takes either sha256 or sha256s'],
    [
      `{ tokens: [{ name: ci, sha256: ${HEX}, scopes: [analysis:read] }] }`,
      'server.tokens[0].scopes[0]: expected one of analyses:read',
    ],
    [
      `{ tokens: [{ name: ci, sha256: ${HEX}, applications: [shop] }] }`,
      "server.tokens[0].applications[0]: there is no application 'shop'",
    ],
    [
      `{ tokens: [{ name: ci, sha256: ${HEX} }, { name: ci, sha256: ${HEX} }] }`,
      'server.tokens[1].name: is the name of server.tokens[0], too',
    ],
    [`{ basic: [{ name: am, username: am }] }`, 'server.basic[0]: needs passwordSha256'],
    [`{ basic: [{ name: am, username: 'a:b', passwordSha256: ${HEX} }] }`, 'server.basic[0].username: expected a user name'],
    [`{ clients: [{ name: ci, subject: x, scopes: [admin] }] }`, 'server.clients: needs server.tls.clientCaFile'],
    [
      `{ tls: { certFile: a, keyFile: b, clientCaFile: c }, clients: [{ name: ci, scopes: [admin] }] }`,
      'server.clients[0]: needs subject or san',
    ],
    [
      `{ tls: { certFile: a, keyFile: b, clientCaFile: c }, clients: [{ name: ci, subject: x }] }`,
      'server.clients[0]: needs scopes',
    ],
    [
      `{ tls: { certFile: a, keyFile: b, requireClientCertificate: true } }`,
      'server.tls.requireClientCertificate: needs clientCaFile',
    ],
    [
      `{ oidc: [{ name: ci, issuer: 'http://issuer.example', audience: d, grants: [{ match: { sub: x }, scopes: [admin] }] }] }`,
      'server.oidc[0].issuer: keys that come over http://',
    ],
    [
      `{ oidc: [{ name: ci, issuer: 'https://u:p@issuer.example', audience: d, grants: [{ match: { sub: x }, scopes: [admin] }] }] }`,
      'server.oidc[0].issuer: the address holds a user name or a password',
    ],
    [
      `{ oidc: [{ name: ci, issuer: 'https://issuer.example', audience: d, algorithms: [HS256], grants: [{ match: { sub: x }, scopes: [admin] }] }] }`,
      'server.oidc[0].algorithms[0]: expected one of RS256',
    ],
    [
      `{ oidc: [{ name: ci, issuer: 'https://issuer.example', audience: d, grants: [{ match: {}, scopes: [admin] }] }] }`,
      'server.oidc[0].grants[0].match: expected',
    ],
    [
      `{ probes: { listen: '127[0][0][1]:8080' }, listen: '127[0][0][1]:8080' }`,
      'server.probes.listen: is the address of server.listen, too',
    ],
  ])('is refused as %s', async (server, expected) => {
    expect((await problems(server)).join('\n')).toContain(expected);
  });
});
