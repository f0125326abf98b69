import { execFile, spawn } from 'node:child_process';
import { createServer, type IncomingMessage } from 'node:http';
import { access, chmod, cp, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import process from 'node:process';
import { promisify } from 'node:util';
import { systemClock } from '../../../src/clock.ts';
import { createForge } from '../../../src/forge/registry.ts';
import { createHttpClient } from '../../../src/net/client.ts';
import type { ForgeWorld } from '../../conformance/forge.ts';

/** Newest release whose dependencies the Go module proxy has; its sources also hold the templates and locales that it needs. */
const VERSION = 'v1.26.0';
const CACHE = fileURLToPath(new URL(`../../../.cache/gitea-${VERSION}`, import.meta.url));
const BUILD_MS = 900_000;
const MAX_OUTPUT = 16_777_216;
const execute = promisify(execFile);
const START_MS = 60_000;
const DELIVERY_MS = 20_000;
const SECRET = 'w3bh00k-s3cr3t-of-the-test';
/** Tests run as root in containers, which Gitea refuses unless it is told otherwise. */
const environment = { ...process.env, GITEA_I_AM_BEING_UNSAFE_RUNNING_AS_ROOT: 'true' };

/** Folder with the sources and the program in it; built once, from the Go module proxy, with SQLite. */
async function giteaFolder(): Promise<string> {
  const built = join(CACHE, 'gitea');
  const isThere = await access(built).then(
    () => true,
    () => false,
  );
  if (isThere) return CACHE;
  const go = { ...process.env, GOFLAGS: '-mod=mod' };
  const got = await execute('go', ['mod', 'download', '-json', `code.gitea.io/gitea@${VERSION}`], { env: go });
  const { Dir: sources } = JSON.parse(got.stdout) as { Dir: string };
  const making = `${CACHE}.making`;
  await rm(making, { recursive: true, force: true });
  await cp(sources, making, { recursive: true });
  // The module cache is read-only.
  await execute('chmod', ['-R', 'u+w', making]);
  const args = ['build', '-p', '2', '-tags', 'sqlite sqlite_unlock_notify', '-o', 'gitea', '.'];
  await execute('go', args, { cwd: making, env: go, timeout: BUILD_MS, maxBuffer: MAX_OUTPUT });
  await chmod(join(making, 'gitea'), 0o755);
  await rename(making, CACHE);
  return CACHE;
}

interface Answer {
  status: number;
  body: unknown;
}

/** A real Gitea with a repository, ourselves (lamp), a person (robin) and a webhook that comes back to us. */
export async function giteaWorld(): Promise<ForgeWorld> {
  const program = await giteaFolder();
  const folder = await mkdtemp(join(tmpdir(), 'davylamp-gitea-'));
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  const ini = join(folder, 'app.ini');
  await mkdir(join(folder, 'data'), { recursive: true });
  await writeFile(ini, settings(folder, program, port));
  const run = async (args: string[]) =>
    (await execute(join(program, 'gitea'), ['-c', ini, ...args], { env: environment, maxBuffer: MAX_OUTPUT })).stdout;
  await run(['migrate']);
  const user = async (name: string, more: string[]) => {
    const flags = [
      '--username',
      name,
      '--password',
      'pa55-word-0f-test',
      '--email',
      `${name}@gitea.test`,
      '--must-change-password=false',
    ];
    const said = await run(['admin', 'user', 'create', ...flags, '--access-token', '--access-token-name', 'test', ...more]);
    return /created\.\.\. ([0-9a-f]{40})/.exec(said)?.[1] ?? '';
  };
  const admin = await user('root-of-test', ['--admin', '--access-token-scopes', 'all']);
  // What the documentation says that a token needs, and no more.
  const ours = await user('lamp', ['--access-token-scopes', 'write:repository,write:issue,read:user']);
  const robins = await user('robin', ['--access-token-scopes', 'all']);
  const server = spawn(join(program, 'gitea'), ['-c', ini, 'web'], { env: environment, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  server.stderr.on('data', (piece: Buffer) => {
    said = (said + piece.toString('utf8')).slice(-4_000);
  });
  const ended = new Promise<void>((resolve) => server.once('exit', () => resolve()));

  const api = async (token: string, method: 'GET' | 'POST' | 'PUT' | 'PATCH', path: string, body?: object): Promise<Answer> => {
    const answer = await fetch(`${base}/api/v1${path}`, {
      method,
      headers: { authorization: `token ${token}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    return { status: answer.status, body: text === '' ? null : (JSON.parse(text) as unknown) };
  };
  const must = async (token: string, method: 'GET' | 'POST' | 'PUT' | 'PATCH', path: string, body?: object): Promise<unknown> => {
    const answer = await api(token, method, path, body);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  await started(base, () => said);

  await must(admin, 'POST', '/orgs', { username: 'acme' });
  await must(admin, 'POST', '/orgs/acme/repos', { name: 'deploy', auto_init: true, default_branch: 'main' });
  const repo = '/repos/acme/deploy';
  for (const name of ['lamp', 'robin']) await must(admin, 'PUT', `${repo}/collaborators/${name}`, { permission: 'write' });
  // A check that never comes: what is merged by itself waits for it, as it would in earnest.
  const guarded = { rule_name: 'main', enable_push: true, enable_status_check: true, status_check_contexts: ['ci'] };
  await must(admin, 'POST', `${repo}/branch_protections`, { ...guarded, enable_push_whitelist: false });

  const hooks: { headers: Record<string, string>; body: Buffer }[] = [];
  const waiting = new Set<() => void>();
  const receiver = createServer((message: IncomingMessage, response) => {
    const pieces: Buffer[] = [];
    message.on('data', (piece: Buffer) => pieces.push(piece));
    message.on('end', () => {
      const headers = Object.fromEntries(Object.entries(message.headers).map(([name, value]) => [name, String(value)]));
      hooks.push({ headers, body: Buffer.concat(pieces) });
      for (const look of waiting) look();
      response.end();
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  const target = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
  await must(admin, 'POST', `${repo}/hooks`, {
    type: 'gitea',
    active: true,
    events: ['push', 'pull_request'],
    config: { url: target, content_type: 'json', secret: SECRET },
  });

  const http = createHttpClient();
  const forge = () =>
    createForge(
      { type: 'gitea', tokenFile: 'token', webhookSecretFile: 'webhook' },
      { name: 'shop', url: `${base}/acme/deploy.git`, branch: 'main' },
      { http, clock: systemClock, readSecret: (file) => Promise.resolve(file === 'webhook' ? SECRET : ours) },
    );
  let files = 0;
  const branch = async (name: string): Promise<string> => {
    files += 1;
    const change = {
      content: Buffer.from(`change ${files}\n`).toString('base64'),
      branch: 'main',
      new_branch: name,
      message: `change ${files}`,
    };
    const made = (await must(ours, 'POST', `${repo}/contents/apps/file-${files}.txt`, change)) as { commit: { sha: string } };
    return made.commit.sha;
  };
  const open: ForgeWorld['open'] = async (by, proposal) => {
    const body = { head: proposal.branch, base: 'main', title: proposal.title, body: proposal.body };
    return ((await must(by === 'us' ? ours : robins, 'POST', `${repo}/pulls`, body)) as { number: number }).number;
  };
  return {
    forge: await forge(),
    another: await forge(),
    person: 'robin',
    branch,
    open,
    async merge(number) {
      const { head } = (await must(robins, 'GET', `${repo}/pulls/${number}`)) as { head: { sha: string } };
      await must(admin, 'POST', `${repo}/statuses/${head.sha}`, { state: 'success', context: 'ci' });
      // Whether it can be merged is found out in the background.
      for (let left = 40; ; left -= 1) {
        const { status, body } = await api(robins, 'POST', `${repo}/pulls/${number}/merge`, { Do: 'merge' });
        if (status === 200) return;
        if (left === 0 || status !== 405) throw new Error(`merge: ${status} ${JSON.stringify(body)}`);
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
    },
    async end(number, by) {
      await must(by === 'us' ? ours : robins, 'PATCH', `${repo}/pulls/${number}`, { state: 'closed' });
    },
    async shown(number) {
      const pull = (await must(admin, 'GET', `${repo}/pulls/${number}`)) as {
        title: string;
        body: string;
        state: string;
        labels: { name: string }[];
        requested_reviewers: { login: string }[];
      };
      const timeline = (await must(admin, 'GET', `${repo}/issues/${number}/timeline`)) as { type: string }[];
      return {
        state: pull.state === 'open' ? 'open' : 'ended',
        title: pull.title,
        body: pull.body,
        labels: pull.labels.map(({ name }) => name),
        reviewers: pull.requested_reviewers.map(({ login }) => login),
        autoMerge: timeline.some(({ type }) => type === 'pull_scheduled_merge'),
      };
    },
    async proposalsOf(name) {
      const pulls = (await must(admin, 'GET', `${repo}/pulls?state=all&limit=50`)) as {
        number: number;
        head: { label: string };
      }[];
      return pulls.filter(({ head }) => head.label === name).map(({ number }) => number);
    },
    async comments(number) {
      return ((await must(admin, 'GET', `${repo}/issues/${number}/comments`)) as { body: string }[]).map(({ body }) => body);
    },
    async statuses(commit) {
      const all = (await must(admin, 'GET', `${repo}/statuses/${commit}`)) as {
        context: string;
        status: string;
        description: string;
        target_url: string;
      }[];
      return all.map((one) => ({
        context: one.context,
        state: one.status,
        description: one.description,
        url: one.target_url === '' ? null : one.target_url,
      }));
    },
    async webhook(kind, name) {
      const fits = ({ headers, body }: (typeof hooks)[number]) =>
        headers['x-gitea-event'] === (kind === 'push' ? 'push' : 'pull_request') &&
        body.includes(JSON.stringify(kind === 'push' ? `refs/heads/${name}` : name));
      if (kind === 'push') {
        files += 1;
        const change = { content: 'eAo=', branch: name, message: 'a push' };
        await must(admin, 'POST', `${repo}/contents/pushed-${files}.txt`, change);
      } else {
        await branch(name);
        await open('us', { branch: name, title: 'x', body: '' });
      }
      return new Promise((resolve, reject) => {
        const look = () => {
          const found = hooks.find(fits);
          if (found === undefined) return;
          clearTimeout(timer);
          waiting.delete(look);
          resolve(found);
        };
        const timer = setTimeout(
          () => reject(new Error(`no webhook within ${DELIVERY_MS} ms; Gitea says: ${said}`)),
          DELIVERY_MS,
        );
        waiting.add(look);
        look();
      });
    },
    fail: null,
    timeoutMs: 10_000,
    secrets: [ours],
    async close() {
      await http.close();
      server.kill('SIGTERM');
      await ended;
      receiver.closeAllConnections();
      await new Promise<void>((resolve) => receiver.close(() => resolve()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

async function started(base: string, said: () => string): Promise<void> {
  const deadline = Date.now() + START_MS;
  for (;;) {
    try {
      if ((await fetch(`${base}/api/v1/version`)).ok) return;
    } catch {
      // Not listening yet.
    }
    if (Date.now() > deadline) throw new Error(`Gitea does not answer within ${START_MS} ms: ${said()}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function settings(folder: string, program: string, port: number): string {
  return `
WORK_PATH = ${folder}
RUN_MODE = prod
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = ${port}
ROOT_URL = http://127.0.0.1:${port}/
DISABLE_SSH = true
OFFLINE_MODE = true
STATIC_ROOT_PATH = ${program}
[database]
DB_TYPE = sqlite3
PATH = ${folder}/gitea.db
[repository]
ROOT = ${folder}/data/repositories
[security]
INSTALL_LOCK = true
SECRET_KEY = of-the-test
[oauth2]
ENABLED = false
[webhook]
ALLOWED_HOST_LIST = loopback
[service]
DISABLE_REGISTRATION = true
[log]
MODE = console
LEVEL = Warn
[actions]
ENABLED = false
[indexer]
ISSUE_INDEXER_TYPE = db
`;
}
