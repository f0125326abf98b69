import { CodedError } from '../../errors.ts';
import { ForgeApi, MAX_LISTING_BYTES, isDone, reasonIn, type ForgeApiOptions, type ForgeDependencies } from '../api.ts';
import { checkGithub } from './checking.ts';
import { speaking } from '../choosing.ts';
import { marked, markerOf } from '../comments.ts';
import { withoutAddresses } from '../owners.ts';
import { othersName, rememberedName } from '../ended.ts';
import type { Forge, ForgeEvent, ProposalOrder, Proposed } from '../port.ts';
import { saysItReverts } from '../reverting.ts';
import { tokenAuthority, type ForgeSettings } from '../settings.ts';
import { branchOfRef, eventOf, hmacOf, payloadOf, sameSecret, signatureWrong, textAt, type WebhookRequest } from '../webhook.ts';
import { GithubApp } from './app.ts';
import { Comments, GraphqlAnswer, Issue, Login, Pull, Pulls } from './shapes.ts';

const NEEDS = 'Contents, Pull requests, Issues and Commit statuses, all of them read and write (a classic token: the scope repo)';
const PAGE = 100;
/** Pull requests that are looked through for reverts by others, newest first. */
const REVERT_PAGES = 3;
const MOST_REVERTS = 20;
const COMMENT_PAGES = 3;
const DESCRIPTION_LIMIT = 140;
const LABEL_COLOUR = 'd93f0b';
const MERGE_METHODS = ['MERGE', 'SQUASH', 'REBASE'] as const;
const AUTO_MERGE = `mutation ($id: ID!, $method: PullRequestMergeMethod!) {
  enablePullRequestAutoMerge(input: { pullRequestId: $id, mergeMethod: $method }) { clientMutationId }
}`;

/** GitHub.com, GitHub Enterprise Cloud and Server by their REST API (docs.github.com/rest, version 2022-11-28). */
export function createGithubForge(settings: ForgeSettings, deps: ForgeDependencies): Forge {
  const { project, repository } = settings;
  const [owner = '', name = ''] = project.split('/');
  const root = `/repos/${encodeURIComponent(owner)}/${encodeURIComponent(name)}`;
  const options: Omit<ForgeApiOptions, 'authority'> = {
    name: 'GitHub',
    base: settings.api,
    timeoutMs: settings.timeoutMs,
    headers: { accept: 'application/vnd.github+json', 'x-github-api-version': '2022-11-28' },
    needs: NEEDS,
    http: deps.http,
    clock: deps.clock,
  };
  const { app, tokenFile } = settings;
  const asApp = app === null ? null : new GithubApp({ ...settings, app }, deps, options);
  const authority = asApp ?? tokenAuthority(tokenFile ?? '', deps, (token) => ({ authorization: `Bearer ${token}` }));
  const api = new ForgeApi({ ...options, authority });
  // Enterprise Server serves REST at /api/v3 and GraphQL beside it at /api/graphql.
  const graphql = new ForgeApi({ ...options, base: settings.api.replace(/\/v3$/, ''), authority });
  const ourselves = rememberedName(async (signal) => {
    if (asApp !== null) return asApp.login(signal);
    return (await api.ask({ method: 'GET', path: '/user', what: 'read its own name' }, Login, signal)).login;
  });

  const isHere = (pull: Pull) => pull.head.repo?.full_name.toLowerCase() === project.toLowerCase();

  async function find(branch: string, signal: AbortSignal): Promise<Pull | null> {
    const query = { head: `${owner}:${branch}`, base: repository.branch, state: 'all', sort: 'created', direction: 'desc' };
    const call = {
      method: 'GET',
      path: `${root}/pulls`,
      query: { ...query, per_page: '30' },
      what: 'list pull requests',
    } as const;
    const pulls = await api.ask({ ...call, maxBodyBytes: MAX_LISTING_BYTES }, Pulls, signal);
    // A filter that GitHub does not understand is one that it leaves out.
    const own = pulls.filter((pull) => isHere(pull) && pull.head.ref === branch && pull.base.ref === repository.branch);
    return speaking(own, (pull) => ({ state: stateOf(pull), number: pull.number }));
  }

  async function proposed(pull: Pull, signal: AbortSignal): Promise<Proposed> {
    const state = stateOf(pull);
    let ended: string | null = null;
    if (state !== 'open') {
      const call = { method: 'GET', path: `${root}/issues/${pull.number}`, what: 'read who closed it' } as const;
      ended = (await api.ask(call, Issue, signal)).closed_by?.login ?? null;
    }
    return {
      url: pull.html_url,
      number: pull.number,
      state,
      endedBy: await othersName(ended, ourselves, signal),
      // Of what is not merged it is the commit of a trial merge.
      mergeCommit: state === 'merged' ? (pull.merge_commit_sha ?? null) : null,
      branch: pull.head.ref,
    };
  }

  async function open(order: ProposalOrder, signal: AbortSignal): Promise<Pull> {
    const { branch, base, title, body } = order;
    const call = {
      method: 'POST',
      path: `${root}/pulls`,
      body: { head: branch, base, title, body, maintainer_can_modify: false },
      what: 'open the pull request',
    } as const;
    const answer = await api.send(call, signal);
    if (isDone(answer)) return api.read(answer, Pull, call);
    const reason = reasonIn(answer.text) ?? '';
    if (answer.status === 422 && /already exists/i.test(reason)) {
      const known = await find(branch, signal);
      if (known !== null) return known;
    }
    if (answer.status === 422 && /no commits between/i.test(reason)) {
      const sentence = `branch ${branch} holds nothing that ${base} does not have, so there is nothing to propose`;
      throw new CodedError('proposal_empty', sentence);
    }
    throw api.refused(answer, call);
  }

  /** Labels that are missing are made first: the call that sets them says nothing of those that it cannot make. */
  async function label(pull: Pull, labels: readonly string[], signal: AbortSignal): Promise<string[]> {
    const there = new Set((pull.labels ?? []).map((known) => known.name.toLowerCase()));
    const wanted = labels.filter((text) => !there.has(text.toLowerCase()));
    const leftOut: string[] = [];
    for (const text of wanted) {
      const get = { method: 'GET', path: `${root}/labels/${encodeURIComponent(text)}`, what: 'look for the label' } as const;
      if (isDone(await api.send(get, signal))) continue;
      const made = { name: text, color: LABEL_COLOUR, description: 'Opened by davylamp' };
      // Somebody else may have made it in this moment; the next call shows.
      await api.offered({ method: 'POST', path: `${root}/labels`, body: made, what: 'make a label' }, signal);
    }
    for (const text of wanted) {
      const path = `${root}/issues/${pull.number}/labels`;
      const reason = await api.offered({ method: 'POST', path, body: { labels: [text] }, what: 'set a label' }, signal);
      if (reason !== null) leftOut.push(`label ${text}: ${reason}`);
    }
    return leftOut;
  }

  async function ask(pull: Pull, reviewers: readonly string[], signal: AbortSignal): Promise<string[]> {
    const leftOut: string[] = [];
    const users: string[] = [];
    const teams: string[] = [];
    const asked = new Set([
      ...(pull.requested_reviewers ?? []).map(({ login }) => login.toLowerCase()),
      ...(pull.requested_teams ?? []).map(({ slug }) => `${owner}/${slug}`.toLowerCase()),
    ]);
    for (const reviewer of reviewers) {
      if (asked.has(reviewer.toLowerCase()) || reviewer.toLowerCase() === pull.user?.login.toLowerCase()) continue;
      const [org = '', team] = reviewer.split('/');
      if (reviewer.includes('@')) leftOut.push(withoutAddresses(`reviewer ${reviewer}: GitHub asks users by name only`));
      else if (team === undefined) users.push(reviewer);
      else if (org.toLowerCase() === owner.toLowerCase()) teams.push(team);
      else leftOut.push(`reviewer ${reviewer}: a team of another organisation`);
    }
    const request = (body: object) =>
      api.offered(
        { method: 'POST', path: `${root}/pulls/${pull.number}/requested_reviewers`, body, what: 'ask for a review' },
        signal,
      );
    if (users.length + teams.length === 0) return leftOut;
    // One who may not be asked makes GitHub refuse all of them.
    if ((await request({ reviewers: users, team_reviewers: teams })) === null) return leftOut;
    for (const [key, names] of [
      ['reviewers', users],
      ['team_reviewers', teams],
    ] as const) {
      for (const one of names) {
        const reason = await request({ [key]: [one] });
        if (reason !== null) leftOut.push(`reviewer ${key === 'reviewers' ? one : `${owner}/${one}`}: ${reason}`);
      }
    }
    return leftOut;
  }

  /** GitHub takes the order only while something is still missing for the merge, and only a method that the repository allows. */
  async function mergeLater(pull: Pull, signal: AbortSignal): Promise<string[]> {
    if (pull.auto_merge !== null && pull.auto_merge !== undefined) return [];
    let reason = '';
    for (const method of MERGE_METHODS) {
      const body = { query: AUTO_MERGE, variables: { id: pull.node_id, method } };
      const call = { method: 'POST', path: '/graphql', body, what: 'turn auto-merge on' } as const;
      const answer = await graphql.send(call, signal);
      if (!isDone(answer)) return [`auto-merge: ${reasonIn(answer.text) ?? `status ${answer.status}`}`];
      const { errors = [] } = graphql.read(answer, GraphqlAnswer, call);
      if (errors.length === 0) return [];
      // The GraphQL API says so with status 200 ("Rate limits and query limits for the GraphQL API").
      if (errors.some(({ type }) => type === 'RATE_LIMITED')) throw graphql.limited(answer);
      reason = reasonIn(answer.text) ?? 'refused';
      if (!/merge method|not allowed on this repository/i.test(reason)) break;
    }
    return [`auto-merge: ${reason}`];
  }

  return {
    type: 'github',
    verified: false,
    can: { propose: true, autoMerge: true, status: true, webhook: settings.webhookSecretFile !== null },
    async propose(order, signal) {
      const pull = (await find(order.branch, signal)) ?? (await open(order, signal));
      const result = await proposed(pull, signal);
      if (result.state !== 'open') return { ...result, leftOut: [] };
      const leftOut = [...(await label(pull, order.labels, signal)), ...(await ask(pull, order.reviewers, signal))];
      if (order.autoMerge) leftOut.push(...(await mergeLater(pull, signal)));
      return { ...result, leftOut };
    },
    async proposalOf(branch, signal) {
      const pull = await find(branch, signal);
      return pull === null ? null : proposed(pull, signal);
    },
    async revertsOf(commit, signal) {
      const found: Pull[] = [];
      for (let page = 1; page <= REVERT_PAGES && found.length < MOST_REVERTS; page += 1) {
        const query = { state: 'all', sort: 'created', direction: 'desc', per_page: String(PAGE), page: String(page) };
        const call = { method: 'GET', path: `${root}/pulls`, query, what: 'list pull requests' } as const;
        const answer = await api.done({ ...call, maxBodyBytes: MAX_LISTING_BYTES }, signal);
        found.push(...api.read(answer, Pulls, call).filter((pull) => saysItReverts(pull, commit)));
        if (!answer.more) break;
      }
      const reverts: Proposed[] = [];
      for (const pull of found.slice(0, MOST_REVERTS)) reverts.push(await proposed(pull, signal));
      return reverts;
    },
    async comment(number, text, signal) {
      const path = `${root}/issues/${number}/comments`;
      const marker = markerOf(text);
      for (let page = 1; page <= COMMENT_PAGES; page += 1) {
        const query = { per_page: String(PAGE), page: String(page) };
        const call = { method: 'GET', path, query, maxBodyBytes: MAX_LISTING_BYTES, what: 'read comments' } as const;
        const answer = await api.done(call, signal);
        if (api.read(answer, Comments, call).some(({ body }) => body?.includes(marker) === true)) return;
        if (!answer.more) break;
      }
      await api.done({ method: 'POST', path, body: { body: marked(text) }, what: 'write a comment' }, signal);
    },
    async close(number, signal) {
      const path = `${root}/pulls/${number}`;
      await api.done({ method: 'PATCH', path, body: { state: 'closed' }, what: 'close our pull request' }, signal);
    },
    async setStatus({ commit, state, description, url, context }, signal) {
      const body = {
        state,
        description: description.slice(0, DESCRIPTION_LIMIT),
        context,
        ...(url !== null && { target_url: url }),
      };
      const path = `${root}/statuses/${encodeURIComponent(commit)}`;
      await api.done({ method: 'POST', path, body, what: 'set the status of a commit' }, signal);
    },
    readWebhook: (request) => readGithubWebhook(request, settings, deps),
    check: (signal) => checkGithub({ api, root, settings, clock: deps.clock }, signal),
    ...(asApp !== null && {
      gitCredential: async (signal) => ({ username: 'x-access-token', token: await asApp.token(signal) }),
    }),
  };
}

function stateOf({ merged_at: mergedAt, state }: Pull): Proposed['state'] {
  return mergedAt === null ? state : 'merged';
}

/** "Validating webhook deliveries": X-Hub-Signature-256 over the raw body, whatever its content type. */
async function readGithubWebhook(
  request: WebhookRequest,
  { project, webhookSecretFile }: ForgeSettings,
  { readSecret }: ForgeDependencies,
): Promise<ForgeEvent> {
  if (webhookSecretFile === null) throw signatureWrong();
  const given = request.headers['x-hub-signature-256'] ?? '';
  const expected = `sha256=${hmacOf(await readSecret(webhookSecretFile), request.body, 'hex')}`;
  if (!sameSecret(given.toLowerCase(), expected)) throw signatureWrong();
  const payload = payloadOf(request);
  const kind = request.headers['x-github-event'];
  const about = {
    delivery: request.headers['x-github-delivery'],
    project: textAt(payload, 'repository', 'full_name'),
    expected: project,
  };
  if (kind === 'pull_request') {
    return eventOf({ ...about, kind: 'proposal', branch: textAt(payload, 'pull_request', 'head', 'ref') });
  }
  if (kind === 'push') return eventOf({ ...about, kind: 'push', branch: branchOfRef(textAt(payload, 'ref')) });
  return eventOf({ ...about, kind: 'other', branch: null });
}
