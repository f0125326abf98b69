import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startGitServer, type GitServer } from '../../examples/demo/git-server.ts';
import { Colleague } from '../../test/git/colleague.ts';
import { startSshServer } from '../../test/git/ssh-server.ts';
import { checkAccess } from './access.ts';

const TOKEN = 'remote-token-91c';
const run = promisify(execFile);
let folder = '';
let server: GitServer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'davylamp-access-'));
  server = await startGitServer({ folder: join(folder, 'remote'), token: TOKEN });
  const colleague = await Colleague.join(join(folder, 'colleague'), server.repository);
  await colleague.commit('first', { 'apps/shop/rollout.yaml': 'version: 1\n' });
  await colleague.push();
});
afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

async function check(options: { token?: string; branch?: string; url?: string } = {}) {
  const { token = TOKEN, branch = 'main', url = server.url } = options;
  const credential = () => Promise.resolve({ username: 'davylamp', token });
  const place = await mkdtemp(join(folder, 'place-'));
  return checkAccess({ url, branch, credential, folder: place, alsoAllow: 'file' }, AbortSignal.timeout(30_000));
}
const refs = async () => (await run('git', ['--git-dir', server.repository, 'for-each-ref'])).stdout;

describe('access to a repository', () => {
  it('is read and write where the credential has both, and leaves nothing on the remote', async () => {
    const before = await refs();
    expect(await check()).toMatchObject([
      { status: 'ok', code: 'readable', sentence: expect.stringMatching(/^branch main is at [0-9a-f]{12}$/) },
      { status: 'ok', code: 'writable' },
    ]);
    expect(await refs()).toBe(before);
    expect(await readdir(join(server.repository, 'objects', 'pack'))).toEqual([]);
  });

  it('is told to be read only where the remote takes no push', async () => {
    const git = (...args: string[]) => run('git', ['--git-dir', server.repository, ...args]);
    await git('config', 'http.receivepack', 'false');
    try {
      const [read, write] = await check();
      expect(read).toMatchObject({ status: 'ok', code: 'readable' });
      expect(write).toMatchObject({
        status: 'fail',
        code: 'git_auth_failed',
        sentence: expect.stringMatching(/^it can be read, and not pushed to: /),
      });
    } finally {
      await git('config', 'http.receivepack', 'true');
    }
  });

  it('names a wrong credential, a branch and a repository that are not there, and never the token', async () => {
    const wrong = await check({ token: 'wrong-token-55' });
    expect(wrong).toMatchObject([{ status: 'fail', code: 'git_auth_failed' }]);
    expect(JSON.stringify(wrong)).not.toContain('wrong-token-55');
    expect(await check({ branch: 'release' })).toMatchObject([{ status: 'fail', code: 'git_branch_missing' }, { status: 'ok' }]);
    expect(await check({ url: server.url.replace('deploy.git', 'other.git') })).toMatchObject([
      { status: 'fail', code: 'git_repository_missing' },
    ]);
    expect(await check({ url: 'http://127.0.0.1:1/deploy.git' })).toMatchObject([{ status: 'fail', code: 'git_unreachable' }]);
  });

  it('tries the key that signs, and says what is wrong with it', async () => {
    const keyFile = join(folder, 'key');
    const access = async () =>
      checkAccess(
        {
          url: server.url,
          branch: 'main',
          credential: () => Promise.resolve({ username: 'davylamp', token: TOKEN }),
          folder: await mkdtemp(join(folder, 'place-')),
          signing: { type: 'ssh', keyFile },
        },
        AbortSignal.timeout(30_000),
      );
    expect((await access())[2]).toMatchObject({
      status: 'fail',
      code: 'git_signing_failed',
      sentence: expect.stringMatching(/^The commit could not be signed/),
    });
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', keyFile]);
    expect((await access())[2]).toMatchObject({ status: 'ok', code: 'signs' });
  });

  it('by ssh is asked with the key of the configuration', async () => {
    const ssh = await startSshServer(join(folder, 'ssh'));
    try {
      const access = async (keys: typeof ssh.ssh) =>
        checkAccess(
          {
            url: ssh.url(server.repository),
            branch: 'main',
            credential: () => Promise.resolve(null),
            folder: await mkdtemp(join(folder, 'place-')),
            ssh: keys,
          },
          AbortSignal.timeout(30_000),
        );
      expect(await access(ssh.ssh)).toMatchObject([{ code: 'readable' }, { code: 'writable' }]);
      const stranger = { ...ssh.ssh, keyFile: join(folder, 'none') };
      expect(await access(stranger)).toMatchObject([{ status: 'fail', code: 'git_auth_failed' }]);
    } finally {
      await ssh.down();
    }
  });

  it('of a folder as remote is told, too', async () => {
    expect(await check({ url: `file://${server.repository}` })).toMatchObject([{ code: 'readable' }, { code: 'writable' }]);
  });
});
