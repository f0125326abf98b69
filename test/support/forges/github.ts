import type { Dialect, Hub, HubAnswer, HubProposal, HubRequest } from './hub.ts';
import { pageOf } from './hub.ts';

export const GITHUB_TOKEN = 'ghp_s3cr3tS3CR3Ts3cr3t';
const ROOT = '/api/v3/repos/acme/deploy';

/**
 * The part of GitHub's REST and GraphQL API that is called, as Enterprise Server serves it (/api/v3, /api/graphql). Shapes and
 * status codes: docs.github.com/rest (pulls, issues, labels, comments, review requests, commit statuses, version 2022-11-28);
 * the 422 of a second pull request as in google/go-github issue 1441; that of reviewers as in bkeepers/probot-owners issue 21;
 * the refusals of auto-merge as in peter-evans/enable-pull-request-automerge issues 343 and 355.
 */
export function githubDialect(options: { tokens?: () => readonly string[]; app?: Dialect; clean?: boolean } = {}): Dialect {
  const tokens = options.tokens ?? (() => [GITHUB_TOKEN]);
  return (request, hub) => {
    const asApp = options.app?.(request, hub) ?? null;
    if (asApp !== null) return asApp;
    const { authorization = '' } = request.headers;
    if (!tokens().some((token) => authorization === `Bearer ${token}`))
      return { status: 401, body: { message: 'Bad credentials' } };
    const { method, path, body } = request;
    if (path === '/api/v3/user') return { status: 200, body: { login: 'lamp', id: 1 } };
    if (path === '/api/graphql') return graphql(body, hub, options.clean === true);
    if (path === ROOT) {
      const permissions = { admin: false, push: true, pull: true };
      return {
        status: 200,
        body: { full_name: 'acme/deploy', archived: false, allow_auto_merge: true, permissions },
        headers: { 'x-oauth-scopes': 'repo, read:org' },
      };
    }
    if (!path.startsWith(`${ROOT}/`)) return null;
    const [section = '', second = '', third = ''] = path
      .slice(ROOT.length + 1)
      .split('/')
      .map(decodeURIComponent);
    if (section === 'pulls' && second === '') return method === 'POST' ? created(body, hub) : list(request, hub);
    if (section === 'pulls' && third === '' && method === 'PATCH') {
      if ((body as { state?: string }).state === 'closed') hub.end(Number(second), 'closed', 'lamp');
      return { status: 200, body: shown(hub.get(Number(second))) };
    }
    if (section === 'pulls' && third === 'requested_reviewers') return reviewers(hub.get(Number(second)), body, hub);
    if (section === 'issues' && third === '') {
      const { endedBy } = hub.get(Number(second));
      return { status: 200, body: { number: Number(second), closed_by: endedBy === null ? null : { login: endedBy } } };
    }
    if (section === 'issues' && third === 'labels') return addLabels(hub.get(Number(second)), body, hub);
    if (section === 'issues' && third === 'comments') return comments(hub.get(Number(second)), request);
    if (section === 'labels') return labels(second, request, hub);
    if (section === 'statuses') {
      const { context, state, description, target_url: url } = body as Record<string, string>;
      const known = hub.statuses.get(second) ?? [];
      hub.statuses.set(second, [
        ...known,
        { context: context ?? '', state: state ?? '', description: description ?? '', url: url ?? null },
      ]);
      return { status: 201, body: { id: 1, state, context } };
    }
    return null;
  };
}

function shown(proposal: HubProposal): object {
  const { number, branch, base, title, body, author, state } = proposal;
  return {
    id: number * 1000,
    number,
    node_id: `PR_${number}`,
    html_url: `https://ghe.example/acme/deploy/pull/${number}`,
    state: state === 'open' ? 'open' : 'closed',
    title,
    body,
    user: { login: author },
    merged_at: state === 'merged' ? '2026-01-01T00:00:00Z' : null,
    // GitHub shows the commit of its trial merge while the pull request is open.
    merge_commit_sha: proposal.mergeCommit ?? 'e'.repeat(40),
    head: { ref: branch, label: `acme:${branch}`, repo: { full_name: 'acme/deploy' } },
    base: { ref: base, repo: { full_name: 'acme/deploy' } },
    labels: proposal.labels.map((name) => ({ name })),
    requested_reviewers: proposal.reviewers.map((login) => ({ login })),
    requested_teams: [],
    auto_merge: proposal.autoMerge ? { merge_method: 'merge' } : null,
  };
}

function list({ query }: HubRequest, hub: Hub): HubAnswer {
  const head = query.get('head');
  const base = query.get('base');
  const fit = hub
    .listed()
    .filter(({ branch }) => head === null || head === `acme:${branch}`)
    .filter((one) => base === null || one.base === base);
  const { items, headers } = pageOf(fit, query, 'per_page');
  return { status: 200, body: items.map(shown), headers };
}

function created(body: Record<string, unknown>, hub: Hub): HubAnswer {
  const { head, base, title, body: text } = body as Record<string, string>;
  const failed = (error: object) => ({ status: 422, body: { message: 'Validation Failed', errors: [error] } });
  if (!hub.branches.has(head ?? '')) return failed({ resource: 'PullRequest', field: 'head', code: 'invalid' });
  if (hub.proposals.some((one) => one.branch === head && one.base === base && one.state === 'open')) {
    return failed({ resource: 'PullRequest', code: 'custom', message: `A pull request already exists for acme:${head}.` });
  }
  if (hub.branches.get(head ?? '') === hub.branches.get(base ?? '')) {
    return failed({ resource: 'PullRequest', code: 'custom', message: `No commits between ${base} and ${head}` });
  }
  const made = hub.open({ branch: head ?? '', base: base ?? '', title: title ?? '', body: text ?? '', author: 'lamp' });
  return { status: 201, body: shown(made) };
}

function reviewers(proposal: HubProposal, body: Record<string, unknown>, hub: Hub): HubAnswer {
  const { reviewers: users = [], team_reviewers: teams = [] } = body as Record<string, string[]>;
  if (users.includes(proposal.author))
    return { status: 422, body: { message: 'Review cannot be requested from pull request author.' } };
  if (users.some((user) => !hub.users.has(user)) || teams.length > 0) {
    const message =
      'Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a collaborator of the acme/deploy repository.';
    return { status: 422, body: { message, documentation_url: 'https://docs.github.com/rest' } };
  }
  proposal.reviewers = [...new Set([...proposal.reviewers, ...users])];
  return { status: 201, body: shown(proposal) };
}

function labels(name: string, { method, body }: HubRequest, hub: Hub): HubAnswer {
  if (method === 'GET') {
    return hub.labels.has(name) ? { status: 200, body: { name } } : { status: 404, body: { message: 'Not Found' } };
  }
  const wanted = String(body['name']);
  if (hub.labels.has(wanted)) {
    return {
      status: 422,
      body: { message: 'Validation Failed', errors: [{ resource: 'Label', code: 'already_exists', field: 'name' }] },
    };
  }
  hub.labels.set(wanted, hub.labels.size + 1);
  return { status: 201, body: { name: wanted } };
}

function addLabels(proposal: HubProposal, body: Record<string, unknown>, hub: Hub): HubAnswer {
  const wanted = body['labels'] as string[];
  if (wanted.some((name) => !hub.labels.has(name))) {
    return { status: 403, body: { message: 'You do not have permission to create labels on this repository.' } };
  }
  proposal.labels = [...new Set([...proposal.labels, ...wanted])];
  return { status: 200, body: proposal.labels.map((name) => ({ name })) };
}

function comments(proposal: HubProposal, { method, body, query }: HubRequest): HubAnswer {
  if (method === 'POST') {
    proposal.comments.push(String(body['body']));
    return { status: 201, body: { id: 1 } };
  }
  const { items, headers } = pageOf(proposal.comments, query, 'per_page');
  return { status: 200, body: items.map((text) => ({ body: text })), headers };
}

function graphql(body: Record<string, unknown>, hub: Hub, clean: boolean): HubAnswer {
  const { id, method } = body['variables'] as { id: string; method: string };
  const refused = (message: string) => ({
    status: 200,
    body: { data: { enablePullRequestAutoMerge: null }, errors: [{ type: 'UNPROCESSABLE', message }] },
  });
  if (clean) return refused('Pull request Pull request is in clean status');
  // This repository allows squashing only.
  if (method !== 'SQUASH') return refused('Pull request Merge method merge commits are not allowed on this repository');
  hub.get(Number(id.replace('PR_', ''))).autoMerge = true;
  return { status: 200, body: { data: { enablePullRequestAutoMerge: { clientMutationId: null } } } };
}
