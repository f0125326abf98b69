import { setTimeout as pause } from 'node:timers/promises';
import { ForgeApi, MAX_LISTING_BYTES, isDone, reasonIn, type ForgeDependencies } from '../api.ts';
import { speaking } from '../choosing.ts';
import { marked, markerOf } from '../comments.ts';
import { withoutAddresses } from '../owners.ts';
import { othersName, rememberedName } from '../ended.ts';
import type { CommitStatus, Forge, ProposalOrder, Proposed } from '../port.ts';
import { saysItReverts } from '../reverting.ts';
import { tokenAuthority, type ForgeSettings } from '../settings.ts';
import { checkGitlab } from './checking.ts';
import { CurrentUser, MergeRequest, MergeRequests, Notes, Statuses, Users } from './shapes.ts';
import { readGitlabWebhook } from './webhook.ts';

const NEEDS = 'the role Developer and the scope api';
const PAGE = 100;
/** Merge requests that are looked through for reverts by others, newest first. */
const REVERT_PAGES = 3;
const MOST_REVERTS = 20;
const NOTE_PAGES = 3;
const TITLE_LIMIT = 255;
const DESCRIPTION_LIMIT = 255;
/** A merge request is prepared in the background, and refuses auto-merge until then (gitlab-org/gitlab issues 353984, 196962). */
const NOT_PREPARED: ReadonlySet<number> = new Set([405, 406, 422]);
const AUTO_MERGE_TRIES = 5;
const AUTO_MERGE_PAUSE_MS = 1_000;
const STATES: Readonly<Record<CommitStatus['state'], string>> = { pending: 'pending', success: 'success', failure: 'failed' };

/** GitLab.com and self-managed GitLab by their REST API v4 (docs.gitlab.com/api). */
export function createGitlabForge(settings: ForgeSettings, deps: ForgeDependencies): Forge {
  const { project, repository, tokenFile } = settings;
  const root = `/projects/${encodeURIComponent(project)}`;
  const authority = tokenAuthority(tokenFile ?? '', deps, (token) => ({ authorization: `Bearer ${token}` }));
  const { http, clock } = deps;
  const api = new ForgeApi({
    name: 'GitLab',
    base: settings.api,
    timeoutMs: settings.timeoutMs,
    headers: {},
    needs: NEEDS,
    authority,
    http,
    clock,
  });
  const ourselves = rememberedName(
    async (signal) => (await api.ask({ method: 'GET', path: '/user', what: 'read its own name' }, CurrentUser, signal)).username,
  );

  async function listed(query: Record<string, string>, signal: AbortSignal): Promise<{ found: MergeRequest[]; more: boolean }> {
    const call = {
      method: 'GET',
      path: `${root}/merge_requests`,
      query: { state: 'all', order_by: 'created_at', sort: 'desc', ...query },
      maxBodyBytes: MAX_LISTING_BYTES,
      what: 'list merge requests',
    } as const;
    const answer = await api.done(call, signal);
    return { found: api.read(answer, MergeRequests, call), more: answer.more };
  }

  async function find(branch: string, signal: AbortSignal): Promise<MergeRequest | null> {
    const query = { source_branch: branch, target_branch: repository.branch, per_page: '30' };
    const { found } = await listed(query, signal);
    const own = found.filter((one) => one.source_branch === branch && one.source_project_id === one.project_id);
    return speaking(own, ({ state, iid }) => ({ state: stateOf(state), number: iid }));
  }

  async function proposed(request: MergeRequest, signal: AbortSignal): Promise<Proposed> {
    const state = stateOf(request.state);
    const { merge_user: merged, merged_by: mergedBy, closed_by: closed } = request;
    const ended = state === 'merged' ? (merged ?? mergedBy ?? null) : state === 'closed' ? (closed ?? null) : null;
    // A fast-forward leaves neither a merge commit nor a squashed one: the head of the branch itself is on the target.
    const mergeCommit = request.merge_commit_sha ?? request.squash_commit_sha ?? request.sha ?? null;
    return {
      url: request.web_url,
      number: request.iid,
      state,
      endedBy: await othersName(ended?.username ?? null, ourselves, signal),
      mergeCommit: state === 'merged' ? mergeCommit : null,
      branch: request.source_branch,
    };
  }

  async function open(order: ProposalOrder, signal: AbortSignal): Promise<MergeRequest> {
    const { branch, base, title, body, labels } = order;
    const call = {
      method: 'POST',
      path: `${root}/merge_requests`,
      body: {
        source_branch: branch,
        target_branch: base,
        title: title.slice(0, TITLE_LIMIT),
        description: body,
        remove_source_branch: true,
        // Those that are missing are made ("Create MR", attribute labels).
        labels: labels.join(','),
      },
      what: 'open the merge request',
    } as const;
    const answer = await api.send(call, signal);
    if (isDone(answer)) return api.read(answer, MergeRequest, call);
    if (answer.status === 409) {
      const known = await find(branch, signal);
      if (known !== null) return known;
    }
    throw api.refused(answer, call);
  }

  async function label(request: MergeRequest, labels: readonly string[], signal: AbortSignal): Promise<string[]> {
    const there = new Set((request.labels ?? []).map((text) => text.toLowerCase()));
    const wanted = labels.filter((text) => !there.has(text.toLowerCase()));
    if (wanted.length === 0) return [];
    const call = { method: 'PUT', path: `${root}/merge_requests/${request.iid}`, what: 'set labels' } as const;
    const reason = await api.offered({ ...call, body: { add_labels: wanted.join(',') } }, signal);
    return reason === null ? [] : wanted.map((text) => `label ${text}: ${reason}`);
  }

  /** Reviewers are users, by id; more than one takes a paid tier, which keeps the first and says nothing. */
  async function ask(request: MergeRequest, reviewers: readonly string[], signal: AbortSignal): Promise<string[]> {
    const leftOut: string[] = [];
    const asked = new Map((request.reviewers ?? []).map(({ id, username }) => [username.toLowerCase(), id]));
    const wanted = new Map<string, number>();
    for (const reviewer of reviewers) {
      if (asked.has(reviewer.toLowerCase()) || reviewer.toLowerCase() === request.author?.username.toLowerCase()) continue;
      const call = { method: 'GET', path: '/users', query: { username: reviewer }, what: 'look for a reviewer' } as const;
      const [user] = reviewer.includes('/') || reviewer.includes('@') ? [] : await api.ask(call, Users, signal);
      if (user === undefined) leftOut.push(withoutAddresses(`reviewer ${reviewer}: GitLab knows no such user`));
      else wanted.set(reviewer, user.id);
    }
    if (wanted.size === 0) return leftOut;
    const body = { reviewer_ids: [...asked.values(), ...wanted.values()] };
    const call = { method: 'PUT', path: `${root}/merge_requests/${request.iid}`, body, what: 'ask for a review' } as const;
    const answer = await api.send(call, signal);
    const taken = isDone(answer) ? (api.read(answer, MergeRequest, call).reviewers ?? []) : [];
    const reason = isDone(answer) ? 'GitLab did not take it' : (reasonIn(answer.text) ?? `status ${answer.status}`);
    for (const [reviewer, id] of wanted) {
      if (!taken.some((one) => one.id === id)) leftOut.push(`reviewer ${reviewer}: ${reason}`);
    }
    return leftOut;
  }

  async function mergeLater(request: MergeRequest, signal: AbortSignal): Promise<string[]> {
    if (request.merge_when_pipeline_succeeds === true) return [];
    // `auto_merge` is its name since 17.11; an older GitLab knows the other one only.
    const body = {
      auto_merge: true,
      merge_when_pipeline_succeeds: true,
      ...(typeof request.sha === 'string' && { sha: request.sha }),
    };
    const path = `${root}/merge_requests/${request.iid}/merge`;
    for (let attempt = 1; ; attempt += 1) {
      // Who may not merge is told so by 401 ("Merge a merge request").
      const call = { method: 'PUT', path, body, what: 'turn auto-merge on', mayBe401: true } as const;
      const answer = await api.send(call, signal);
      if (isDone(answer)) return [];
      if (!NOT_PREPARED.has(answer.status) || attempt === AUTO_MERGE_TRIES) {
        return [`auto-merge: ${reasonIn(answer.text) ?? `status ${answer.status}`}`];
      }
      await pause(AUTO_MERGE_PAUSE_MS, undefined, { signal });
    }
  }

  return {
    type: 'gitlab',
    verified: false,
    can: { propose: true, autoMerge: true, status: true, webhook: settings.webhookSecretFile !== null },
    async propose(order, signal) {
      const request = (await find(order.branch, signal)) ?? (await open(order, signal));
      const result = await proposed(request, signal);
      if (result.state !== 'open') return { ...result, leftOut: [] };
      const leftOut = [...(await label(request, order.labels, signal)), ...(await ask(request, order.reviewers, signal))];
      if (order.autoMerge) leftOut.push(...(await mergeLater(request, signal)));
      return { ...result, leftOut };
    },
    async proposalOf(branch, signal) {
      const request = await find(branch, signal);
      return request === null ? null : proposed(request, signal);
    },
    async revertsOf(commit, signal) {
      const reverts: Proposed[] = [];
      for (let page = 1; page <= REVERT_PAGES && reverts.length < MOST_REVERTS; page += 1) {
        const { found, more } = await listed({ per_page: String(PAGE), page: String(page) }, signal);
        for (const request of found) {
          const says = saysItReverts({ title: request.title, body: request.description ?? null }, commit);
          if (says && reverts.length < MOST_REVERTS) reverts.push(await proposed(request, signal));
        }
        if (!more) break;
      }
      return reverts;
    },
    async comment(number, text, signal) {
      const path = `${root}/merge_requests/${number}/notes`;
      const marker = markerOf(text);
      for (let page = 1; page <= NOTE_PAGES; page += 1) {
        const query = { sort: 'desc', per_page: String(PAGE), page: String(page) };
        const call = { method: 'GET', path, query, maxBodyBytes: MAX_LISTING_BYTES, what: 'read comments' } as const;
        const answer = await api.done(call, signal);
        if (api.read(answer, Notes, call).some(({ body }) => body?.includes(marker) === true)) return;
        if (!answer.more) break;
      }
      await api.done({ method: 'POST', path, body: { body: marked(text) }, what: 'write a comment' }, signal);
    },
    async close(number, signal) {
      const path = `${root}/merge_requests/${number}`;
      await api.done({ method: 'PUT', path, body: { state_event: 'close' }, what: 'close our merge request' }, signal);
    },
    async setStatus({ commit, state, description, url, context }, signal) {
      const wanted = STATES[state];
      const body = {
        state: wanted,
        name: context,
        description: description.slice(0, DESCRIPTION_LIMIT),
        ...(url !== null && { target_url: url }),
      };
      const sha = encodeURIComponent(commit);
      const call = { method: 'POST', path: `${root}/statuses/${sha}`, body, what: 'set the status of a commit' } as const;
      const answer = await api.send(call, signal);
      if (isDone(answer)) return;
      // GitLab refuses a status that is there already as a step that its state machine does not have.
      if (answer.status === 400 && /cannot transition/i.test(reasonIn(answer.text) ?? '')) {
        const path = `${root}/repository/commits/${sha}/statuses`;
        const get = { method: 'GET', path, query: { name: context }, what: 'read the status of a commit' } as const;
        const [known] = await api.ask(get, Statuses, signal);
        if (known?.status === wanted) return;
      }
      throw api.refused(answer, call);
    },
    readWebhook: (request) => readGitlabWebhook(request, settings, deps),
    check: (signal) => checkGitlab({ api, root, clock }, signal),
  };
}

function stateOf(state: MergeRequest['state']): Proposed['state'] {
  // Locked: it is being merged in this moment.
  return state === 'merged' || state === 'closed' ? state : 'open';
}
