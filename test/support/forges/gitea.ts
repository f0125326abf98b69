import type { Dialect, Hub, HubAnswer, HubProposal, HubRequest } from './hub.ts';
import { pageOf } from './hub.ts';

export const GITEA_TOKEN = 's3cr3t0s3cr3t0s3cr3t0s3cr3t0s3cr3t0s3cr3';
const ROOT = '/api/v1/repos/acme/deploy';

/**
 * The part of Gitea's API v1 that is called: shapes and status codes as in the source of Gitea 1.26 (routers/api/v1/repo), and
 * as a real one answers, against which the same suite runs in test/real/gitea.
 */
export const giteaDialect: Dialect = (request, hub) => {
  const { headers, method, path, body, query } = request;
  if (headers.authorization !== `token ${GITEA_TOKEN}`)
    return { status: 401, body: { message: 'invalid username, password or token' } };
  if (path === '/api/v1/user') return { status: 200, body: { id: 1, login: 'lamp' } };
  if (path === '/api/v1/version') return { status: 200, body: { version: '1.26.0' } };
  if (path === ROOT) {
    const permissions = { admin: false, push: true, pull: true };
    return { status: 200, body: { full_name: 'acme/deploy', archived: false, has_pull_requests: true, permissions } };
  }
  if (!path.startsWith(`${ROOT}/`)) return null;
  const [section = '', second = '', third = ''] = path
    .slice(ROOT.length + 1)
    .split('/')
    .map(decodeURIComponent);
  if (section === 'pulls' && second === '') return method === 'POST' ? created(body, hub) : list(request, hub);
  if (section === 'labels') return labels(request, hub);
  if (section === 'statuses') {
    const { context = '', state = '', description = '', target_url: url } = body as Record<string, string>;
    hub.statuses.set(second, [...(hub.statuses.get(second) ?? []), { context, state, description, url: url ?? null }]);
    return { status: 201, body: { id: 1, status: state, context } };
  }
  if (section !== 'pulls' && section !== 'issues') return null;
  const one = hub.get(Number(second));
  if (section === 'pulls' && third === '' && method === 'PATCH') {
    hub.end(one.number, 'closed', 'lamp');
    return { status: 201, body: shown(one, hub) };
  }
  if (third === 'requested_reviewers') return reviewers(one, body, hub);
  if (third === 'merge') return merge(one, body);
  if (third === 'timeline') {
    const closed =
      one.state === 'open'
        ? []
        : [{ id: 2, type: one.state === 'merged' ? 'merge_pull' : 'close', user: { login: one.endedBy } }];
    return { status: 200, body: [{ id: 1, type: 'pull_push', user: { login: one.author } }, ...closed] };
  }
  if (third === 'labels') {
    const ids = body['labels'] as number[];
    one.labels = [...new Set([...one.labels, ...[...hub.labels].filter(([, id]) => ids.includes(id)).map(([name]) => name)])];
    return { status: 200, body: one.labels.map((name) => ({ id: hub.labels.get(name), name })) };
  }
  if (third === 'comments' && method === 'POST') {
    one.comments.push(String(body['body']));
    return { status: 201, body: { id: 1 } };
  }
  if (third === 'comments')
    return { status: 200, body: pageOf(one.comments, query, 'limit').items.map((text) => ({ body: text })) };
  return null;
};

function shown(proposal: HubProposal, hub: Hub): object {
  const { number, branch, base, title, body, author, state, mergeCommit } = proposal;
  return {
    id: number,
    number,
    html_url: `https://gitea.example/acme/deploy/pulls/${number}`,
    user: { id: 1, login: author },
    title,
    body,
    labels: proposal.labels.map((name) => ({ id: hub.labels.get(name) ?? 0, name })),
    requested_reviewers: proposal.reviewers.map((login) => ({ login })),
    state: state === 'open' ? 'open' : 'closed',
    merged: state === 'merged',
    // Null in listings, whoever merged it.
    merged_by: null,
    merge_commit_sha: mergeCommit,
    head: { label: branch, ref: branch, repo_id: 1 },
    base: { label: base, ref: base, repo_id: 1 },
  };
}

function list({ query }: HubRequest, hub: Hub): HubAnswer {
  const { items, headers } = pageOf(hub.listed(), query, 'limit');
  return { status: 200, body: items.map((one) => shown(one, hub)), headers };
}

function created(body: Record<string, unknown>, hub: Hub): HubAnswer {
  const { head = '', base = '', title = '', body: text = '' } = body as Record<string, string>;
  if (!hub.branches.has(head)) return { status: 404, body: { message: 'not found' } };
  // A real one looks, and keeps nobody out until it has written: two that come together get one each.
  const known = hub.listed().find((one) => one.branch === head && one.base === base && one.state === 'open');
  if (known !== undefined) {
    const message = `pull request already exists for these targets [id: ${known.number}, issue_id: ${known.number}, head_repo_id: 1, base_repo_id: 1, head_branch: ${head}, base_branch: ${base}]`;
    return { status: 409, body: { message } };
  }
  return { status: 201, body: shown(hub.open({ branch: head, base, title, body: text, author: 'lamp' }), hub) };
}

function labels({ method, body, query }: HubRequest, hub: Hub): HubAnswer {
  if (method === 'POST') {
    const name = String(body['name']);
    hub.labels.set(name, hub.labels.size + 1);
    return { status: 201, body: { id: hub.labels.get(name), name } };
  }
  const { items, headers } = pageOf([...hub.labels], query, 'limit');
  return { status: 200, body: items.map(([name, id]) => ({ id, name })), headers };
}

function reviewers(one: HubProposal, body: Record<string, unknown>, hub: Hub): HubAnswer {
  const { reviewers: users = [] } = body as Record<string, string[]>;
  const stranger = users.find((user) => !hub.users.has(user));
  if (stranger !== undefined) return { status: 404, body: { message: `user doesn't exist: ${stranger}` } };
  one.reviewers = [...new Set([...one.reviewers, ...users])];
  return { status: 201, body: [] };
}

function merge(one: HubProposal, body: Record<string, unknown>): HubAnswer {
  if (one.autoMerge) {
    return {
      status: 409,
      body: { message: `pull request is already scheduled to auto merge when checks succeed [pull_id: ${one.number}]` },
    };
  }
  one.autoMerge = body['merge_when_checks_succeed'] === true;
  return { status: 201 };
}
