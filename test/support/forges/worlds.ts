import { createHmac } from 'node:crypto';
import { systemClock } from '../../../src/clock.ts';
import type { ForgeDependencies } from '../../../src/forge/api.ts';
import { createForge } from '../../../src/forge/registry.ts';
import type { ForgeObject } from '../../../src/forge/schema.ts';
import { createHttpClient } from '../../../src/net/client.ts';
import type { ForgeWorld } from '../../conformance/forge.ts';
import { GITEA_TOKEN, giteaDialect } from './gitea.ts';
import { GITHUB_TOKEN, githubDialect } from './github.ts';
import { GITLAB_TOKEN, gitlabDialect } from './gitlab.ts';
import { Hub, type Dialect } from './hub.ts';

export const WEBHOOK_SECRET = 'w3bh00k-s3cr3t-of-the-test';
const TIMEOUT_MS = 1_500;
type Type = ForgeObject['type'];

const DIALECTS: Readonly<Record<Type, { dialect: () => Dialect; api: string; project: string; token: string }>> = {
  github: { dialect: () => githubDialect(), api: '/api/v3', project: 'acme/deploy', token: GITHUB_TOKEN },
  gitlab: {
    dialect: () => gitlabDialect({ preparing: 1 }),
    api: '/api/v4',
    project: 'acme/platform/deploy',
    token: GITLAB_TOKEN,
  },
  gitea: { dialect: () => giteaDialect, api: '/api/v1', project: 'acme/deploy', token: GITEA_TOKEN },
};

/** A forge on a far side in memory; `change` sets its configuration, `dialect` replaces how the far side speaks. */
export async function forgeWorld(
  type: Type,
  {
    change = {},
    dialect,
    deps: other = {},
  }: { change?: Partial<ForgeObject>; dialect?: Dialect; deps?: Partial<ForgeDependencies> } = {},
): Promise<ForgeWorld & { hub: Hub; deps: ForgeDependencies }> {
  const { api, project, token, ...spoken } = DIALECTS[type];
  const hub = new Hub();
  await hub.listen(dialect ?? spoken.dialect());
  const http = createHttpClient();
  const deps: ForgeDependencies = {
    http,
    clock: systemClock,
    readSecret: (file) => Promise.resolve(file === 'webhook' ? WEBHOOK_SECRET : token),
    ...other,
  };
  const config: ForgeObject = {
    type,
    url: `${hub.url}${api}`,
    project,
    ...(change.app === undefined && { tokenFile: 'token' }),
    webhookSecretFile: 'webhook',
    timeout: `${TIMEOUT_MS}ms`,
    ...change,
  };
  const repository = { name: 'shop', url: `https://forge.example/${project}.git`, branch: 'main' };
  const make = () => createForge(config, repository, deps);
  return {
    hub,
    deps,
    forge: await make(),
    another: await make(),
    person: 'robin',
    branch: (name) => Promise.resolve(hub.push(name)),
    open: (by, proposal) =>
      Promise.resolve(hub.open({ ...proposal, base: 'main', author: by === 'us' ? 'lamp' : 'robin' }).number),
    merge: (number) => Promise.resolve(hub.end(number, 'merged', 'robin')),
    end: (number, by) => Promise.resolve(hub.end(number, 'closed', by === 'us' ? 'lamp' : 'robin')),
    shown(number) {
      const { state, title, body, labels, reviewers, autoMerge } = hub.get(number);
      return Promise.resolve({ state: state === 'open' ? 'open' : 'ended', title, body, labels, reviewers, autoMerge });
    },
    proposalsOf: (branch) => Promise.resolve(hub.proposals.filter((one) => one.branch === branch).map(({ number }) => number)),
    comments: (number) => Promise.resolve(hub.get(number).comments),
    statuses: (commit) =>
      Promise.resolve(
        (hub.statuses.get(commit) ?? []).map((one) => ({ ...one, state: one.state === 'failed' ? 'failure' : one.state })),
      ),
    webhook: (kind, branch) => Promise.resolve(webhookOf(type, kind, branch, project)),
    fail(fault) {
      hub.fault = fault;
    },
    timeoutMs: TIMEOUT_MS,
    secrets: [token],
    async close() {
      await http.close();
      await hub.close();
    },
  };
}

/**
 * Headers and payloads as the forges document them: "Webhook events and payloads" (GitHub), "Webhook events" (GitLab),
 * services/webhook/deliver.go (Gitea).
 */
export function webhookOf(
  type: Type,
  kind: 'proposal' | 'push',
  branch: string,
  project: string,
): { headers: Record<string, string>; body: Buffer } {
  const ref = `refs/heads/${branch}`;
  const pull = { number: 1, state: 'open', head: { ref: branch, label: branch }, base: { ref: 'main', label: 'main' } };
  const asGithub = {
    repository: { full_name: project },
    ...(kind === 'push' ? { ref } : { action: 'closed', number: 1, pull_request: pull }),
  };
  const asGitlab = {
    object_kind: kind === 'push' ? 'push' : 'merge_request',
    project: { id: 3, path_with_namespace: project },
    ...(kind === 'push' ? { ref } : { object_attributes: { iid: 1, source_branch: branch, action: 'merge', state: 'merged' } }),
  };
  const body = Buffer.from(JSON.stringify(type === 'gitlab' ? asGitlab : asGithub));
  const hmac = createHmac('sha256', WEBHOOK_SECRET).update(body).digest('hex');
  const event = kind === 'push' ? 'push' : 'pull_request';
  const headers: Record<string, string> = {
    github: { 'x-github-event': event, 'x-github-delivery': '72d3162e-cc78', 'x-hub-signature-256': `sha256=${hmac}` },
    gitlab: {
      'x-gitlab-event': kind === 'push' ? 'Push Hook' : 'Merge Request Hook',
      'x-gitlab-token': WEBHOOK_SECRET,
      'x-gitlab-event-uuid': '13792a34-cac6',
      'idempotency-key': 'f5e5f430-f57b',
    },
    gitea: { 'x-gitea-event': event, 'x-gitea-delivery': 'f6266f16-1bf3', 'x-gitea-signature': hmac },
  }[type];
  return { headers: { 'content-type': 'application/json', ...headers }, body };
}
