import { Duration, Share } from '../analysis/quantities.ts';
import { ApplicationName } from '../analysis/record.ts';
import { discriminatorOf, isMap, type SchemaNode } from './schema-node.ts';

const durationNode: SchemaNode = Duration;
const shareNode: SchemaNode = Share;
const applicationNode: SchemaNode = ApplicationName;

/**
 * What a person should have written, for every pattern of the schema. A pattern that is not listed is shown as it is,
 * so a new adapter works without a line here.
 */
const PATTERNS: ReadonlyMap<string, string> = new Map([
  [durationNode.pattern ?? '', 'a duration such as 500ms, 30s, 1h30m'],
  [applicationNode.pattern ?? '', 'a name of small letters, digits, dot, dash and underscore'],
  ['^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$', 'a name of letters, digits, dot, dash and underscore, at most 63 characters'],
  ['^[a-zA-Z][a-zA-Z0-9_-]{0,62}$', 'a name of letters, digits, dash and underscore that begins with a letter'],
  ['^[a-zA-Z_][a-zA-Z0-9_]{0,62}$', 'a name of letters, digits and underscore that does not begin with a digit'],
  ['^[a-zA-Z_][a-zA-Z0-9_]*$', 'a label name of letters, digits and underscore that does not begin with a digit'],
  ['^(\\[[0-9a-fA-F:.]+\\]|[^:\\s]+):[0-9]{1,5}$', 'an address and a port such as 127.0.0.1:8080 or [::1]:8080'],
  ['^([01][0-9]|2[0-3]):[0-5][0-9]$', 'a time of day such as 17:00, in quotes'],
  [
    '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})$',
    'a moment with its offset from UTC such as 2026-12-20T00:00:00Z',
  ],
  ['^[0-9a-f]{64}$', 'the SHA-256 of the secret as 64 hexadecimal digits in small letters'],
  ['^[\\x21-\\x7e]([\\x20-\\x7e]{0,98}[\\x21-\\x7e])?$', 'a name of ASCII characters, at most 100'],
  ['^[\\x21-\\x39\\x3b-\\x7e]{1,100}$', 'a user name of ASCII characters, without a colon'],
  ['^(DNS|URI|email):[\\x21-\\x7e]{1,300}$', 'DNS:, URI: or email: and the name'],
  ['^https?://[^\\s?#]{1,500}$', 'an address that begins with https://, without ? and #'],
  ['^https?://[^\\s#]{1,500}$', 'an address that begins with https://'],
  ['^.*$', 'a text'],
  ['^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$', 'the name of a namespace: small letters, digits and dash'],
  ['^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$', 'the name of a Kubernetes object: small letters, digits, dot and dash'],
  [
    '^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$',
    'the name of an annotation such as davylamp.io/revision',
  ],
  ["^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$", 'the name of a header such as X-Api-Key'],
  ['^[\\x21-\\x7e]{1,500}$', 'the name of a tenant, without blanks'],
  ['^rediss?://', 'an address that begins with redis:// or rediss://'],
  ['^https?://', 'an address that begins with http:// or https://'],
  ['^[^:\\u0000-\\u001f\\u007f]+$', 'a user name without a colon'],
  ['^[!-~]{1,200}$', 'a text of letters, digits and signs without blanks'],
  ['^[A-Z][A-Za-z0-9]{0,62}([.][a-z0-9.-]{1,253})?$', 'a kind such as StatefulSet or Cluster.postgresql.cnpg.io'],
  ['^[^\\s"\\\\/|?#<>_+-][^\\s"\\\\/|?#<>]*$', 'the name of an index, or a pattern such as logs-shop-*'],
  ['^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)+$', 'a project such as owner/name'],
  ['^[A-Za-z0-9.]{1,100}$', 'an id of letters, digits and dots'],
  ['^[0-9]{1,20}$', 'a number in quotes'],
  ['^[^,\\u0000-\\u001f\\u007f]{1,50}$', 'a text of at most 50 characters without a comma'],
  ['^[A-Za-z0-9][A-Za-z0-9._/-]{0,200}$', 'a user name, or org/team'],
  ['^[0-9A-Fa-f]{8,64}$', 'the id of a key in hexadecimal digits'],
  ['^p[0-9]{1,2}(\\.[0-9]+)?$', 'a quantile such as p50, p99 or p99.9'],
]);
const TOKEN_DIGEST = '^[0-9a-f]{64}$';
const SHARE = 'a share such as 10% or 0.1';
const MAX_SHOWN = 60;

export function patternWords(pattern: string): string {
  return PATTERNS.get(pattern) ?? `a text that matches ${pattern}`;
}

/** Whether every pattern has words of its own; for the tests. */
export function hasWords(pattern: string): boolean {
  return PATTERNS.has(pattern);
}

export function isDuration(node: SchemaNode): boolean {
  return node.pattern === durationNode.pattern;
}

/** A share is told by its two branches, because fields that reuse it write a description of their own. */
export function isShare(node: SchemaNode): boolean {
  return JSON.stringify(node.anyOf) === JSON.stringify(shareNode.anyOf);
}

/** "a whole number from 1 to 1000", for messages and for the reference. */
export function expectedWords(node: SchemaNode): string {
  if (isShare(node)) return SHARE;
  if (node.const !== undefined) return String(node.const);
  if (node.enum !== undefined) return `one of ${node.enum.join(', ')}`;
  const discriminator = discriminatorOf(node);
  if (discriminator !== undefined) return `a map with ${discriminator.key}: ${[...discriminator.branches.keys()].join(' or ')}`;
  if (node.anyOf !== undefined) {
    const shapes = node.anyOf.map((branch) =>
      branch.required === undefined ? expectedWords(branch) : `{ ${branch.required.join(', ')} }`,
    );
    return `one of ${shapes.join(', ')}`;
  }
  switch (node.type) {
    case 'string':
      if (node.longest !== undefined) return `${patternWords(node.pattern ?? '')}, at most ${node.longest}`;
      if (node.pattern !== undefined) return patternWords(node.pattern);
      return 'a text';
    case 'integer':
    case 'number':
      return (node.type === 'integer' ? 'a whole number' : 'a number') + rangeWords(node.minimum, node.maximum);
    case 'boolean':
      return 'true or false';
    case 'array':
      if (node.items?.type === 'number') return 'a list of numbers';
      return node.items?.type === 'object' ? 'a list of maps' : 'a list of texts';
    default:
      return 'a map';
  }
}

function rangeWords(minimum: number | undefined, maximum: number | undefined): string {
  if (minimum !== undefined && maximum !== undefined) return ` from ${minimum} to ${maximum}`;
  if (minimum !== undefined) return `, at least ${minimum}`;
  return maximum === undefined ? '' : `, at most ${maximum}`;
}

/** What stands there instead; never a credential that somebody wrote into an address or in place of its digest. */
export function gotWords(value: unknown, node: SchemaNode): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (isMap(value)) return 'a map';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value !== 'string') return 'something else';
  if (node.pattern === TOKEN_DIGEST) return `a text of ${value.length} characters`;
  return `'${shown(value)}'`;
}

/** A text for a message: short, and without the user information of an address. */
export function shown(text: string): string {
  const safe = text.replace(/(\/\/)[^/\s]*@/g, '$1***@');
  return safe.length > MAX_SHOWN ? `${safe.slice(0, MAX_SHOWN)}…` : safe;
}
