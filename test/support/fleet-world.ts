import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startGitServer } from '../../examples/demo/git-server.ts';
import { Colleague } from '../git/colleague.ts';
import { startPages } from './pages.ts';

export const TOKEN = 'remote-token-5a1c9e';

/** What a channel was told. */
export interface Told {
  urgency: string;
  event: string;
  code: string;
  incident: string;
}

/**
 * Many applications in one repository that are judged by the same metrics, each with a good and a bad release, and a
 * channel that takes every notice.
 */
export async function fleetWorld(
  size: number,
  settings: {
    rollbacks?: string;
    every?: string;
    /** `type: ...` of the delivery of an application, without braces. */
    delivery?: (name: string) => string;
    /** More of each application, as `, key: value`. */
    more?: string;
  } = {},
) {
  const folder = await mkdtemp(join(tmpdir(), 'davylamp-fleet-'));
  const git = await startGitServer({ folder: join(folder, 'remote'), token: TOKEN });
  const colleague = await Colleague.join(join(folder, 'colleague'), git.repository);
  const names = Array.from({ length: size }, (_, at) => `app-${String(at + 1).padStart(2, '0')}`);
  const files = (version: number) => Object.fromEntries(names.map((name) => [`apps/${name}/app.yaml`, `version: ${version}\n`]));
  await colleague.commit('version 1 of everything', files(1));
  const bad = new Map<string, string>();
  for (const name of names) bad.set(name, await colleague.commit(`${name} 2`, { [`apps/${name}/app.yaml`]: 'version: 2\n' }));
  await colleague.push();
  const pages = await startPages();
  const told: Told[] = [];
  const channel = createServer((request, response) => {
    void read(request).then((text) => {
      told.push(JSON.parse(text) as Told);
      response.writeHead(200).end('{}');
    });
  });
  channel.listen(0, '127.0.0.1');
  await once(channel, 'listening');
  const address = channel.address();
  if (address === null || typeof address === 'string') throw new Error('the channel has no port');
  await writeFile(join(folder, 'token'), TOKEN);
  const config = join(folder, 'davylamp.yaml');
  await writeFile(
    config,
    `
server: { listen: 127.0.0.1:0 }
storage: { kind: embedded, path: ./data }
notify: { channels: { hook: { type: webhook, url: "http://127.0.0.1:${address.port}/" } } }
sources:
  pages:
    type: scrape
    targets:
      - { url: ${pages.url}/canary, labels: { track: canary } }
      - { url: ${pages.url}/stable, labels: { track: stable } }
repositories:
  deploy: { url: ${git.url}, tokenFile: ./token, maxPerDay: 100 }
rollbacks: ${settings.rollbacks ?? '{ maxPerDay: 100 }'}
applications:
${names.map((name) => `  ${name}: { repository: deploy, paths: [apps/${name}], delivery: { ${settings.delivery?.(name) ?? 'type: none'} }, template: t, mode: rollback${settings.more ?? ''} }`).join('\n')}
templates:
  t:
    every: ${settings.every ?? '500ms'}
    for: 20s
    canary: { track: canary }
    baseline: { track: stable }
    recovery: { for: 1s }
    metrics:
      errors:
        type: proportion
        source: pages
        total: { counter: 'http_requests_total{service="shop"}' }
        events: { counter: 'http_requests_total{service="shop",code=~"5.."}' }
        limit: 20%
`,
  );
  return {
    config,
    git,
    colleague,
    names,
    bad,
    pages,
    told,
    /** Reverts on the branch. */
    async reverts(): Promise<string[]> {
      const text = await colleague.git('--git-dir', git.repository, 'log', '--format=%s', 'main', '--');
      return text.split('\n').filter((subject) => subject.startsWith('Revert'));
    },
    async close() {
      channel.close();
      channel.closeAllConnections();
      await Promise.all([git.close(), pages.close()]);
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function read(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}
