import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkGit, runGit, type GitCall, type GitPlace, type Subcommand } from './run.ts';

const signal = new AbortController().signal;

describe('running git', () => {
  let folder: string;
  let place: GitPlace;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'davylamp-run-'));
    place = { home: folder, gitDir: null, searchPath: null, alsoAllow: null };
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const version: GitCall = { subcommand: 'version', args: [], timeoutMs: 10_000, signal };

  /** A program of that name, first on the path. */
  async function pretend(script: string): Promise<string> {
    const bin = join(folder, 'bin');
    await mkdir(bin);
    await writeFile(join(bin, 'git'), `#!/bin/sh\n${script}\n`);
    await chmod(join(bin, 'git'), 0o755);
    return `${bin}:/usr/bin:/bin`;
  }

  it('knows the version of the git that is there', async () => {
    expect(await checkGit(place, signal)).toMatch(/^\d+\.\d+/);
  });

  it('says what to do without git', async () => {
    await expect(checkGit({ ...place, searchPath: folder }, signal)).rejects.toMatchObject({
      code: 'git_missing',
      retryable: false,
      message: expect.stringContaining('2.38') as string,
    });
  });

  it.each([
    ['git version 2.37.9', 'git_too_old'],
    ['git version 1.99.0', 'git_too_old'],
    ['no version at all', 'git_too_old'],
  ])('refuses %j', async (text, code) => {
    const searchPath = await pretend(`echo '${text}'`);
    await expect(checkGit({ ...place, searchPath }, signal)).rejects.toMatchObject({ code, retryable: false });
  });

  it.each([
    ['git version 2.38.0', '2.38.0'],
    ['git version 3.0', '3.0'],
    ['git version 2.50.1 (Apple Git-155)', '2.50.1'],
    ['git version 2.47.1.windows.2', '2.47.1.windows.2'],
  ])('accepts %j', async (text, found) => {
    const searchPath = await pretend(`echo '${text}'`);
    expect(await checkGit({ ...place, searchPath }, signal)).toBe(found);
  });

  it('hands git an environment made from nothing', async () => {
    const searchPath = await pretend('env');
    process.env['GIT_WORK_TREE'] = '/nowhere';
    process.env['DAVYLAMP_SECRET'] = 'x';
    try {
      const { stdout } = await runGit({ ...place, searchPath }, version);
      const names = stdout.split('\n').map((line) => line.split('=')[0] ?? '');
      const network = ['SSH_AUTH_SOCK', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'HTTPS_PROXY', 'https_proxy', 'NO_PROXY', 'no_proxy'];
      // The last ones are the shell's, which stands in for git here.
      const known = new Set(['PATH', 'HOME', 'TMPDIR', 'LC_ALL', ...network, 'PWD', 'SHLVL', '_', '']);
      expect(names.filter((name) => !known.has(name) && !name.startsWith('GIT_'))).toEqual([]);
      expect(names).not.toContain('GIT_WORK_TREE');
      expect(stdout).toContain('GIT_ALLOW_PROTOCOL=https:http:ssh\n');
      expect(stdout).toContain('GIT_TERMINAL_PROMPT=0\n');
    } finally {
      delete process.env['GIT_WORK_TREE'];
      delete process.env['DAVYLAMP_SECRET'];
    }
  });

  it('runs no other command than those on the list', async () => {
    const other: string = 'config';
    await expect(runGit(place, { ...version, subcommand: other as Subcommand })).rejects.toMatchObject({
      code: 'git_argument_refused',
    });
  });

  it('ends a command that takes too long, and its children', async () => {
    const searchPath = await pretend(`trap '' TERM; sleep 60 & echo $! > ${join(folder, 'child')}; wait; sleep 60`);
    const began = Date.now();
    await expect(runGit({ ...place, searchPath }, { ...version, timeoutMs: 200 })).rejects.toMatchObject({
      code: 'git_timeout',
      retryable: true,
    });
    expect(Date.now() - began).toBeLessThan(10_000);
  });

  it('fails on more output than it takes, or cuts it', async () => {
    const searchPath = await pretend('yes');
    await expect(runGit({ ...place, searchPath }, { ...version, maxBytes: 100 })).rejects.toMatchObject({
      code: 'git_output_too_large',
    });
    const cut = await runGit({ ...place, searchPath }, { ...version, maxBytes: 100, overflow: 'cut' });
    expect(cut.stdout).toBe('y\n'.repeat(50));
  });

  it('rejects with the reason of an abort', async () => {
    const searchPath = await pretend('sleep 60');
    const stop = new AbortController();
    const running = runGit({ ...place, searchPath }, { ...version, signal: stop.signal });
    stop.abort(new Error('shutting down'));
    await expect(running).rejects.toThrow('shutting down');
  });
});
