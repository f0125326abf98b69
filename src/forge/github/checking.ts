import type { Clock } from '../../clock.ts';
import type { Finding } from '../../finding.ts';
import { header, type ForgeApi } from '../api.ts';
import { expiryFinding, unverified } from '../checks.ts';
import type { ForgeSettings } from '../settings.ts';
import { RepositoryAnswer } from './shapes.ts';

/** What a repository and a token say of themselves; the rights of fine-grained tokens and Apps show at the first use only. */
export async function checkGithub(
  { api, root, settings, clock }: { api: ForgeApi; root: string; settings: ForgeSettings; clock: Clock },
  signal: AbortSignal,
): Promise<Finding[]> {
  const call = { method: 'GET', path: root, what: 'read the repository' } as const;
  const answer = await api.done(call, signal);
  const repository = api.read(answer, RepositoryAnswer, call);
  const findings: Finding[] = [
    { status: 'ok', code: 'reachable', sentence: `GitHub at ${api.host} knows ${repository.full_name}` },
    unverified('GitHub'),
  ];
  const scopes = header(answer.headers, 'x-oauth-scopes');
  const isClassic = answer.headers['x-oauth-scopes'] !== undefined && scopes !== '';
  if (isClassic && !/(^|,\s*)(public_)?repo(,|$)/.test(scopes)) {
    findings.push({ status: 'fail', code: 'forge_forbidden', sentence: `the token has the scopes ${scopes}; it needs repo` });
  }
  if (repository.permissions?.push === false) {
    const sentence = `the credential may read ${repository.full_name} and not write; give it Contents, Pull requests, Issues and Commit statuses: read and write`;
    findings.push({ status: 'fail', code: 'forge_forbidden', sentence });
  }
  if (repository.archived === true) {
    findings.push({
      status: 'fail',
      code: 'forge_archived',
      sentence: `${repository.full_name} is archived; nothing can be proposed`,
    });
  }
  if (settings.autoMerge && repository.allow_auto_merge === false) {
    const sentence = 'autoMerge is set, and the repository does not allow auto-merge; turn it on in its settings';
    findings.push({ status: 'warn', code: 'forge_auto_merge_off', sentence });
  }
  const expiry = expiryFinding(header(answer.headers, 'github-authentication-token-expiration'), clock.now());
  return expiry === null ? findings : [...findings, expiry];
}
