import { setTimeout as pause } from 'node:timers/promises';
import { CodedError } from '../../errors.ts';
import { ForgeApi, MAX_LISTING_BYTES, isDone, reasonIn, type ForgeDependencies } from '../api.ts';
import { speaking } from '../choosing.ts';
import { marked, markerOf } from '../comments.ts';
import { withoutAddresses } from '../owners.ts';
import { othersName, rememberedName } from '../ended.ts';
import type { Forge, ForgeEvent, ProposalOrder, Proposed } from '../port.ts';
import { saysItReverts } from '../reverting.ts';
import { tokenAuthority, type ForgeSettings } from '../settings.ts';
import { branchOfRef, eventOf, hmacOf, payloadOf, sameSecret, signatureWrong, textAt, type WebhookRequest } from '../webhook.ts';
import { checkGitea } from './checking.ts';
import { Comments, Labels, Login, OneLabel, Pull, Pulls, Timeline } from './shapes.ts';

const NEEDS = 'the right to write to the repository, and the scopes write:repository, write:issue and read:user';
/** The most that an instance gives by default (API, MAX_RESPONSE_ITEMS). */
const PAGE = 50;
const PAGES = 6;
const MOST_REVERTS = 20;
const LABEL_COLOUR = '#d93f0b';
const DESCRIPTION_LIMIT = 140;
/** Whether it can be merged is found out in the background; until then a merge is refused. */
const AUTO_MERGE_TRIES = 5;
const AUTO_MERGE_PAUSE_MS = 1_000;

/** Gitea and Forgejo by their API v1 (docs.gitea.com/api; the shapes follow the source of Gitea 1.26). */
export function createGiteaForge(settings: ForgeSettings, deps: ForgeDependencies): Forge {
  const { project, repository, tokenFile } = settings;
  const [owner = '', name = ''] = project.split('/');
  const root = `/repos/${encodeURIComponent(owner)}/${encodeURIComponent(name)}`;
  const authority = tokenAuthority(tokenFile ?? '', deps, (token) => ({ authorization: `token ${token}` }));
  const { http, clock } = deps;
  const api = new ForgeApi({
    name: 'Gitea',
    base: settings.api,
    timeoutMs: settings.timeoutMs,
    headers: {},
    needs: NEEDS,
    authority,
    http,
    clock,
  });
  const ourselves = rememberedName(
    async (signal) => (await api.ask({ method: 'GET', path: '/user', what: 'read its own name' }, Login, signal)).login,
  );

  /** Pull requests that fit, newest first, looked for among the last that were touched. */
  async function search(
    { sort, fits, enough, pages = PAGES }: { sort: string; fits: (pull: Pull) => boolean; enough: number; pages?: number },
    signal: AbortSignal,
  ): Promise<Pull[]> {
    const found: Pull[] = [];
    for (let page = 1; page <= pages && found.length < enough; page += 1) {
      const query = { state: 'all', limit: String(PAGE), page: String(page), ...(sort !== '' && { sort }) };
      const call = {
        method: 'GET',
        path: `${root}/pulls`,
        query,
        maxBodyBytes: MAX_LISTING_BYTES,
        what: 'list pull requests',
      } as const;
      const answer = await api.done(call, signal);
      found.push(...api.read(answer, Pulls, call).filter(fits));
      if (!answer.more) break;
    }
    return found.toSorted((one, other) => other.number - one.number);
  }

  /** Is it from this branch of ours to the one that is followed? */
  function isOf(branch: string): (pull: Pull) => boolean {
    return ({ head, base }) => head.label === branch && head.repo_id === base.repo_id && base.label === repository.branch;
  }

  async function find(branch: string, signal: AbortSignal): Promise<Pull | null> {
    const found = await search({ sort: 'recentupdate', fits: isOf(branch), enough: 1 }, signal);
    return speaking(found, (pull) => ({ state: stateOf(pull), number: pull.number }));
  }

  async function proposed(pull: Pull, signal: AbortSignal): Promise<Proposed> {
    const state = stateOf(pull);
    const ended = state === 'open' ? null : await whoEnded(pull, signal);
    return {
      url: pull.html_url,
      number: pull.number,
      state,
      endedBy: await othersName(ended, ourselves, signal),
      mergeCommit: state === 'merged' ? (pull.merge_commit_sha ?? null) : null,
      branch: pull.head.label,
    };
  }

  /** A listing does not say who merged or closed a pull request; its timeline does. */
  async function whoEnded(pull: Pull, signal: AbortSignal): Promise<string | null> {
    let last: string | null = null;
    for (let page = 1; page <= PAGES; page += 1) {
      const query = { limit: String(PAGE), page: String(page) };
      const path = `${root}/issues/${pull.number}/timeline`;
      const call = { method: 'GET', path, query, maxBodyBytes: MAX_LISTING_BYTES, what: 'read who ended it' } as const;
      const answer = await api.done(call, signal);
      last =
        api.read(answer, Timeline, call).findLast(({ type }) => type === 'close' || type === 'merge_pull')?.user?.login ?? last;
      if (!answer.more) break;
    }
    return last;
  }

  async function open(order: ProposalOrder, signal: AbortSignal): Promise<Pull> {
    const { branch, base, title, body } = order;
    const call = {
      method: 'POST',
      path: `${root}/pulls`,
      body: { head: branch, base, title, body },
      what: 'open the pull request',
    } as const;
    const answer = await api.send(call, signal);
    if (isDone(answer)) return first(api.read(answer, Pull, call), signal);
    if (answer.status === 409) {
      const known = await find(branch, signal);
      if (known !== null) return known;
    }
    if (answer.status === 422 && /no changes/i.test(reasonIn(answer.text) ?? '')) {
      const sentence = `branch ${branch} holds nothing that ${base} does not have, so there is nothing to propose`;
      throw new CodedError('proposal_empty', sentence);
    }
    throw api.refused(answer, call);
  }

  /**
   * Gitea looks for a pull request of the branch before it makes one, and keeps nobody out meanwhile: two processes get one
   * each. The first one counts; whoever made another closes it.
   */
  async function first(made: Pull, signal: AbortSignal): Promise<Pull> {
    // What was made in the same moment stands on the first page.
    const query = { sort: 'recentupdate', fits: isOf(made.head.label), enough: Infinity, pages: 1 };
    const open = (await search(query, signal)).filter(({ state }) => state === 'open');
    const oldest = open.toSorted((one, other) => one.number - other.number)[0] ?? made;
    if (oldest.number === made.number) return made;
    const path = `${root}/pulls/${made.number}`;
    await api.done({ method: 'PATCH', path, body: { state: 'closed' }, what: 'close a second pull request' }, signal);
    return oldest;
  }

  async function label(pull: Pull, labels: readonly string[], signal: AbortSignal): Promise<string[]> {
    const there = new Set((pull.labels ?? []).map((known) => known.name.toLowerCase()));
    const wanted = labels.filter((text) => !there.has(text.toLowerCase()));
    if (wanted.length === 0) return [];
    const ids = await labelIds(signal);
    const leftOut: string[] = [];
    for (const text of wanted) {
      const id = ids.get(text.toLowerCase()) ?? (await madeLabel(text, signal));
      if (typeof id === 'string') {
        leftOut.push(`label ${text}: ${id}`);
        continue;
      }
      const path = `${root}/issues/${pull.number}/labels`;
      const reason = await api.offered({ method: 'POST', path, body: { labels: [id] }, what: 'set a label' }, signal);
      if (reason !== null) leftOut.push(`label ${text}: ${reason}`);
    }
    return leftOut;
  }

  async function madeLabel(text: string, signal: AbortSignal): Promise<number | string> {
    const body = { name: text, color: LABEL_COLOUR, description: 'Opened by davylamp' };
    const call = { method: 'POST', path: `${root}/labels`, body, what: 'make a label' } as const;
    const answer = await api.send(call, signal);
    if (isDone(answer)) return api.read(answer, OneLabel, call).id;
    return reasonIn(answer.text) ?? `status ${answer.status}`;
  }

  /** Labels of the repository and of its organisation, by name in lower case. */
  async function labelIds(signal: AbortSignal): Promise<Map<string, number>> {
    const ids = new Map<string, number>();
    for (const place of [`/orgs/${encodeURIComponent(owner)}`, root]) {
      for (let page = 1; page <= PAGES; page += 1) {
        const query = { limit: String(PAGE), page: String(page) };
        const call = { method: 'GET', path: `${place}/labels`, query, what: 'list labels' } as const;
        const answer = await api.send(call, signal);
        // A user has no labels of an organisation, and a token may not be let see them.
        if (!isDone(answer)) break;
        for (const { id, name: known } of api.read(answer, Labels, call)) ids.set(known.toLowerCase(), id);
        if (!answer.more) break;
      }
    }
    return ids;
  }

  async function ask(pull: Pull, reviewers: readonly string[], signal: AbortSignal): Promise<string[]> {
    const leftOut: string[] = [];
    const asked = new Set((pull.requested_reviewers ?? []).map(({ login }) => login.toLowerCase()));
    for (const reviewer of reviewers) {
      if (asked.has(reviewer.toLowerCase()) || reviewer.toLowerCase() === pull.user?.login.toLowerCase()) continue;
      const [org = '', team] = reviewer.split('/');
      if (team !== undefined && org.toLowerCase() !== owner.toLowerCase()) {
        leftOut.push(`reviewer ${reviewer}: a team of another organisation`);
        continue;
      }
      const body = team === undefined ? { reviewers: [reviewer] } : { team_reviewers: [team] };
      const path = `${root}/pulls/${pull.number}/requested_reviewers`;
      const reason = await api.offered({ method: 'POST', path, body, what: 'ask for a review' }, signal);
      if (reason !== null) leftOut.push(withoutAddresses(`reviewer ${reviewer}: ${reason}`));
    }
    return leftOut;
  }

  async function mergeLater(pull: Pull, signal: AbortSignal): Promise<string[]> {
    const body = { Do: 'merge', merge_when_checks_succeed: true };
    for (let attempt = 1; ; attempt += 1) {
      const call = { method: 'POST', path: `${root}/pulls/${pull.number}/merge`, body, what: 'turn auto-merge on' } as const;
      const answer = await api.send(call, signal);
      const reason = reasonIn(answer.text) ?? `status ${answer.status}`;
      // 409: it was ordered before.
      if (isDone(answer) || (answer.status === 409 && /already scheduled/i.test(reason))) return [];
      if (!/try again later/i.test(reason) || attempt === AUTO_MERGE_TRIES) return [`auto-merge: ${reason}`];
      await pause(AUTO_MERGE_PAUSE_MS, undefined, { signal });
    }
  }

  return {
    type: 'gitea',
    verified: true,
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
      const found = await search({ sort: '', fits: (pull) => saysItReverts(pull, commit), enough: MOST_REVERTS }, signal);
      const reverts: Proposed[] = [];
      for (const pull of found.slice(0, MOST_REVERTS)) reverts.push(await proposed(pull, signal));
      return reverts;
    },
    async comment(number, text, signal) {
      const path = `${root}/issues/${number}/comments`;
      const call = { method: 'GET', path, maxBodyBytes: MAX_LISTING_BYTES, what: 'read comments' } as const;
      const marker = markerOf(text);
      if ((await api.ask(call, Comments, signal)).some(({ body }) => body?.includes(marker) === true)) return;
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
    readWebhook: (request) => readGiteaWebhook(request, settings, deps),
    check: (signal) => checkGitea({ api, root }, signal),
  };
}

function stateOf({ merged, state }: Pull): Proposed['state'] {
  return merged ? 'merged' : state;
}

/** Gitea signs the JSON, also where it sends it as a field of a form; Forgejo adds the same under its own name. */
async function readGiteaWebhook(
  request: WebhookRequest,
  { project, webhookSecretFile }: ForgeSettings,
  { readSecret }: ForgeDependencies,
): Promise<ForgeEvent> {
  const { headers, body } = request;
  if (webhookSecretFile === null) throw signatureWrong();
  const isForm = (headers['content-type'] ?? '').startsWith('application/x-www-form-urlencoded');
  const signed = isForm ? (new URLSearchParams(body.toString('utf8')).get('payload') ?? '') : body;
  const given = headers['x-gitea-signature'] ?? headers['x-forgejo-signature'] ?? '';
  if (!sameSecret(given.toLowerCase(), hmacOf(await readSecret(webhookSecretFile), signed, 'hex'))) throw signatureWrong();
  const payload = payloadOf(request);
  const about = {
    delivery: headers['x-gitea-delivery'] ?? headers['x-forgejo-delivery'],
    project: textAt(payload, 'repository', 'full_name'),
    expected: project,
  };
  const kind = headers['x-gitea-event'] ?? headers['x-forgejo-event'];
  if (kind === 'pull_request') {
    return eventOf({ ...about, kind: 'proposal', branch: textAt(payload, 'pull_request', 'head', 'label') });
  }
  if (kind === 'push') return eventOf({ ...about, kind: 'push', branch: branchOfRef(textAt(payload, 'ref')) });
  return eventOf({ ...about, kind: 'other', branch: null });
}
