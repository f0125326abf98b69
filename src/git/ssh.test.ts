import { execFileSync } from 'node:child_process';
import { setMaxListeners } from 'node:events';
import { copyFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeRepository, order } from '../../test/conformance/repository.ts';
import { sshWorld, type GitWorld } from '../../test/git/world.ts';
import { createRepository } from './mirror.ts';
import { sshCommand } from './ssh.ts';

const signal = new AbortController().signal;
setMaxListeners(0, signal);

describeRepository('git over ssh with a kept mirror', () => sshWorld());

describe('a remote behind sshd', () => {
  let world: GitWorld;
  let keys: { keyFile: string; knownHostsFile: string };
  beforeAll(async () => {
    world = await sshWorld();
    keys = world.options.ssh ?? { keyFile: '', knownHostsFile: '' };
    await world.commit('first', { 'apps/shop/a.yaml': 'image: 1\n' });
  });
  afterAll(() => world.close());

  it('is not spoken to when its key is not the known one', async () => {
    const file = join(world.folder, 'other-hosts');
    const hosts = execFileSync('ssh-keygen', ['-y', '-f', keys.keyFile], { encoding: 'utf8' });
    const port = new URL(world.options.url).port;
    await writeFile(file, `[127.0.0.1]:${port} ${hosts}`);
    const refused = { code: 'git_host_key_refused', retryable: true };
    await expect(world.another({ ssh: { ...keys, knownHostsFile: file } }).refresh(signal)).rejects.toMatchObject(refused);
    await writeFile(file, '');
    await expect(world.another({ ssh: { ...keys, knownHostsFile: file } }).refresh(signal)).rejects.toMatchObject(refused);
  });

  it('tells a refused key, and takes the right one at the next try', async () => {
    const file = join(world.folder, 'key');
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file]);
    // ssh would offer it instead of the private key's own.
    await rm(`${file}.pub`);
    const repository = world.another({ ssh: { ...keys, keyFile: file } });
    await expect(repository.refresh(signal)).rejects.toMatchObject({ code: 'git_auth_failed', retryable: true });
    await copyFile(keys.keyFile, file);
    expect(await repository.refresh(signal)).toEqual({ head: await world.remoteHead() });
  });

  it('is reached by files whose names mean something to a shell or to ssh', async () => {
    const trap = join(world.folder, 'trap');
    for (const name of ["it's; touch trap", '%h 100%', 'a b  c', '`touch trap`', '*?[x]', '&|<>()#~!', '--help', 'ünï']) {
      const files = { keyFile: join(world.folder, `${name} key`), knownHostsFile: join(world.folder, `${name} hosts`) };
      await copyFile(keys.keyFile, files.keyFile);
      await copyFile(keys.knownHostsFile, files.knownHostsFile);
      expect(await world.another({ ssh: files }).refresh(signal)).toHaveProperty('head');
      expect(await readdir(world.folder)).not.toContain(trap);
    }
  });

  it.each(['relative', '/a"b', '/a\\b', '/$HOME/x', '/a\nb', '/a\0b'])('refuses the file %j', (file) => {
    const refused = expect.objectContaining({ code: 'git_argument_refused' }) as Error;
    expect(() => sshCommand({ ...keys, keyFile: file })).toThrow(refused);
    expect(() => sshCommand({ ...keys, knownHostsFile: file })).toThrow(refused);
    expect(() => createRepository({ ...world.options, ssh: { ...keys, keyFile: file } })).toThrow(refused);
  });

  it('lets two services push the same rollback once', async () => {
    const bad = await world.commit('bad', { 'apps/shop/a.yaml': 'image: 2\n' });
    const both = [world.another(), world.another()];
    const commits = await Promise.all(
      both.map(async (repository) => {
        const result = await repository.revert(order(bad), signal);
        return result.kind === 'commit' ? result.commit : result.kind;
      }),
    );
    expect(commits[0]).toBe(commits[1]);
    const pushes = await Promise.all(both.map((repository) => repository.push(String(commits[0]), null, signal)));
    expect(pushes).toContain('pushed');
    expect(await world.remoteHead()).toBe(commits[0]);
  });
});
