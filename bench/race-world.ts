import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startGitServer } from '../examples/demo/git-server.ts';
import { Colleague } from '../test/git/colleague.ts';
import { startPages } from '../test/support/pages.ts';
import type { RedisServer } from '../test/support/redis.ts';
import { git } from './git-history.ts';
import { pushLog } from './push-log.ts';

const TOKEN = 'remote-token-5a1c9e';
const run = promisify(execFile);

/** What one application has of bad commits: each of them in a file of its own, so that none stands in another's way. */
export interface Bad {
  application: string;
  path: string;
  sha: string;
}

const good = (application: string, file: number) => `name: ${application}-${file}\nversion: 1\nreplicas: 2\n`;

/** A commit of ours as it stands on the branch. */
export interface Own {
  sha: string;
  rollback: string;
  reverts: string;
}

/**
 * One repository of many applications on a remote over HTTP, every application with its bad commits one upon the other,
 * metrics that are bad for all of them, and a configuration for each process on one Redis.
 */
export async function raceWorld(redis: RedisServer, settings: { applications: number; each: number; name: string }) {
  const folder = await mkdtemp(join(tmpdir(), 'davylamp-race-'));
  const server = await startGitServer({ folder: join(folder, 'remote'), token: TOKEN });
  const log = await pushLog(server.repository);
  const ada = await Colleague.join(join(folder, 'ada'), server.repository);
  const names = Array.from({ length: settings.applications }, (_, at) => `app-${String(at + 1).padStart(2, '0')}`);
  const pathOf = (application: string, file: number) => `apps/${application}/part-${file}.yaml`;
  const files = names.flatMap((name) => Array.from({ length: settings.each }, (_, file) => ({ name, file })));
  await ada.commit(
    'everything as it is good',
    Object.fromEntries(files.map(({ name, file }) => [pathOf(name, file), good(name, file)])),
  );
  const bad: Bad[] = [];
  for (let file = 0; file < settings.each; file += 1) {
    for (const name of names) {
      const path = pathOf(name, file);
      const sha = await ada.commit(`${name}: part ${file} 2`, { [path]: good(name, file).replace('version: 1', 'version: 2') });
      bad.push({ application: name, path, sha });
    }
  }
  await ada.push();
  const pages = await startPages();
  pages.set('canary', { errorShare: 0.5 });
  await writeFile(join(folder, 'token'), TOKEN);
  const targets = (['canary', 'stable'] as const).map((track) => ({ url: `${pages.url}/${track}`, labels: { track } }));
  const counter = (codes: string) => ({ counter: `http_requests_total{service="shop"${codes}}` });

  return {
    names,
    bad,
    log,
    server,
    /** @returns the file of the configuration of one more process */
    async configuration(process: string): Promise<string> {
      await mkdir(join(folder, process));
      const config = {
        server: { listen: '127.0.0.1:0' },
        log: { level: 'info' },
        storage: { kind: 'redis', url: redis.url, prefix: `race-${settings.name}`, path: `./${process}` },
        sources: { pages: { type: 'scrape', targets } },
        repositories: { deploy: { url: server.url, tokenFile: './token', maxPerDay: 1_000 } },
        rollbacks: { maxPerDay: 1_000, fleet: { enabled: false } },
        applications: Object.fromEntries(
          names.map((name) => [
            name,
            {
              repository: 'deploy',
              paths: [`apps/${name}`],
              delivery: { type: 'none' },
              template: 'race',
              mode: 'rollback',
              guards: { maxPerDay: 1_000, coolDown: '0s' },
            },
          ]),
        ),
        templates: {
          race: {
            every: '1s',
            for: '20s',
            canary: { track: 'canary' },
            baseline: { track: 'stable' },
            metrics: {
              errors: { type: 'proportion', source: 'pages', total: counter(''), events: counter(',code=~"5.."'), limit: '20%' },
            },
          },
        },
      };
      const file = join(folder, `${process}.yaml`);
      await writeFile(file, JSON.stringify(config));
      return file;
    },
    /** Our commits on the branch, oldest first. */
    async own(): Promise<Own[]> {
      const trailer = (key: string) => `%(trailers:key=${key},valueonly,separator=%x2c)`;
      const format = `--format=%H%x00${trailer('Davylamp-Rollback')}%x00${trailer('Reverts')}`;
      const text = await git(server.repository, ['log', '--reverse', '--committer=davylamp', format, 'main', '--']);
      return text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => {
          const [sha = '', rollback = '', reverts = ''] = line.split('\0');
          return { sha, rollback, reverts };
        });
    },
    /** Files of applications that do not hold what they held when all was good. */
    async wrongFiles(): Promise<string[]> {
      const wrong: string[] = [];
      for (const { name, file } of files) {
        const path = pathOf(name, file);
        const text = await git(server.repository, ['show', `main:${path}`]);
        if (`${text}\n` !== good(name, file)) wrong.push(path);
      }
      return wrong;
    },
    /** @returns what `git fsck --strict` says of the remote; empty when it is clean */
    async fsck(): Promise<string> {
      const args = ['--git-dir', server.repository, 'fsck', '--strict', '--no-dangling', '--no-progress'];
      const told = await run('git', args).catch((error: { code?: number; stdout?: string; stderr?: string }) => ({
        stdout: `exit code ${error.code}: ${error.stdout}`,
        stderr: error.stderr ?? '',
      }));
      return (told.stdout + told.stderr).trim();
    },
    colleague: (name: string) => Colleague.join(join(folder, name), server.repository),
    async close() {
      await Promise.all([server.close(), pages.close()]);
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

export type RaceWorld = Awaited<ReturnType<typeof raceWorld>>;
