import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startGitServer, type GitServer } from '../../examples/demo/git-server.ts';
import { createRepository, type RepositoryOptions } from '../../src/git/mirror.ts';
import type { Repository } from '../../src/git/port.ts';
import type { RepositoryWorld } from '../conformance/repository.ts';
import { Colleague } from './colleague.ts';
import { startSshServer } from './ssh-server.ts';

export const TOKEN = 'canary-token-7c1f/+=';
export const AUTHOR = { name: 'davylamp', email: 'davylamp@example.com' };

export interface GitWorld extends RepositoryWorld {
  folder: string;
  server: GitServer;
  colleague: Colleague;
  options: RepositoryOptions;
  logged: string[];
  /** Another service with a mirror of its own on the same remote. */
  another(changes?: Partial<RepositoryOptions>): Repository;
}

/** The same repository behind Debian's sshd, with a key of its own. */
export async function sshWorld(changes: Partial<RepositoryOptions> = {}): Promise<GitWorld> {
  const world = await gitWorld();
  const server = await startSshServer(join(world.folder, 'a server'));
  const ours = { url: server.url(world.server.repository), ssh: server.ssh, credential: async () => null, ...changes };
  const options = { ...world.options, ...ours };
  return {
    ...world,
    options,
    another: (more = {}) => world.another({ ...ours, ...more }),
    repository: world.another({ ...ours, folder: options.folder }),
    setReachable: (reachable) => (reachable ? server.up() : server.down()),
    async close() {
      await world.close();
      await server.down();
    },
  };
}

/** The real thing: git behind HTTP on loopback, a person with a clone, and our repository. */
export async function gitWorld(changes: Partial<RepositoryOptions> = {}): Promise<GitWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'davylamp-git-'));
  const server = await startGitServer({ folder: join(folder, 'server'), token: TOKEN });
  const colleague = await Colleague.join(join(folder, 'colleague'), server.repository);
  const logged: string[] = [];
  const note = (facts: Record<string, unknown>, sentence: string) => void logged.push(`${sentence} ${JSON.stringify(facts)}`);
  const options: RepositoryOptions = {
    name: 'shop',
    url: server.url,
    branch: 'main',
    folder: join(folder, 'mirror'),
    credential: async () => ({ username: 'davylamp', token: TOKEN }),
    author: AUTHOR,
    log: { info: note, warn: note },
    ...changes,
  };
  const open: Repository[] = [];
  const another = (more: Partial<RepositoryOptions> = {}): Repository => {
    const repository = createRepository({ ...options, folder: join(folder, `mirror-${open.length}`), ...more });
    open.push(repository);
    return repository;
  };
  const remote = async (...args: string[]): Promise<string | null> => {
    try {
      return await colleague.git('--git-dir', server.repository, ...args);
    } catch (error) {
      // rev-parse and show end so when there is no such thing.
      if ((error as { code?: unknown }).code === 1 || (error as { code?: unknown }).code === 128) return null;
      throw error;
    }
  };
  return {
    folder,
    server,
    colleague,
    options,
    logged,
    another,
    repository: another({ folder: options.folder }),
    async commit(message, files) {
      if ((await remote('rev-parse', '--verify', '--quiet', 'refs/heads/main')) !== null) await colleague.pull();
      const sha = await colleague.commit(message, files);
      await colleague.push();
      return sha;
    },
    remoteHead: (branch = 'main') => remote('rev-parse', '--verify', '--quiet', `refs/heads/${branch}`),
    async read(path) {
      const text = await remote('show', `refs/heads/main:${path}`);
      return text === null ? null : `${text}\n`;
    },
    async setReachable(reachable) {
      await (reachable ? server.up() : server.down());
    },
    refusePushes: (reason) => server.refusePushes(reason),
    async close() {
      for (const repository of open) await repository.close();
      await server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
