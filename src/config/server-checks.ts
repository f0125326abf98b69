import { nearestName } from '../analysis/nearest.ts';
import { endpointProblem, isLoopback, listenProblem } from './addresses.ts';
import type { Finding } from './check.ts';
import type { Path } from './document.ts';
import { isMap, own, type JsonMap } from './schema-node.ts';

const WAYS = ['tokens', 'basic', 'signers', 'oidc', 'clients'] as const;

/** What ties the parts of the `server` section together, and its callers to the applications. */
export function serverFindings(server: JsonMap, applications: readonly string[]): Finding[] {
  const path: Path = ['server'];
  const tls = own(server, 'tls');
  return [
    ...listenFindings(server),
    ...WAYS.flatMap((way) =>
      listAt(server, way).flatMap((caller, at) => callerFindings(caller, way, [...path, way, at], applications)),
    ),
    ...nameFindings(server),
    ...listAt(server, 'oidc').flatMap((issuer, at) => issuerFindings(issuer, [...path, 'oidc', at], applications)),
    ...tlsFindings(isMap(tls) ? tls : undefined, listAt(server, 'clients').length > 0),
  ];
}

function listenFindings(server: JsonMap): Finding[] {
  const listen = own(server, 'listen');
  const probes = own(server, 'probes');
  const second = isMap(probes) ? own(probes, 'listen') : undefined;
  const knowsCallers = WAYS.some((way) => listAt(server, way).length > 0);
  return [
    ...(isAddress(listen) ? finding(['server', 'listen'], listenProblem(listen, knowsCallers)) : []),
    ...(isAddress(second) ? finding(['server', 'probes', 'listen'], listenProblem(second, true)) : []),
    ...(isAddress(second) && second === listen && !second.endsWith(':0')
      ? finding(['server', 'probes', 'listen'], 'is the address of server.listen, too; take another port')
      : []),
  ];
}

function callerFindings(caller: JsonMap, way: (typeof WAYS)[number], path: Path, applications: readonly string[]): Finding[] {
  const has = (key: string) => own(caller, key) !== undefined;
  const findings = unknownApplications(caller, path, applications);
  const either = way === 'tokens' ? ['sha256', 'sha256s'] : way === 'basic' ? ['passwordSha256', 'passwordSha256s'] : [];
  const [one = '', several = ''] = either;
  if (either.length > 0 && has(one) === has(several)) {
    findings.push(
      ...finding(
        path,
        has(one) ? `takes either ${one} or ${several}, not both` : `needs ${one}, or ${several} for two at a time`,
      ),
    );
  }
  if (way === 'clients' && !has('subject') && !has('san'))
    findings.push(...finding(path, 'needs subject or san, or every certificate would do'));
  if (way === 'clients' && listAt(caller, 'scopes').length === 0 && own(caller, 'scopes') === undefined) {
    findings.push(...finding(path, 'needs scopes: what this caller may do'));
  }
  return findings;
}

function issuerFindings(issuer: JsonMap, path: Path, applications: readonly string[]): Finding[] {
  const address = (key: string): Finding[] => {
    const url = own(issuer, key);
    if (typeof url !== 'string' || !URL.canParse(url)) return [];
    const { protocol, hostname } = new URL(url);
    const problem =
      protocol === 'http:' && !isLoopback(hostname)
        ? 'keys that come over http:// can be replaced on the way; use https://'
        : undefined;
    return finding([...path, key], endpointProblem(url) ?? problem);
  };
  const grants = listAt(issuer, 'grants').flatMap((grant, at) =>
    unknownApplications(grant, [...path, 'grants', at], applications),
  );
  return [...address('issuer'), ...address('jwksUrl'), ...grants];
}

/** Two callers of one name could not be told apart in the journal. */
function nameFindings(server: JsonMap): Finding[] {
  const seen = new Map<string, string>();
  return WAYS.flatMap((way) =>
    listAt(server, way).flatMap((caller, at): Finding[] => {
      const name = own(caller, 'name');
      const place = `server.${way}[${at}]`;
      if (typeof name !== 'string') return [];
      const before = seen.get(name);
      if (before === undefined) {
        seen.set(name, place);
        return [];
      }
      return finding(['server', way, at, 'name'], `is the name of ${before}, too; the journal could not tell them apart`);
    }),
  );
}

function unknownApplications(caller: JsonMap, path: Path, known: readonly string[]): Finding[] {
  const names = own(caller, 'applications');
  const list: readonly unknown[] = Array.isArray(names) ? names : [];
  return list.flatMap((name, at): Finding[] => {
    if (typeof name !== 'string' || known.includes(name)) return [];
    const near = nearestName(name, known);
    const hint = near === null ? {} : { hint: `did you mean ${near}?` };
    return [{ path: [...path, 'applications', at], part: 'value', message: `there is no application '${name}'`, ...hint }];
  });
}

function tlsFindings(tls: JsonMap | undefined, hasClients: boolean): Finding[] {
  const authorities = tls === undefined ? undefined : own(tls, 'clientCaFile');
  if (hasClients && authorities === undefined)
    return finding(['server', 'clients'], 'needs server.tls.clientCaFile, which says whose certificates count');
  if (tls !== undefined && own(tls, 'requireClientCertificate') === true && authorities === undefined)
    return finding(['server', 'tls', 'requireClientCertificate'], 'needs clientCaFile, which says whose certificates count');
  return [];
}

/** What does not have this shape is reported by the schema. */
function isAddress(value: unknown): value is string {
  return typeof value === 'string' && /:[0-9]{1,5}$/.test(value);
}

function listAt(map: JsonMap, key: string): JsonMap[] {
  const value = own(map, key);
  return Array.isArray(value) ? value.map((entry: unknown) => (isMap(entry) ? entry : {})) : [];
}

function finding(path: Path, message: string | undefined): Finding[] {
  return message === undefined ? [] : [{ path, part: 'value', message }];
}
