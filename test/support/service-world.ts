import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startGitServer } from '../../examples/demo/git-server.ts';
import { Colleague } from '../git/colleague.ts';
import { startPages } from './pages.ts';
import { startRollout } from './rollout.ts';

export const GIT_TOKEN = 'remote-token-5a1c9e';

/**
 * Everything around a service but the service: a remote with a good and a bad release of the shop, metrics pages, and
 * a rollout that runs the bad release as its canary.
 */
export async function serviceWorld(settings: { mode?: string; more?: string; for?: string } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'davylamp-world-'));
  const git = await startGitServer({ folder: join(folder, 'remote'), token: GIT_TOKEN });
  const colleague = await Colleague.join(join(folder, 'colleague'), git.repository);
  const manifest = (version: string) => `version: ${version}\ncanary:\n  weight: 10\n`;
  const good = await colleague.commit('shop 1.1.0', { 'apps/shop/rollout.yaml': manifest('1.1.0') });
  const bad = await colleague.commit('shop 1.2.0', { 'apps/shop/rollout.yaml': manifest('1.2.0') });
  await colleague.push();
  const pages = await startPages();
  const rollout = await startRollout({ canary: bad, stable: good });
  await writeFile(join(folder, 'token'), GIT_TOKEN);
  const config = join(folder, 'davylamp.yaml');
  await writeFile(
    config,
    `
server: { listen: 127.0.0.1:0 }
storage: { kind: embedded, path: ./data }
log: { level: info }
sources:
  pages:
    type: scrape
    targets:
      - { url: ${pages.url}/canary, labels: { track: canary } }
      - { url: ${pages.url}/stable, labels: { track: stable } }
repositories:
  deploy: { url: ${git.url}, tokenFile: ./token }
applications:
  shop:
    repository: deploy
    paths: [apps/shop]
    delivery: { type: http, url: ${rollout.url} }
    template: shop
    arguments: { service: shop }
    mode: ${settings.mode ?? 'rollback'}
${settings.more ?? ''}
templates:
  shop:
    every: 100ms
    for: ${settings.for ?? '1200ms'}
    warmup: 200ms
    canary: { track: canary }
    baseline: { track: stable }
    recovery: { for: 300ms }
    metrics:
      errors:
        type: proportion
        source: pages
        total: { counter: 'http_requests_total{service="\${service}"}' }
        events: { counter: 'http_requests_total{service="\${service}",code=~"5.."}' }
        limit: 20%
`,
  );
  return {
    folder,
    config,
    git,
    colleague,
    good,
    bad,
    pages,
    rollout,
    /** The commits of the remote's branch, newest first. */
    async commits(branch = 'main'): Promise<{ sha: string; subject: string; rollback: string }[]> {
      const text = await colleague.git(
        '--git-dir',
        git.repository,
        'log',
        '--format=%H%x00%s%x00%(trailers:key=Davylamp-Rollback,valueonly,separator=%x2c)',
        branch,
        '--',
      );
      return text
        .split('\n')
        .filter(Boolean)
        .map((line) => {
          const [sha = '', subject = '', rollback = ''] = line.split('\0');
          return { sha, subject, rollback };
        });
    },
    async fileOnRemote(path: string): Promise<string> {
      return colleague.git('--git-dir', git.repository, 'show', `main:${path}`);
    },
    async close() {
      await Promise.all([git.close(), pages.close(), rollout.close()]);
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

export type ServiceWorld = Awaited<ReturnType<typeof serviceWorld>>;
