import type { Clock } from '../../clock.ts';
import type { Finding } from '../../finding.ts';
import { isDone, type ForgeApi } from '../api.ts';
import { expiryFinding, unverified } from '../checks.ts';
import { OwnToken, Project } from './shapes.ts';

/** Access levels of members ("Members API"). */
const DEVELOPER = 30;

export async function checkGitlab(
  { api, root, clock }: { api: ForgeApi; root: string; clock: Clock },
  signal: AbortSignal,
): Promise<Finding[]> {
  const project = await api.ask({ method: 'GET', path: root, what: 'read the project' }, Project, signal);
  const name = project.path_with_namespace;
  const findings: Finding[] = [
    { status: 'ok', code: 'reachable', sentence: `GitLab at ${api.host} knows ${name}` },
    unverified('GitLab'),
  ];
  const { project_access: own, group_access: group } = project.permissions ?? {};
  const level = Math.max(own?.access_level ?? 0, group?.access_level ?? 0);
  if (project.permissions !== undefined && level < DEVELOPER) {
    const sentence = `the credential's user is no Developer of ${name} (access level ${level}); give it that role`;
    findings.push({ status: 'fail', code: 'forge_forbidden', sentence });
  }
  if (project.archived === true) {
    findings.push({ status: 'fail', code: 'forge_archived', sentence: `${name} is archived; nothing can be proposed` });
  }
  if (project.merge_requests_enabled === false) {
    const sentence = `merge requests are turned off in ${name}; turn them on in its settings`;
    findings.push({ status: 'fail', code: 'forge_proposals_off', sentence });
  }
  const call = { method: 'GET', path: '/personal_access_tokens/self', what: 'read its own token' } as const;
  const answer = await api.send(call, signal);
  // An OAuth token has no such page.
  if (!isDone(answer)) return findings;
  const token = api.read(answer, OwnToken, call);
  if (!token.scopes.includes('api')) {
    const sentence = `the token has the scopes ${token.scopes.join(', ')}; it needs api`;
    findings.push({ status: 'fail', code: 'forge_forbidden', sentence });
  }
  const expiry = expiryFinding(token.expires_at ?? '', clock.now());
  return expiry === null ? findings : [...findings, expiry];
}
