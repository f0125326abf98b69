import { shown } from './words.ts';

const SCP_FORM = /^[A-Za-z0-9_][A-Za-z0-9_.-]*@([A-Za-z0-9][A-Za-z0-9.-]*):(?!\/\/)([^\s-][^\s]*)$/;
const HOST = /^(\[[0-9a-f:.]+\]|[a-z0-9_][a-z0-9_.-]*)$/i;

/** Whether a host name or address can only be reached from this machine. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '').toLowerCase();
  return bare === 'localhost' || bare.endsWith('.localhost') || bare === '::1' || /^127(\.[0-9]{1,3}){3}$/.test(bare);
}

/** What is wrong with the address that is listened on, when something is. */
export function listenProblem(listen: string, knowsCallers: boolean): string | undefined {
  const port = Number(listen.slice(listen.lastIndexOf(':') + 1));
  if (port > 65_535) return `expected a port from 0 to 65535; got ${port}`;
  const host = listen.slice(0, listen.lastIndexOf(':'));
  if (isLoopback(host) || knowsCallers) return undefined;
  return `${host} can be reached from other machines, which needs server.tokens or another way to know callers; add a token or listen on 127.0.0.1`;
}

/** What is wrong with the address of a Git repository, when something is. The address itself is not repeated. */
export function repositoryUrlProblem(url: string): string | undefined {
  const expected = 'expected https://host/path, ssh://host/path or git@host:path (http:// only on loopback)';
  if (/[\s\p{Cc}]/u.test(url)) return `${expected}; got an address with white space`;
  if (SCP_FORM.test(url)) return undefined;
  const parsed = parseUrl(url);
  if (parsed === undefined || !HOST.test(parsed.hostname)) return `${expected}; got '${shown(url)}'`;
  if (parsed.search !== '' || parsed.hash !== '') return 'expected an address without ? and #';
  switch (parsed.protocol) {
    case 'https:':
      return parsed.username === '' && parsed.password === '' ? undefined : USER_INFO;
    case 'http:':
      if (parsed.username !== '' || parsed.password !== '') return USER_INFO;
      return isLoopback(parsed.hostname)
        ? undefined
        : `http:// to ${parsed.hostname} would send the token in the clear; use https:// or ssh://`;
    case 'ssh:':
      return parsed.password === '' ? undefined : USER_INFO;
    default:
      return `${expected}; got '${shown(url)}'`;
  }
}

const USER_INFO = 'the address holds a user name or a password; take it out and use username and tokenFile';

/** Whether a repository is reached by ssh, where a token file is of no use. */
export function usesSsh(url: string): boolean {
  return SCP_FORM.test(url) || url.startsWith('ssh:');
}

/** What is wrong with the address of a metric source or of a delivery, when something is. */
export function endpointProblem(url: string): string | undefined {
  const parsed = parseUrl(url);
  if (parsed === undefined) return `expected an address such as http://host:9090/path; got '${shown(url)}'`;
  if (parsed.username === '' && parsed.password === '') return undefined;
  return 'the address holds a user name or a password; take it out, credentials come from files';
}

/** What is wrong with the address of a Redis, when something is. */
export function redisUrlProblem(url: string): string | undefined {
  const parsed = parseUrl(url);
  if (parsed === undefined || parsed.hostname === '') return `expected redis://host:port/database; got '${shown(url)}'`;
  if (parsed.username !== '' || parsed.password !== '') {
    return 'the address holds a user name or a password; take it out and use username and passwordFile';
  }
  if (!/^(\/[0-9]{0,4})?$/.test(parsed.pathname) || parsed.search !== '' || parsed.hash !== '') {
    return 'expected nothing but the number of a database after host and port';
  }
  return undefined;
}

/** What git itself refuses in a branch name (git-check-ref-format), and a leading dash. */
export function branchProblem(branch: string): string | undefined {
  const bad = /[\s\p{Cc}~^:?*[\\]|\.\.|@\{|\/\/|\/\.|\.lock(\/|$)/u.test(branch) || /^[-./]|[./]$/.test(branch) || branch === '@';
  if (bad) return `expected a branch name that git accepts; got '${shown(branch)}'`;
  return branch.startsWith('refs/') ? `expected the name of a branch without refs/heads/; got '${shown(branch)}'` : undefined;
}

function parseUrl(url: string): URL | undefined {
  return URL.canParse(url) ? new URL(url) : undefined;
}
