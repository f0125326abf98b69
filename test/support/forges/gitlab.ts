import type { Dialect, Hub, HubAnswer, HubProposal, HubRequest } from './hub.ts';
import { pageOf } from './hub.ts';

export const GITLAB_TOKEN = 'glpat-s3cr3tS3CR3Ts3cr3t';
const ROOT = '/api/v4/projects/acme%2Fplatform%2Fdeploy';
const PROJECT = 3;

/**
 * The part of GitLab's REST API v4 that is called. Shapes and status codes: docs.gitlab.com/api (merge_requests, users, notes,
 * commits, projects, personal_access_tokens); the 409 of a second merge request as in renovatebot/renovate issue 17391; the 400
 * of a status that does not change as in jenkinsci/gitlab-plugin issue 885; the 405 of a merge request that is not prepared yet
 * as in gitlab-org/gitlab issue 353984.
 */
export function gitlabDialect(options: { preparing?: number } = {}): Dialect {
  let preparing = options.preparing ?? 0;
  return (request, hub) => {
    const { headers, method, path, query, body } = request;
    if (headers.authorization !== `Bearer ${GITLAB_TOKEN}`) return { status: 401, body: { message: '401 Unauthorized' } };
    const user = (name: string | null) =>
      name === null ? null : { id: hub.users.get(name) ?? 99, username: name, state: 'active' };
    const shown = (one: HubProposal) => mergeRequest(one, user, hub);
    if (path === '/api/v4/user') return { status: 200, body: user('lamp') };
    if (path === '/api/v4/users') {
      const name = query.get('username') ?? '';
      return { status: 200, body: hub.users.has(name) ? [user(name)] : [] };
    }
    if (path === '/api/v4/personal_access_tokens/self') {
      return { status: 200, body: { id: 1, scopes: ['api'], active: true, expires_at: '2099-01-01' } };
    }
    if (path === ROOT) {
      const permissions = { project_access: { access_level: 30, notification_level: 3 }, group_access: null };
      return {
        status: 200,
        body: {
          id: PROJECT,
          path_with_namespace: 'acme/platform/deploy',
          archived: false,
          merge_requests_enabled: true,
          permissions,
        },
      };
    }
    if (!path.startsWith(`${ROOT}/`)) return null;
    const [section = '', second = '', third = '', fourth = ''] = path.slice(ROOT.length + 1).split('/');
    if (section === 'statuses') return setStatus(second, body, hub);
    if (section === 'repository' && second === 'commits' && fourth === 'statuses') {
      const known = (hub.statuses.get(third) ?? []).filter(({ context }) => context === query.get('name'));
      return { status: 200, body: known.slice(-1).map(({ context, state }) => ({ id: 1, name: context, status: state })) };
    }
    if (section !== 'merge_requests') return null;
    if (second === '' && method === 'POST') return created(body, hub, shown);
    if (second === '') return list(request, hub, shown);
    const one = hub.get(Number(second));
    if (third === 'notes') return notes(one, request);
    if (third === 'merge') {
      if (preparing > 0) {
        preparing -= 1;
        return { status: 405, body: { message: '405 Method Not Allowed' } };
      }
      if (body['sha'] !== hub.branches.get(one.branch)) {
        return { status: 409, body: { message: 'SHA does not match HEAD of source branch' } };
      }
      one.autoMerge = body['auto_merge'] === true;
      return { status: 200, body: shown(one) };
    }
    if (method === 'PUT') {
      const {
        add_labels: more,
        reviewer_ids: ids,
        state_event: event,
      } = body as { add_labels?: string; reviewer_ids?: number[]; state_event?: string };
      if (event === 'close') hub.end(one.number, 'closed', 'lamp');
      if (more !== undefined) one.labels = [...new Set([...one.labels, ...more.split(',')])];
      // Who is not a member is left out without a word; so is everybody but the first without a licence.
      if (ids !== undefined) one.reviewers = [...hub.users].filter(([, id]) => ids.includes(id)).map(([name]) => name);
    }
    return { status: 200, body: shown(one) };
  };
}

function mergeRequest(one: HubProposal, user: (name: string | null) => object | null, hub: Hub): object {
  const { number, branch, base, title, body, state, endedBy, mergeCommit } = one;
  return {
    id: number * 1000,
    iid: number,
    project_id: PROJECT,
    source_project_id: PROJECT,
    target_project_id: PROJECT,
    web_url: `https://gitlab.example/acme/platform/deploy/-/merge_requests/${number}`,
    state: state === 'open' ? 'opened' : state,
    title,
    description: body,
    source_branch: branch,
    target_branch: base,
    sha: hub.branches.get(branch) ?? null,
    merge_commit_sha: mergeCommit,
    squash_commit_sha: null,
    merge_user: state === 'merged' ? user(endedBy) : null,
    merged_by: state === 'merged' ? user(endedBy) : null,
    closed_by: state === 'closed' ? user(endedBy) : null,
    author: user(one.author),
    labels: one.labels,
    reviewers: one.reviewers.map((name) => user(name)),
    merge_when_pipeline_succeeds: one.autoMerge,
    detailed_merge_status: 'mergeable',
  };
}

function list({ query }: HubRequest, hub: Hub, shown: (one: HubProposal) => object): HubAnswer {
  const fit = hub
    .listed()
    .filter(({ branch }) => (query.get('source_branch') ?? branch) === branch)
    .filter(({ base }) => (query.get('target_branch') ?? base) === base);
  const { items, headers } = pageOf(fit, query, 'per_page');
  return { status: 200, body: items.map(shown), headers };
}

function created(body: Record<string, unknown>, hub: Hub, shown: (one: HubProposal) => object): HubAnswer {
  const {
    source_branch: branch = '',
    target_branch: base = '',
    title = '',
    description = '',
    labels = '',
  } = body as Record<string, string>;
  const known = hub.proposals.find((one) => one.branch === branch && one.base === base && one.state === 'open');
  if (known !== undefined) {
    return {
      status: 409,
      body: { message: [`Another open merge request already exists for this source branch: !${known.number}`] },
    };
  }
  if (!hub.branches.has(branch)) return { status: 400, body: { message: { source_branch: ['does not exist'] } } };
  const made = hub.open({ branch, base, title, body: description, author: 'lamp' });
  made.labels = labels === '' ? [] : labels.split(',');
  return { status: 201, body: shown(made) };
}

function setStatus(sha: string, body: Record<string, unknown>, hub: Hub): HubAnswer {
  const { state = '', name = '', description = '', target_url: url } = body as Record<string, string>;
  const known = hub.statuses.get(sha) ?? [];
  const last = known.findLast(({ context }) => context === name);
  if (last?.state === state) {
    const verb = { pending: 'enqueue', failed: 'drop', success: 'success' }[state] ?? state;
    const message = `Cannot transition status via :${verb} from :${state} (Reason(s): Status cannot transition via "${verb}")`;
    return { status: 400, body: { message } };
  }
  hub.statuses.set(sha, [...known, { context: name, state, description, url: url ?? null }]);
  return { status: 201, body: { id: 1, sha, status: state, name } };
}

function notes(one: HubProposal, { method, body, query }: HubRequest): HubAnswer {
  if (method === 'POST') {
    one.comments.push(String(body['body']));
    return { status: 201, body: { id: 1 } };
  }
  const { items, headers } = pageOf(one.comments.toReversed(), query, 'per_page');
  return { status: 200, body: items.map((text) => ({ id: 1, body: text })), headers };
}
