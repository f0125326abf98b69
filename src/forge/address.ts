import { CodedError } from '../errors.ts';
import type { ForgeObject } from './schema.ts';

/** Where the API of a forge is, and what the repository is called there. */
export interface ForgeAddress {
  /** Without a slash at the end. */
  api: string;
  /** `owner/name`; at GitLab any number of groups before the name. */
  project: string;
}

const API_PATH = { github: '/api/v3', gitlab: '/api/v4', gitea: '/api/v1' } as const;
/** Hosts that serve git over the port of https for those who cannot reach port 22, and the forge that they belong to. */
const SSH_HOSTS: Readonly<Record<string, string>> = { 'ssh.github.com': 'github.com', 'altssh.gitlab.com': 'gitlab.com' };
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/**
 * Derives both from the address of the repository, as far as the configuration does not name them. GitHub's own hosts keep
 * their API apart: api.github.com, and api.NAME.ghe.com for Enterprise Cloud with data residency
 * (docs.github.com, "Getting started with the REST API").
 *
 * @throws CodedError `forge_invalid`
 */
export function forgeAddress(
  { type, url, project }: Pick<ForgeObject, 'type' | 'url' | 'project'>,
  repositoryUrl: string,
): ForgeAddress {
  const repository = URL.canParse(repositoryUrl) ? new URL(repositoryUrl) : null;
  const api = url === undefined ? derivedApi(type, repository) : givenApi(url);
  return { api, project: project ?? derivedProject(type, api, repository) };
}

function derivedApi(type: ForgeObject['type'], repository: URL | null): string {
  if (repository === null || repository.hostname === '') throw invalid('the address of the API does not follow from it; set url');
  const host = SSH_HOSTS[repository.hostname] ?? repository.host;
  if (type === 'github' && host === 'github.com') return 'https://api.github.com';
  if (type === 'github' && host.endsWith('.ghe.com')) return `https://api.${host}`;
  if (repository.protocol === 'http:' && LOOPBACK.test(repository.hostname)) return `http://${host}${API_PATH[type]}`;
  // The port of ssh says nothing of that of https.
  return `https://${repository.protocol === 'https:' ? host : host.replace(/:\d+$/, '')}${API_PATH[type]}`;
}

function givenApi(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) throw invalid('its url is no address');
  if (url.username !== '' || url.password !== '') throw invalid('its url holds a credential; use tokenFile');
  if (url.protocol === 'http:' && !LOOPBACK.test(url.hostname)) throw invalid('its url must start with https://');
  if (url.search !== '' || url.hash !== '') throw invalid('its url has no place for a query');
  return url.href.replace(/\/+$/, '');
}

function derivedProject(type: ForgeObject['type'], api: string, repository: URL | null): string {
  const base = new URL(api);
  // A forge below a path of its host has that path in both addresses.
  const prefix = base.pathname.endsWith(API_PATH[type]) ? base.pathname.slice(0, -API_PATH[type].length) : '';
  const path = repository?.pathname ?? '';
  const below = prefix !== '' && path.startsWith(`${prefix}/`) ? path.slice(prefix.length) : path;
  const project = below
    .replace(/^\/+/, '')
    .replace(/\/+$/, '')
    .replace(/\.git$/, '');
  const parts = project.split('/');
  const fits = parts.every((part) => /^[A-Za-z0-9._~-]+$/.test(part) && !/^\.+$/.test(part));
  if (!fits || parts.length < 2 || (type !== 'gitlab' && parts.length !== 2)) {
    throw invalid('owner and name do not follow from it; set project to owner/name');
  }
  return project;
}

function invalid(why: string): CodedError {
  return new CodedError('forge_invalid', `the forge cannot be found by the address of the repository: ${why}`);
}
