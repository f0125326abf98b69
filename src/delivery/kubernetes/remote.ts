/** Parts of addresses that forges add for one protocol and leave out for another (Bitbucket, Azure DevOps). */
const OF_PROTOCOL: ReadonlySet<string> = new Set(['scm', '_git', 'v3']);
const COMPARED = 2;

/**
 * Whether two addresses may mean the same repository: `git@host:team/deploy.git`, `https://host/team/deploy`. Hosts are
 * not compared, because an operator in the cluster often uses another name for the same forge.
 */
export function maybeSameRepository(one: string, other: string): boolean {
  const [first, second] = [segmentsOf(one), segmentsOf(other)];
  const length = Math.min(first.length, second.length, COMPARED);
  if (length === 0) return true;
  return first.slice(-length).join('/') === second.slice(-length).join('/');
}

function segmentsOf(address: string): string[] {
  const text = address.trim().toLowerCase();
  const path = /^[a-z][a-z0-9+.-]*:\/\/[^/]*(.*)$/.exec(text)?.[1] ?? /^[^/]*:(.*)$/.exec(text)?.[1] ?? text;
  return path
    .replace(/[?#].*$/, '')
    .replace(/\/+$/, '')
    .replace(/\.git$/, '')
    .split('/')
    .filter((segment) => segment !== '' && !OF_PROTOCOL.has(segment));
}

/** Without a password or a token in it, for a sentence. */
export function shownRepository(address: string): string {
  return address.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, '$1').slice(0, 300);
}
