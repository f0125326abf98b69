import type { Finding } from '../../finding.ts';
import { isDone, type ForgeApi } from '../api.ts';
import { Login, RepositoryAnswer, Version } from './shapes.ts';

/** Versions that the tests were run against; see docs/reference/forges.md. */
const TESTED = 'Gitea 1.26';

export async function checkGitea({ api, root }: { api: ForgeApi; root: string }, signal: AbortSignal): Promise<Finding[]> {
  const repository = await api.ask({ method: 'GET', path: root, what: 'read the repository' }, RepositoryAnswer, signal);
  const name = repository.full_name;
  const findings: Finding[] = [{ status: 'ok', code: 'reachable', sentence: `Gitea at ${api.host} knows ${name}` }];
  const { version } = await api.ask({ method: 'GET', path: '/version', what: 'read the version' }, Version, signal);
  // Forgejo says which Gitea it is compatible with: 11.0.1+gitea-1.22.0.
  if (/\+gitea-/.test(version)) {
    const sentence = `unverified: this is Forgejo ${version}; the adapter was run against ${TESTED} and not against Forgejo`;
    findings.push({ status: 'warn', code: 'forge_unverified', sentence });
  }
  if (repository.permissions?.push === false) {
    const sentence = `the credential may read ${name} and not write; make its user a collaborator that writes`;
    findings.push({ status: 'fail', code: 'forge_forbidden', sentence });
  }
  if (repository.archived === true) {
    findings.push({ status: 'fail', code: 'forge_archived', sentence: `${name} is archived; nothing can be proposed` });
  }
  if (repository.has_pull_requests === false) {
    const sentence = `pull requests are turned off in ${name}; turn them on in its settings`;
    findings.push({ status: 'fail', code: 'forge_proposals_off', sentence });
  }
  const user = { method: 'GET', path: '/user', what: 'read its own name' } as const;
  const answer = await api.send(user, signal);
  if (isDone(answer)) api.read(answer, Login, user);
  else findings.push({ status: 'fail', code: 'forge_forbidden', sentence: 'the token does not have the scope read:user' });
  return findings;
}
