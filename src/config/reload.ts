import { resolve } from 'node:path';
import { CodedError } from '../errors.ts';
import type { ResolvedConfig } from './defaults.ts';
import { pathText, type Path } from './document.ts';
import { isMap } from './schema-node.ts';

/**
 * What can be taken up while the service runs; everything else, keys of later versions included, needs a restart. An
 * entry stands for all that is below it.
 */
const LIVE: readonly Path[] = [
  ['applications'],
  ['templates'],
  ['clusters'],
  ['sources'],
  ['repositories'],
  ['rollbacks'],
  ['retention'],
  ['alerts', 'window'],
  ['alerts', 'labels'],
  ['log', 'level'],
  ['server', 'drainDelay'],
  ['server', 'tokens'],
  ['server', 'basic'],
  ['server', 'signers'],
  ['server', 'oidc'],
  ['server', 'clients'],
];

/** The keys whose change needs a restart, as people write them; none when the change can be taken up. */
export function keysThatNeedRestart(before: ResolvedConfig, after: ResolvedConfig): string[] {
  const keys: string[] = [];
  const compare = (path: Path, one: unknown, other: unknown) => {
    if (LIVE.some((live) => live.length === path.length && live.every((segment, at) => segment === path[at]))) return;
    if (JSON.stringify(one) === JSON.stringify(other)) return;
    if (!isMap(one) || !isMap(other)) keys.push(pathText(path));
    else for (const key of new Set([...Object.keys(one), ...Object.keys(other)])) compare([...path, key], one[key], other[key]);
  };
  compare([], before, after);
  return keys.toSorted();
}

/** @throws CodedError `reload_needs_restart`, with every key in `details.errors` */
export function refuseRestartKeys(before: ResolvedConfig, after: ResolvedConfig): void {
  const keys = keysThatNeedRestart(before, after);
  if (keys.length === 0) return;
  throw new CodedError(
    'reload_needs_restart',
    `nothing was taken up, because ${keys.join(', ')} can only change with a restart; restart davylamp or put ${keys.length === 1 ? 'it' : 'them'} back`,
    { details: { errors: keys.map((path) => ({ path, message: 'can only change with a restart' })) } },
  );
}

export interface NamedFile {
  /** The key of the configuration that names it. */
  key: string;
  /** Absolute. */
  path: string;
}

/** Every file that the configuration names by a key that ends in `File` or `Files`: secrets and certificates. */
export function namedFiles(config: ResolvedConfig, folder: string): NamedFile[] {
  const files: NamedFile[] = [];
  const walk = (path: Path, value: unknown) => {
    if (typeof value === 'string') {
      const name = path.findLast((segment) => typeof segment === 'string');
      if (typeof name === 'string' && /Files?$/.test(name)) files.push({ key: pathText(path), path: resolve(folder, value) });
    } else if (Array.isArray(value)) {
      for (const [at, entry] of value.entries()) walk([...path, at], entry);
    } else if (isMap(value)) {
      for (const [key, entry] of Object.entries(value)) walk([...path, key], entry);
    }
  };
  // Arguments of applications are values of the user's, whatever they are called.
  const { applications, templates: _templates, ...rest } = config;
  walk([], rest);
  for (const [name, { delivery }] of Object.entries(applications)) walk(['applications', name, 'delivery'], delivery);
  return files;
}
