import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setMaxListeners } from 'node:events';
import { chmod, cp, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { describeRepository, order } from '../../test/conformance/repository.ts';
import { AUTHOR, gitWorld, TOKEN, type GitWorld } from '../../test/git/world.ts';
import { createRepository } from './mirror.ts';
import type { Repository } from './port.ts';

// One signal for all calls of the tests; callers in the service have one each.
const signal = new AbortController().signal;
setMaxListeners(0, signal);

describeRepository('git over HTTP with a kept mirror', () => gitWorld());

async function thrownBy(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.fail('nothing was thrown'),
    (error: unknown) => error,
  );
}

/** Everything that an error could carry into a log. */
function inFull(error: unknown): string {
  const { message, stack, cause, ...rest } = error as Error & { cause?: unknown };
  return [message, stack, JSON.stringify(rest), cause === undefined ? '' : inFull(cause)].join('\n');
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Command lines of all processes of the machine, by process id. */
async function commandLines(): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  for (const id of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    try {
      found.set(Number(id), (await readFile(`/proc/${id}/cmdline`, 'utf8')).replaceAll('\0', ' '));
    } catch (error) {
      // It ended meanwhile.
      if (!['ENOENT', 'ESRCH'].includes(String((error as NodeJS.ErrnoException).code))) throw error;
    }
  }
  return found;
}

/** Whether a process was started by this one. */
function isChild(id: number): boolean {
  try {
    return readFileSync(`/proc/${id}/stat`, 'utf8').split(') ')[1]?.split(' ')[1] === String(process.pid);
  } catch {
    // It ended meanwhile.
    return false;
  }
}

describe('the mirror', () => {
  let world: GitWorld;
  let repository: Repository;
  let bad: string;

  beforeEach(async () => {
    world = await gitWorld();
    repository = world.repository;
    await world.commit('first', { 'apps/shop/a.yaml': 'image: 1\n' });
    bad = await world.commit('bad', { 'apps/shop/a.yaml': 'image: 2\n' });
  });
  afterEach(async () => {
    await world.close();
  });

  async function revertOf(who: Repository, commit: string): Promise<string> {
    const result = await who.revert(order(commit), signal);
    if (result.kind !== 'commit') throw new Error(`expected a commit, got ${JSON.stringify(result)}`);
    return result.commit;
  }

  const gitDir = async (): Promise<string> => {
    const name = (await readdir(world.options.folder)).find((entry) => entry.endsWith('.git'));
    return join(world.options.folder, String(name));
  };

  /** Processes that work for this world's mirror or remote. */
  const atWork = async (): Promise<string[]> =>
    [...(await commandLines()).values()].filter((line) => line.includes(world.server.url) || line.includes(world.options.folder));

  it('lets two services push the same rollback once', async () => {
    const other = world.another();
    await Promise.all([repository.refresh(signal), other.refresh(signal)]);
    const [mine, theirs] = await Promise.all([revertOf(repository, bad), revertOf(other, bad)]);
    expect(theirs).toBe(mine);
    const pushes = await Promise.all([repository.push(mine, null, signal), other.push(theirs, null, signal)]);
    for (const [index, push] of pushes.entries()) {
      // The loser of a truly simultaneous push is told of a race; the next look tells that the commit is there.
      if (push === 'race') expect(await [repository, other][index]?.push(mine, null, signal)).toBe('up_to_date');
    }
    expect(pushes).toContain('pushed');
    expect(await world.remoteHead()).toBe(mine);
  });

  it('keeps one of several pushes that a remote gets at the same time', async () => {
    const rivals = Array.from({ length: 6 }, () => world.another());
    const commits = await Promise.all(
      rivals.map(async (rival, index) => {
        const result = await rival.revert(order(bad, { message: `by ${index}\n` }), signal);
        if (result.kind !== 'commit') throw new Error(result.kind);
        return result.commit;
      }),
    );
    const pushes = await Promise.all(rivals.map((rival, index) => rival.push(String(commits[index]), null, signal)));
    expect(pushes.filter((push) => push === 'pushed')).toHaveLength(1);
    expect(pushes.filter((push) => push === 'race')).toHaveLength(5);
    expect(await world.remoteHead()).toBe(commits[pushes.indexOf('pushed')]);
  });

  it('shares a fetch among those who ask while another one runs', async () => {
    await repository.refresh(signal);
    world.logged.length = 0;
    const answers = await Promise.all(Array.from({ length: 20 }, () => repository.refresh(new AbortController().signal)));
    expect(new Set(answers.map(({ head }) => head))).toEqual(new Set([bad]));
    expect(world.logged.filter((line) => line.startsWith('fetched')).length).toBeLessThanOrEqual(2);
  });

  it('takes a lost answer of a push for a passing fault; another look shows that the commit is there', async () => {
    const commit = await revertOf(repository, bad);
    world.server.fault('lose_answer');
    await expect(repository.push(commit, null, signal)).rejects.toMatchObject({ code: 'git_unreachable', retryable: true });
    world.server.fault(null);
    expect(await repository.refresh(signal)).toEqual({ head: commit });
    expect(await repository.push(commit, null, signal)).toBe('up_to_date');
  });

  it.each(['unavailable', 'cut', 'redirect'] as const)('takes a remote for unreachable: %s', async (fault) => {
    const commit = await revertOf(repository, bad);
    world.server.fault(fault);
    const passing = { code: 'git_unreachable', retryable: true };
    await expect(repository.refresh(signal)).rejects.toMatchObject(passing);
    await expect(repository.push(commit, null, signal)).rejects.toMatchObject(passing);
    world.server.fault(null);
    expect(await repository.push(commit, null, signal)).toBe('pushed');
  });

  it('ends a fetch that hangs, with everything that it started', async () => {
    world.server.fault('hang');
    const slow = world.another({ limits: { fetchMs: 300, cloneMs: 300 } });
    await expect(slow.refresh(signal)).rejects.toMatchObject({ code: 'git_timeout', retryable: true });
    expect(await atWork()).toEqual([]);
    world.server.fault(null);
    expect(await slow.refresh(signal)).toEqual({ head: bad });
  });

  it('ends what runs when it is closed', async () => {
    world.server.fault('hang');
    const refresh = thrownBy(repository.refresh(signal));
    await vi.waitFor(async () => expect((await atWork()).join('\n')).toContain('git-remote-http'), { timeout: 5_000 });
    await repository.close();
    expect(await refresh).toMatchObject({ code: 'git_closed' });
    expect(await atWork()).toEqual([]);
    await expect(repository.refresh(signal)).rejects.toMatchObject({ code: 'git_closed' });
  });

  it('tells a refused credential, and takes the new one at the next try', async () => {
    const commit = await revertOf(repository, bad);
    let token = 'an-old-token';
    const rotated = world.another({ folder: world.options.folder, credential: async () => ({ username: 'davylamp', token }) });
    const refused = { code: 'git_auth_failed', retryable: true };
    await expect(rotated.refresh(signal)).rejects.toMatchObject(refused);
    await expect(rotated.push(commit, null, signal)).rejects.toMatchObject(refused);
    token = TOKEN;
    expect(await rotated.refresh(signal)).toEqual({ head: bad });
    const anonymous = world.another({ credential: async () => null });
    await expect(anonymous.refresh(signal)).rejects.toMatchObject(refused);
  });

  it('names a branch or a repository that is not there', async () => {
    await expect(world.another({ branch: 'nope' }).refresh(signal)).rejects.toMatchObject({ code: 'git_branch_missing' });
    const elsewhere = world.another({ url: world.server.url.replace('deploy', 'nope') });
    await expect(elsewhere.refresh(signal)).rejects.toMatchObject({ code: 'git_repository_missing', retryable: true });
  });

  it('says final no to a proposal whose name a branch stands in the way of', async () => {
    const commit = await revertOf(repository, bad);
    await expect(repository.push(commit, 'main/rollback', signal)).rejects.toMatchObject({
      code: 'git_push_refused',
      retryable: false,
    });
  });

  it('keeps the token out of arguments, files, logs and errors', async () => {
    const basic = Buffer.from(`davylamp:${TOKEN}`).toString('base64');
    const secrets = [TOKEN, basic, encodeURIComponent(TOKEN)];
    const wrapper = join(world.folder, 'bin');
    const real = execFileSync('which', ['git'], { encoding: 'utf8' }).trim();
    await mkdir(wrapper);
    await writeFile(join(wrapper, 'git'), `#!/bin/sh\nprintf '%s\\n' "$*" >> '${wrapper}/argv'\nexec '${real}' "$@"\n`);
    await chmod(join(wrapper, 'git'), 0o755);
    const watched = world.another({ searchPath: `${wrapper}:${process.env['PATH'] ?? ''}` });

    const commit = await revertOf(watched, bad);
    const errors = [await thrownBy(watched.push(commit, 'main/x', signal))];
    for (const fault of ['unavailable', 'cut', 'lose_answer', 'redirect'] as const) {
      world.server.fault(fault);
      errors.push(await thrownBy(watched.push(commit, null, signal)));
    }
    await world.server.refusePushes(`your header was Basic ${basic} and your token ${TOKEN}`);
    world.server.fault(null);
    errors.push(await thrownBy(watched.push(commit, 'refused', signal)));

    world.server.fault('hang');
    const stop = new AbortController();
    const hanging = thrownBy(watched.push(commit, null, stop.signal));
    await vi.waitFor(async () => expect((await atWork()).join('\n')).toContain('git-remote-http'), { timeout: 5_000 });
    const seen = [...(await commandLines()).values()].join('\n');
    stop.abort(new Error('enough'));
    errors.push(await hanging);
    await watched.close();

    const argv = await readFile(join(wrapper, 'argv'), 'utf8');
    expect(argv).toContain('push --porcelain');
    const kept = (await filesBelow(world.folder)).filter(
      (file) => !file.startsWith(join(world.folder, 'server')) && !file.startsWith(join(world.folder, 'colleague')),
    );
    expect(kept.length).toBeGreaterThan(5);
    const contents = await Promise.all(kept.map((file) => readFile(file, 'latin1')));
    const everything = [argv, seen, world.logged.join('\n'), ...errors.map(inFull), ...contents].join('\n');
    for (const secret of secrets) expect(everything.includes(secret)).toBe(false);
    expect(inFull(errors[5])).toContain('***');
  });

  it('takes nothing from the configuration of the machine, the user, the environment or the mirror', async () => {
    await repository.refresh(signal);
    const trap = join(world.folder, 'trap');
    const hook = `#!/bin/sh\ntouch '${trap}'\n`;
    const hooks = join(await gitDir(), 'hooks');
    await mkdir(hooks, { recursive: true });
    for (const name of ['pre-push', 'reference-transaction', 'post-fetch'])
      await writeFile(join(hooks, name), hook, { mode: 0o755 });
    await mkdir(join(world.folder, 'somebody'));
    await writeFile(
      join(world.folder, 'somebody', '.gitconfig'),
      `[core]\n\thooksPath = ${hooks}\n[url "file:///nowhere"]\n\tinsteadOf = http\n`,
    );
    vi.stubEnv('HOME', join(world.folder, 'somebody'));
    vi.stubEnv('GIT_CONFIG_GLOBAL', join(world.folder, 'somebody', '.gitconfig'));
    vi.stubEnv('GIT_DIR', '/nowhere');
    vi.stubEnv('GIT_AUTHOR_NAME', 'Mallory');
    vi.stubEnv('GIT_TRACE_CURL', join(world.folder, 'trace'));
    try {
      const commit = await revertOf(repository, bad);
      expect(await repository.push(commit, null, signal)).toBe('pushed');
      await world.colleague.pull();
      expect(await world.colleague.git('log', '-1', '--format=%an %ae %cn %ce')).toBe(
        `${AUTHOR.name} ${AUTHOR.email} ${AUTHOR.name} ${AUTHOR.email}`,
      );
    } finally {
      vi.unstubAllEnvs();
    }
    await expect(stat(trap)).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(stat(join(world.folder, 'trace'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('has no work tree and no index, and keeps the mirror to itself', async () => {
    const commit = await revertOf(repository, bad);
    await repository.push(commit, null, signal);
    const names = (await filesBelow(world.options.folder)).map((file) => file.slice(world.options.folder.length));
    expect(names.filter((name) => name.endsWith('/index') || name.includes('a.yaml'))).toEqual([]);
    expect((await stat(join(world.options.folder, 'home'))).mode & 0o777).toBe(0o700);
    expect(await readdir(join(world.options.folder, 'home'))).toEqual([]);
  });

  it('serves the mirror of the last run while the remote is down', async () => {
    await repository.refresh(signal);
    await repository.close();
    await world.setReachable(false);
    const restarted = world.another({ folder: world.options.folder });
    expect((await restarted.commit(bad, signal)).onBranch).toBe(true);
    expect(await restarted.revert(order(bad), signal)).toMatchObject({ kind: 'commit' });
  });

  it('goes on after a crash that left locks and half a pack behind', async () => {
    await repository.refresh(signal);
    await repository.close();
    const mirror = await gitDir();
    await writeFile(join(mirror, 'refs', 'remotes', 'o', 'main.lock'), '');
    await writeFile(join(mirror, 'packed-refs.lock'), '');
    await writeFile(join(mirror, 'objects', 'pack', 'tmp_pack_x'), 'half');
    const later = await world.commit('later', { 'docs.md': 'x\n' });
    const restarted = world.another({ folder: world.options.folder });
    expect(await restarted.refresh(signal)).toEqual({ head: later });
    expect(world.logged.join('\n')).not.toContain('thrown away');
    await expect(stat(join(mirror, 'objects', 'pack', 'tmp_pack_x'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  describe.each<{ damage: string; doIt: (mirror: string) => Promise<void> }>([
    { damage: 'the whole folder is gone', doIt: (mirror) => rm(mirror, { recursive: true }) },
    { damage: 'HEAD is gone', doIt: (mirror) => rm(join(mirror, 'HEAD')) },
    { damage: 'the configuration is garbage', doIt: (mirror) => writeFile(join(mirror, 'config'), '[[[') },
    {
      damage: 'all objects are gone',
      doIt: async (mirror) => {
        await rm(join(mirror, 'objects'), { recursive: true });
        await mkdir(join(mirror, 'objects'));
      },
    },
    { damage: 'the branch is empty', doIt: (mirror) => writeFile(join(mirror, 'refs', 'remotes', 'o', 'main'), '') },
    {
      damage: 'a pack is gone',
      doIt: async (mirror) => {
        for (const file of await filesBelow(join(mirror, 'objects', 'pack'))) if (file.endsWith('.pack')) await rm(file);
      },
    },
    {
      damage: 'all packs and their indexes are gone',
      doIt: (mirror) => rm(join(mirror, 'objects', 'pack'), { recursive: true }),
    },
    ...[0, 100, 1_100].map((length) => ({
      damage: `the index of every pack is cut to ${length} bytes`,
      doIt: async (mirror: string) => {
        for (const file of await filesBelow(join(mirror, 'objects', 'pack'))) {
          if (!file.endsWith('.idx')) continue;
          await chmod(file, 0o644);
          await truncate(file, length);
        }
      },
    })),
    {
      damage: 'every pack is cut short',
      doIt: async (mirror) => {
        for (const file of await filesBelow(join(mirror, 'objects', 'pack'))) {
          if (!file.endsWith('.pack')) continue;
          await chmod(file, 0o644);
          await truncate(file, 40);
        }
      },
    },
    { damage: 'all refs are gone', doIt: (mirror) => rm(join(mirror, 'refs'), { recursive: true }) },
    { damage: 'the packed refs are garbage', doIt: (mirror) => writeFile(join(mirror, 'packed-refs'), '\0\0 garbage\n') },
    {
      damage: 'the branch points to nothing',
      doIt: (mirror) => writeFile(join(mirror, 'refs', 'remotes', 'o', 'main'), `${'1'.repeat(40)}\n`),
    },
    {
      damage: 'the shallow file is garbage',
      doIt: (mirror) => writeFile(join(mirror, 'shallow'), 'garbage\n'),
    },
    {
      damage: 'the branch is locked for ever',
      doIt: (mirror) => writeFile(join(mirror, 'refs', 'remotes', 'o', 'main.lock'), ''),
    },
    {
      damage: 'every object is cut short',
      doIt: async (mirror) => {
        for (const file of await filesBelow(join(mirror, 'objects'))) {
          await chmod(file, 0o644);
          await truncate(file, 10);
        }
      },
    },
  ])('when $damage', ({ doIt }) => {
    it('clones anew and goes on', async () => {
      await repository.refresh(signal);
      await doIt(await gitDir());
      const later = await world.commit('later', { 'docs.md': 'x\n' });
      // A read may find the damage first; it says so as a passing fault, and the next fetch mends it.
      const found = await repository.revert(order(bad), signal).catch((error: unknown) => error);
      if (found instanceof Error) expect(found).toMatchObject({ code: 'git_mirror_corrupt', retryable: true });
      expect(await repository.refresh(signal)).toEqual({ head: later });
      const commit = await revertOf(repository, bad);
      expect(await repository.push(commit, null, signal)).toBe('pushed');
      expect(await world.read('apps/shop/a.yaml')).toBe('image: 1\n');
    });
  });

  it('takes away the locks that a killed git left, without a restart and without cloning anew', async () => {
    await repository.refresh(signal);
    const mirror = await gitDir();
    await writeFile(join(mirror, 'refs', 'remotes', 'o', 'main.lock'), '');
    const later = await world.commit('later', { 'docs.md': 'x\n' });
    expect(await repository.refresh(signal)).toEqual({ head: later });
    await revertOf(repository, bad);
    expect(world.logged.join('\n')).not.toContain('thrown away');
  });

  it('goes on when what was computed is damaged or gone', async () => {
    const first = await revertOf(repository, bad);
    const scratch = (await filesBelow(world.options.folder)).filter((file) => file.includes('.scratch/'));
    expect(scratch.length).toBeGreaterThan(0);
    for (const file of scratch) {
      await chmod(file, 0o644);
      await truncate(file, 3);
    }
    await expect(repository.push(first, null, signal)).rejects.toMatchObject({ code: 'git_mirror_corrupt', retryable: true });
    await repository.refresh(signal);
    await expect(repository.push(first, null, signal)).rejects.toMatchObject({ code: 'commit_unknown' });
    expect(await revertOf(repository, bad)).toBe(first);
    for (const name of await readdir(world.options.folder)) {
      if (name.endsWith('.scratch')) await rm(join(world.options.folder, name), { recursive: true });
    }
    await expect(repository.push(first, null, signal)).rejects.toMatchObject({ code: 'commit_unknown' });
    expect(await repository.push(await revertOf(repository, bad), null, signal)).toBe('pushed');
  });

  it('sees its own push at once, and keeps it when it fetches', async () => {
    const commit = await revertOf(repository, bad);
    await repository.push(commit, null, signal);
    expect((await repository.commit(commit, signal)).onBranch).toBe(true);
    expect(await repository.revert(order(bad), signal)).toEqual({ kind: 'nothing_to_revert', head: commit });
    const later = await world.commit('later', { 'docs.md': 'x\n' });
    await repository.refresh(signal);
    for (const name of await readdir(world.options.folder)) {
      if (name.endsWith('.scratch')) await rm(join(world.options.folder, name), { recursive: true });
    }
    expect(await repository.isAncestor(commit, later, signal)).toBe(true);
    expect(await repository.diff(commit, 1_000, signal)).toContain('+image: 1');
  });

  it('goes on after a git that was killed in the middle of a fetch', async () => {
    await repository.refresh(signal);
    const later = await world.commit('later', { 'docs.md': 'x\n' });
    world.server.fault('hang');
    const refresh = thrownBy(repository.refresh(signal));
    const ours = async () =>
      [...(await commandLines())].filter(([, line]) => /^git( |-remote)/.test(line) && line.includes('fetch'));
    const mine = await vi.waitFor(
      async () => {
        const found = (await ours()).filter(([id]) => isChild(id));
        expect(found.length).toBeGreaterThan(0);
        return found;
      },
      { timeout: 10_000 },
    );
    for (const [id] of mine) process.kill(id, 'SIGKILL');
    expect(await refresh).toMatchObject({ retryable: true });
    world.server.fault(null);
    expect(await repository.refresh(signal)).toEqual({ head: later });
  });

  it('does not call a commit unknown because the mirror has lost it', async () => {
    await repository.refresh(signal);
    const mirror = await gitDir();
    const packs = await readdir(join(mirror, 'objects', 'pack'));
    const later = await world.commit('later', { 'docs.md': 'x\n' });
    await repository.refresh(signal);
    for (const pack of packs) await rm(join(mirror, 'objects', 'pack', pack));
    await expect(repository.commit(bad, signal)).rejects.toMatchObject({ code: 'git_mirror_corrupt', retryable: true });
    expect(await repository.refresh(signal)).toEqual({ head: later });
    expect((await repository.commit(bad, signal)).sha).toBe(bad);
  });

  it('joins the packs that many fetches leave behind', async () => {
    await repository.refresh(signal);
    const folder = join(await gitDir(), 'objects', 'pack');
    const packs = async () => (await readdir(folder)).filter((name) => name.endsWith('.pack'));
    const [pack = ''] = await packs();
    for (let index = 0; index < 55; index += 1) {
      const copy = `pack-${String(index).padStart(40, '0')}`;
      for (const end of ['.pack', '.idx']) await cp(join(folder, pack.replace('.pack', end)), join(folder, `${copy}${end}`));
    }
    await world.commit('later', { 'docs.md': 'x\n' });
    await repository.refresh(signal);
    expect((await packs()).length).toBeLessThanOrEqual(50);
    expect(await repository.revert(order(bad), signal)).toMatchObject({ kind: 'commit' });
  });

  it('keeps a mirror for each address', async () => {
    await repository.refresh(signal);
    const copy = join(world.folder, 'server', 'moved.git');
    await cp(world.server.repository, copy, { recursive: true });
    const moved = world.another({ folder: world.options.folder, url: world.server.url.replace('deploy', 'moved') });
    expect(await moved.refresh(signal)).toEqual({ head: bad });
    expect((await readdir(world.options.folder)).filter((name) => name.endsWith('.git'))).toHaveLength(2);
  });

  it('follows a branch that was rewritten by force', async () => {
    await repository.refresh(signal);
    await world.colleague.pull();
    await world.colleague.git('reset', '--quiet', '--hard', 'HEAD~1');
    const rewritten = await world.colleague.commit('another history', { 'apps/shop/a.yaml': 'image: 9\n' });
    await world.colleague.git(
      'config',
      '--file',
      join(world.server.repository, 'config'),
      'receive.denyNonFastForwards',
      'false',
    );
    await world.colleague.git('push', '--quiet', '--force', 'origin', 'HEAD:refs/heads/main');
    expect(await repository.refresh(signal)).toEqual({ head: rewritten });
    expect((await repository.commit(bad, signal)).onBranch).toBe(false);
  });
});

describe('names that reach git', () => {
  const accepted = { name: 'shop', url: 'https://git.example/shop.git', branch: 'main', folder: '/nowhere', author: AUTHOR };
  const rest = { credential: async () => null, log: { info: () => undefined, warn: () => undefined } };
  const create = (changes: Partial<typeof accepted>) => () => createRepository({ ...accepted, ...rest, ...changes });

  // prettier-ignore
  const BRANCHES = [
    '', '-x', '--upload-pack=touch x', 'a/-x', '/a', 'a/', 'a//b', 'a..b', '..', '.', 'a/.b', 'a.lock', 'a.lock/b', 'a.',
    'HEAD', '@', 'a@{1}', 'a b', 'a\nb', 'a\0b', 'a~1', 'a^', 'a:b', 'a?', 'a*', 'a[', 'a\\b', '+main', ':main', 'refs/tags/x',
    '$(touch x)', '`touch x`', ';touch x', '|touch x', '&touch x', 'ä', 'x'.repeat(201), '\u202ea', "a'b", 'a"b', '~', '!x',
  ];
  it.each(BRANCHES)('refuses the branch %j', (branch) => {
    expect(create({ branch })).toThrow(expect.objectContaining({ code: 'git_argument_refused' }));
  });

  it.each(['main', 'release/1.2', 'feature/a_b-c', 'refs/heads/main', 'v1'])('accepts the branch %j', (branch) => {
    expect(create({ branch })).not.toThrow();
    execFileSync('git', ['check-ref-format', `refs/heads/${branch.replace('refs/heads/', '')}`]);
  });

  // prettier-ignore
  const ADDRESSES = [
    '', 'x', '/srv/git/shop.git', 'file:///srv/git', 'ext::sh -c touch', 'git://git.example/x', 'http://git.example/x.git',
    'https://user:secret@git.example/x', 'https://token@git.example/x', 'ssh://-oProxyCommand=touch/x', '--upload-pack=touch',
    'https://git.example/a b', 'https://git.example/\nx', 'fd::17', 'ssh://git:pw@git.example/x', 'javascript:alert(1)',
  ];
  it.each(ADDRESSES)('refuses the address %j without repeating it', (url) => {
    expect(create({ url })).toThrow(expect.objectContaining({ code: 'git_argument_refused' }));
    expect(create({ url })).not.toThrow(/secret/);
  });

  it.each(['https://git.example/x.git', 'ssh://git@git.example:2222/x.git', 'http://127.0.0.1:3000/x.git', 'http://localhost/x'])(
    'accepts the address %j',
    (url) => expect(create({ url })).not.toThrow(),
  );

  it.each(['', 'x', 'a@b c', '<a@b>', 'a@b.', 'a\n@b', '.a@b'])('refuses the author address %j', (email) => {
    expect(create({ author: { name: 'davylamp', email } })).toThrow(expect.objectContaining({ code: 'git_argument_refused' }));
  });

  describe('from requests', () => {
    let world: GitWorld;
    let sha: string;
    beforeAll(async () => {
      world = await gitWorld();
      sha = await world.commit('first', { 'app/a': '1\n' });
      await world.repository.refresh(signal);
    });
    afterAll(() => world.close());

    // prettier-ignore
    const hostile = [
      '--output=TRAP', '--upload-pack=touch TRAP', '-oTRAP', '--exec=touch TRAP', '$(touch TRAP)', '`touch TRAP`', ';touch TRAP',
      '|touch TRAP', '&& touch TRAP', '\ntouch TRAP', 'HEAD', '@', '@{u}', ':/first', ':0:app/a', 'HEAD^{/first}', 'o/main',
      'refs/remotes/o/main', 'main', '../../etc/passwd', '/etc/passwd', '\0', 'a\0b', '0000000', '0'.repeat(40), 'f'.repeat(65),
      'HEAD..HEAD', '^HEAD', 'deadbeef^!', 'deadbeef@{0}', 'deadbeef~1', ' deadbeef', 'deadbeef ', 'ext::sh -c touch% TRAP',
      '%x00', '＃', '\u202edeadbeef', 'DEADBEEF;', '-', '--', '--end-of-options', '--git-dir=/', '-c core.pager=touch',
    ];
    /** Fine as the id of a rollback, or as the name of a branch. */
    const harmlessIds = new Set(['HEAD', 'main', '0000000', '0'.repeat(40), 'f'.repeat(65), 'HEAD..HEAD']);
    const harmlessBranches = new Set(['main', 'o/main', '0000000', '0'.repeat(40), 'f'.repeat(65)]);

    it.each(hostile)('treats %j as no commit, path or id, and runs nothing for it', async (text) => {
      const trap = join(world.folder, 'trap');
      const value = text.replace('TRAP', trap);
      const { repository } = world;
      const coded = { code: expect.stringMatching(/^(commit_unknown|git_argument_refused)$/) as string };
      await expect(repository.commit(value, signal)).rejects.toMatchObject(coded);
      await expect(repository.revert(order(value), signal)).rejects.toMatchObject(coded);
      await expect(repository.push(value, null, signal)).rejects.toMatchObject(coded);
      await expect(repository.diff(value, 1_000, signal)).rejects.toMatchObject(coded);
      await expect(repository.ownCommits(value, 'rb-1', signal)).rejects.toMatchObject(coded);
      expect(await repository.isAncestor(value, sha, signal)).toBe(false);
      if (!harmlessIds.has(value)) await expect(repository.ownCommits(sha, value, signal)).rejects.toMatchObject(coded);
      if (!harmlessBranches.has(value)) await expect(repository.push(sha, value, signal)).rejects.toMatchObject(coded);
      await expect(stat(trap)).rejects.toMatchObject({ code: 'ENOENT' });
      expect(await readdir(join(world.options.folder, 'home'))).toEqual([]);
    });
  });
});
