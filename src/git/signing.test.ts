import { execFileSync } from 'node:child_process';
import { setMaxListeners } from 'node:events';
import { chmod, mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { order } from '../../test/conformance/repository.ts';
import { AUTHOR, gitWorld, type GitWorld } from '../../test/git/world.ts';
import { programPath } from '../../test/support/programs.ts';
import type { RepositoryOptions } from './mirror.ts';
import type { Repository } from './port.ts';

const signal = new AbortController().signal;
setMaxListeners(0, signal);

describe('signed commits', () => {
  let world: GitWorld;
  let bad: string;
  let keyFile: string;
  beforeAll(async () => {
    world = await gitWorld();
    await world.commit('first', { 'apps/shop/a.yaml': 'image: 1\n' });
    bad = await world.commit('bad', { 'apps/shop/a.yaml': 'image: 2\n' });
    keyFile = join(world.folder, 'a key; of ours');
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', keyFile]);
  });
  afterAll(() => world.close());

  async function revertOf(repository: Repository): Promise<string> {
    const result = await repository.revert(order(bad), signal);
    if (result.kind !== 'commit') throw new Error(result.kind);
    return result.commit;
  }

  /** The commit as it came to the remote. */
  async function onRemote(repository: Repository, commit: string, branch: string): Promise<string> {
    expect(await repository.push(commit, branch, signal)).toBe('pushed');
    await world.colleague.git('fetch', '--quiet', 'origin', `refs/heads/${branch}`);
    return world.colleague.git('cat-file', 'commit', commit);
  }

  /** The file by which git knows whose signatures count (ssh-keygen(1), ALLOWED SIGNERS). */
  async function verify(commit: string, signers: string): Promise<string> {
    const config = ['-c', 'gpg.format=ssh', '-c', `gpg.ssh.allowedSignersFile=${signers}`];
    return world.colleague.git(...config, 'log', '-1', '--format=%G? %GS', commit);
  }

  it('carry an ssh signature that git verifies', async () => {
    const repository = world.another({ signing: { type: 'ssh', keyFile } });
    const commit = await revertOf(repository);
    const text = await onRemote(repository, commit, 'signed/ssh');
    expect(text).toContain('gpgsig -----BEGIN SSH SIGNATURE-----');
    const signers = join(world.folder, 'signers');
    await writeFile(signers, `${AUTHOR.email} ${await readFile(`${keyFile}.pub`, 'utf8')}`);
    expect(await verify(commit, signers)).toBe(`G ${AUTHOR.email}`);
    const others = join(world.folder, 'others');
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', others]);
    await writeFile(signers, `${AUTHOR.email} ${await readFile(`${others}.pub`, 'utf8')}`);
    expect(await verify(commit, signers)).not.toMatch(/^G/);
  });

  it('are the same for the same order with an ed25519 key, and differ from the unsigned one by the signature alone', async () => {
    const signed = [world.another({ signing: { type: 'ssh', keyFile } }), world.another({ signing: { type: 'ssh', keyFile } })];
    const [one, other] = await Promise.all(signed.map(revertOf));
    expect(one).toBe(other);
    const unsigned = await revertOf(world.repository);
    expect(unsigned).not.toBe(one);
    const text = await onRemote(signed[0] ?? world.repository, String(one), 'signed/same');
    const plain = await onRemote(world.repository, unsigned, 'signed/none');
    expect(text.replace(/gpgsig [^]*-----END SSH SIGNATURE-----\n/, '')).toBe(plain);
  });

  it('are restores and edits, too', async () => {
    const repository = world.another({ signing: { type: 'ssh', keyFile } });
    const { message, at, paths } = order(bad);
    const first = await repository.commit(`${bad}`, signal);
    const restored = await repository.restore({ message, at, paths, good: String(first.parents[0]) }, signal);
    const edited = await repository.edit({ message, at, paths, edits: [{ path: 'apps/shop/b', content: 'b\n' }] }, signal);
    for (const [index, result] of [restored, edited].entries()) {
      if (result.kind !== 'commit') throw new Error(result.kind);
      expect(await onRemote(repository, result.commit, `signed/${index}`)).toContain('-----BEGIN SSH SIGNATURE-----');
    }
  });

  it('keep to the branch that was signed first when a worker races another one', async () => {
    const both = [world.another({ signing: { type: 'ssh', keyFile } }), world.another({ signing: { type: 'ssh', keyFile } })];
    const commits = await Promise.all(both.map(revertOf));
    const pushes = await Promise.all(
      both.map((repository, index) => repository.push(String(commits[index]), 'signed/race', signal)),
    );
    expect(pushes).toContain('pushed');
    expect(await world.remoteHead('signed/race')).toBe(commits[0]);
  });

  describe('that cannot be made are not made without a signature', () => {
    /** A path with git on it and nothing else. */
    async function onlyGit(): Promise<string> {
      const bin = join(world.folder, 'bin');
      await mkdir(bin, { recursive: true });
      await symlink(execFileSync('which', ['git'], { encoding: 'utf8' }).trim(), join(bin, 'git')).catch(() => undefined);
      return bin;
    }
    const CASES: Array<{ what: string; options: () => Promise<Partial<RepositoryOptions>> }> = [
      { what: 'the key is missing', options: async () => ({ signing: { type: 'ssh', keyFile: join(world.folder, 'none') } }) },
      {
        what: 'the key wants a passphrase',
        options: async () => {
          const file = join(world.folder, 'locked');
          execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', 'secret', '-f', file]);
          await rm(`${file}.pub`);
          return { signing: { type: 'ssh', keyFile: file } };
        },
      },
      {
        what: 'the key may be read by everybody',
        options: async () => {
          const file = join(world.folder, 'open');
          execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file]);
          await chmod(file, 0o644);
          return { signing: { type: 'ssh', keyFile: file } };
        },
      },
      {
        what: 'the key is garbage',
        options: async () => {
          const file = join(world.folder, 'garbage');
          await writeFile(file, 'could not read tree 1234567: No such file\n', { mode: 0o600 });
          return { signing: { type: 'ssh', keyFile: file } };
        },
      },
      {
        what: 'there is no ssh-keygen',
        options: async () => ({ signing: { type: 'ssh', keyFile }, searchPath: await onlyGit() }),
      },
      {
        what: 'there is no gpg',
        options: async () => ({
          signing: { type: 'gpg', keyId: 'ABCDEF0123456789', home: world.folder },
          searchPath: await onlyGit(),
        }),
      },
      {
        what: 'gpg does not have the key',
        options: async () => ({
          signing: { type: 'gpg', keyId: 'ABCDEF0123456789', home: join(world.folder, 'no-home') },
          searchPath: `${dirname(await programPath('gpg'))}:${process.env['PATH'] ?? ''}`,
        }),
      },
    ];
    it.each(CASES)('$what', async ({ options }) => {
      const repository = world.another(await options());
      for (let attempt = 0; attempt < 2; attempt += 1) {
        await expect(repository.revert(order(bad), signal)).rejects.toMatchObject({
          code: 'git_signing_failed',
          retryable: true,
        });
      }
      expect(world.logged.join('\n')).not.toContain('thrown away');
    });

    it('and are made once the key is there', async () => {
      const file = join(world.folder, 'late');
      const repository = world.another({ signing: { type: 'ssh', keyFile: file } });
      await expect(repository.revert(order(bad), signal)).rejects.toMatchObject({ code: 'git_signing_failed' });
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', `${file}.new`]);
      await rename(`${file}.new`, file);
      expect(await onRemote(repository, await revertOf(repository), 'signed/late')).toContain('SSH SIGNATURE');
    });
  });

  it('carry a signature of a real gpg that git verifies, with a key in a folder of its own', async () => {
    const gpg = await programPath('gpg');
    const searchPath = `${dirname(gpg)}:${process.env['PATH'] ?? ''}`;
    const home = join(world.folder, 'gnupg');
    await mkdir(home, { mode: 0o700 });
    await writeFile(join(home, 'gpg.conf'), `agent-program ${await programPath('gpg-agent')}\n`);
    const env = { PATH: searchPath, GNUPGHOME: home, LC_ALL: 'C' };
    const batch = ['--batch', '--quiet', '--pinentry-mode', 'loopback', '--passphrase', ''];
    try {
      execFileSync(gpg, [...batch, '--quick-generate-key', `davylamp <${AUTHOR.email}>`, 'ed25519', 'sign'], {
        env,
        stdio: 'ignore',
      });
      const listed = execFileSync(gpg, ['--batch', '--with-colons', '--list-secret-keys'], {
        env,
        encoding: 'utf8',
        stdio: 'pipe',
      });
      const keyId = /^fpr:+([0-9A-F]{40}):/m.exec(listed)?.[1] ?? '';
      const repository = world.another({ signing: { type: 'gpg', keyId, home }, searchPath });
      const commit = await revertOf(repository);
      expect(await onRemote(repository, commit, 'signed/gpg')).toContain('gpgsig -----BEGIN PGP SIGNATURE-----');
      execFileSync('git', ['verify-commit', commit], {
        cwd: world.colleague.folder,
        env: { ...env, HOME: home },
        stdio: 'ignore',
      });
    } finally {
      // gpg leaves its agent running.
      execFileSync('gpgconf', ['--homedir', home, '--kill', 'gpg-agent'], { env });
    }
  });
});
