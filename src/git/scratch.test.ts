import { execFileSync } from 'node:child_process';
import { setMaxListeners } from 'node:events';
import { chmod, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { order } from '../../test/conformance/repository.ts';
import { gitWorld, type GitWorld } from '../../test/git/world.ts';

const signal = new AbortController().signal;
setMaxListeners(0, signal);

async function sizeOf(folder: string): Promise<{ files: number; bytes: number }> {
  const entries = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const sizes = await Promise.all(entries.map(async (entry) => (await stat(join(entry.parentPath, entry.name))).size));
  return { files: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}

describe('the disk of a mirror', () => {
  let world: GitWorld;
  let bad: string;
  beforeEach(async () => {
    world = await gitWorld();
    await world.commit('first', { 'apps/shop/a.yaml': 'image: 1\n' });
    bad = await world.commit('bad', { 'apps/shop/a.yaml': 'image: 2\n' });
    await world.repository.refresh(signal);
  });
  afterEach(() => world.close());

  const place = async (end: string): Promise<string> => {
    const name = (await readdir(world.options.folder)).find((entry) => entry.endsWith(end));
    return join(world.options.folder, String(name));
  };

  it('does not grow by 300 reverts that are computed and never pushed', { timeout: 180_000 }, async () => {
    const before = await sizeOf(join(await place('.git'), 'objects'));
    let made = '';
    for (let index = 0; index < 300; index += 1) {
      const edits = Array.from({ length: 6 }, (_, folder) => ({
        path: `f${folder}/g/policy.yaml`,
        content: `${index} ${folder}\n`,
      }));
      const result = await world.repository.revert(order(bad, { message: `${index}\n`, edits }), signal);
      if (result.kind !== 'commit') throw new Error(result.kind);
      made = result.commit;
    }
    expect(await sizeOf(join(await place('.git'), 'objects'))).toEqual(before);
    // 300 times 6 files with two folders each, a root and a commit: 6,000 objects.
    const scratch = await sizeOf(await place('.scratch'));
    expect(scratch.files).toBeGreaterThan(100);
    expect(scratch.files).toBeLessThan(3_600);
    expect((await readdir(await place('.scratch'))).length).toBe(4);
    expect(await world.repository.push(made, null, signal)).toBe('pushed');
    await world.repository.refresh(signal);
    expect((await world.repository.commit(made, signal)).onBranch).toBe(true);
  });

  it('keeps what was computed a moment ago over a restart, and no more than that over many', async () => {
    const result = await world.repository.revert(order(bad), signal);
    if (result.kind !== 'commit') throw new Error(result.kind);
    await world.repository.close();
    const restarted = world.another({ folder: world.options.folder });
    expect(await restarted.push(result.commit, 'restarted', signal)).toBe('pushed');
    for (let index = 0; index < 8; index += 1) {
      const another = world.another({ folder: world.options.folder });
      await another.refresh(signal);
      await another.close();
    }
    expect((await readdir(await place('.scratch'))).length).toBe(4);
  });

  it('may be full: it says so, keeps the mirror, and goes on by itself when there is room again', async () => {
    const bin = join(world.folder, 'bin');
    const full = join(world.folder, 'full');
    const real = execFileSync('which', ['git'], { encoding: 'utf8' }).trim();
    await mkdir(bin);
    // No file may grow: the same answer as of a full disk, from the kernel.
    const script = `if [ -e '${full}' ]; then trap '' XFSZ; ulimit -f 0; fi\nexec '${real}' "$@"`;
    await writeFile(join(bin, 'git'), `#!/bin/sh\n${script}\n`);
    await chmod(join(bin, 'git'), 0o755);
    const repository = world.another({ searchPath: `${bin}:${process.env['PATH'] ?? ''}` });
    await repository.refresh(signal);
    const later = await world.commit('later', { 'docs.md': 'x\n' });
    await writeFile(full, '');
    const noRoom = { code: 'git_disk_full', retryable: true };
    await expect(repository.refresh(signal)).rejects.toMatchObject(noRoom);
    await expect(repository.revert(order(bad), signal)).rejects.toMatchObject(noRoom);
    expect((await repository.commit(bad, signal)).sha).toBe(bad);
    await rm(full);
    expect(await repository.refresh(signal)).toEqual({ head: later });
    expect(await repository.revert(order(bad), signal)).toMatchObject({ kind: 'commit', head: later });
    expect(world.logged.join('\n')).not.toContain('thrown away');
    const left = await readdir(world.options.folder, { recursive: true });
    expect(left.filter((name) => name.includes('crash'))).toEqual([]);
  });

  it('may be full on the remote', async () => {
    const result = await world.repository.revert(order(bad), signal);
    if (result.kind !== 'commit') throw new Error(result.kind);
    const hook = join(world.server.repository, 'hooks', 'pre-receive');
    const before = execFileSync('cat', [hook], { encoding: 'utf8' });
    await writeFile(hook, '#!/bin/sh\necho "fatal: write error: No space left on device" >&2\nexit 1\n', { mode: 0o755 });
    await expect(world.repository.push(result.commit, null, signal)).rejects.toMatchObject({
      code: 'git_remote_full',
      retryable: true,
    });
    await writeFile(hook, before, { mode: 0o755 });
    expect(await world.repository.push(result.commit, null, signal)).toBe('pushed');
  });

  it('is told apart from a branch that takes pull requests only', async () => {
    const result = await world.repository.revert(order(bad), signal);
    if (result.kind !== 'commit') throw new Error(result.kind);
    await world.refusePushes('GitLab: You are not allowed to push code to protected branches on this project.');
    await expect(world.repository.push(result.commit, null, signal)).rejects.toMatchObject({
      code: 'git_branch_protected',
      retryable: false,
    });
    await world.refusePushes(null);
    expect(await world.repository.push(result.commit, null, signal)).toBe('pushed');
  });
});
