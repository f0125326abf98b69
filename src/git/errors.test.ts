import { describe, expect, it } from 'vitest';
import { gitError, readPush, scrub } from './errors.ts';

const failure = (stderr: string, secrets: string[] = []) => ({ subcommand: 'fetch', exitCode: 128, stderr, secrets });

describe('what git’s words mean', () => {
  // Texts as git 2.39 and its forges print them; the ones that can be provoked here are provoked in mirror.test.ts.
  it.each([
    ["fatal: could not read Username for 'https://git.example': terminal prompts disabled", 'git_auth_failed', true],
    ["remote: Invalid username or token.\nfatal: Authentication failed for 'https://git.example/x/'", 'git_auth_failed', true],
    ["fatal: unable to access 'https://git.example/x/': The requested URL returned error: 403", 'git_auth_failed', true],
    ['git@git.example: Permission denied (publickey).\nfatal: Could not read from remote repository.', 'git_auth_failed', true],
    ['Host key verification failed.\nfatal: Could not read from remote repository.', 'git_host_key_refused', true],
    ["fatal: unable to access 'https://git.example/x/': Could not resolve host: git.example", 'git_unreachable', true],
    ["fatal: unable to access 'https://git.example/x/': SSL certificate problem: self signed", 'git_unreachable', true],
    ["fatal: unable to access 'https://git.example/x/': The requested URL returned error: 429", 'git_unreachable', true],
    [
      'error: RPC failed; curl 56 Recv failure\nfatal: early EOF\nfatal: fetch-pack: invalid index-pack output',
      'git_unreachable',
      true,
    ],
    ['fatal: write error: No space left on device\nfatal: index-pack failed', 'git_disk_full', true],
    ['error: unable to write file objects/aa/bb: Disk quota exceeded', 'git_disk_full', true],
    ["fatal: couldn't find remote ref refs/heads/main", 'git_branch_missing', true],
    ["remote: Repository not found.\nfatal: repository 'https://git.example/x/' not found", 'git_repository_missing', true],
    [
      'error: object 1: zeroPaddedFilemode\nfatal: fsck error in packed object\nfatal: index-pack failed',
      'git_history_refused',
      false,
    ],
    ['fatal: bad object refs/remotes/o/main', 'git_mirror_corrupt', true],
    ["fatal: not a git repository: '/data/git/x.git'", 'git_mirror_corrupt', true],
    ['error: object file objects/aa/bb is empty\nfatal: loose object aabb (stored in x) is corrupt', 'git_mirror_corrupt', true],
    ['fatal: unable to read tree aabbccddeeffaabbccddeeffaabbccddeeffaabb', 'git_mirror_corrupt', true],
    ["error: cannot lock ref 'refs/remotes/o/main': Unable to create 'x.lock': File exists.", 'git_mirror_corrupt', true],
    ['fatal: something new', 'git_failed', true],
    ['', 'git_failed', true],
  ])('%j', (stderr, code, retryable) => {
    expect(gitError(failure(stderr))).toMatchObject({ code, retryable });
  });

  it('does not throw the mirror away for a fault of the remote', () => {
    const error = gitError(failure('remote: fatal: bad object aabb\nfatal: the remote end hung up unexpectedly'));
    expect(error).toMatchObject({ code: 'git_unreachable' });
  });

  it('gives a short reason on one line, without secrets, hints and control characters', () => {
    const stderr = `hint: try\nfatal: no\u001b[31m for https://user:pw@git.example/?t=s3cr/et and s3cr%2Fet ${'x'.repeat(1_000)}\n`;
    const { details, message } = gitError(failure(stderr, ['s3cr/et']));
    expect(details['reason']).toMatch(/^fatal: no \[31m for https:\/\/\*\*\*@git\.example\/\?t=\*\*\* and \*\*\* x+$/);
    expect(String(details['reason'])).toHaveLength(300);
    expect(message).not.toContain('s3cr');
  });

  it('takes authorization headers out', () => {
    expect(scrub('> Authorization: Basic YTpi\n> Host: x', [])).toBe('> Authorization: ***\n> Host: x');
  });
});

describe('the answer to a push', () => {
  const REF = 'refs/heads/main';
  const push = (line: string, stderr = '') => ({ ...failure(stderr), stdout: `To https://git.example/x\n${line}\nDone\n` });

  it('names what a hook says, without git’s remarks on objects and without invisible characters', () => {
    const remarks = Array.from({ length: 9 }, (_, n) => `remote: warning: object ${String(n).repeat(40)}: gitmodulesParse: no`);
    const stderr = [...remarks, 'remote: \u202ethe branch\u200b is \u001b[31mfrozen'].join('\n');
    const declined = push(`!\ta:${REF}\t[remote rejected] (pre-receive hook declined)`, stderr);
    expect(() => readPush(declined, REF)).toThrow(
      'The remote refused the push: [remote rejected] (pre-receive hook declined); the branch  is  [31mfrozen.',
    );
  });

  it.each([
    [' \ta:refs/heads/main\t1111111..2222222', 'pushed'],
    ['*\ta:refs/heads/main\t[new branch]', 'pushed'],
    ['=\ta:refs/heads/main\t[up to date]', 'up_to_date'],
    ['!\ta:refs/heads/main\t[rejected] (fetch first)', 'race'],
    ['!\ta:refs/heads/main\t[rejected] (non-fast-forward)', 'race'],
    ["!\ta:refs/heads/main\t[remote rejected] (cannot lock ref 'refs/heads/main': is at 1 but expected 2)", 'race'],
    ['!\ta:refs/heads/main\t[remote rejected] (failed to update ref)', 'race'],
    ['!\ta:refs/heads/main\t[remote rejected] (incorrect old value provided)', 'race'],
    ['!\ta:refs/heads/other\t[remote rejected] (pre-receive hook declined)', null],
    ['', null],
  ])('%j', (line, result) => {
    expect(readPush(push(line), REF)).toBe(result);
  });

  it.each([
    ['(pre-receive hook declined)', '', 'git_push_refused', false],
    ['(protected branch hook declined)', 'remote: error: GH006: Protected branch update failed', 'git_branch_protected', false],
    [
      '(failed to update ref)',
      "remote: error: cannot lock ref 'a/b': 'a' exists; cannot create 'a/b'",
      'git_push_refused',
      false,
    ],
    [
      '(push declined due to repository rule violations)',
      'remote: error: GH013: Repository rule violations found for refs/heads/main.\nremote: - Changes must be made through a pull request.',
      'git_branch_protected',
      false,
    ],
    [
      '(pre-receive hook declined)',
      'remote: GitLab: You are not allowed to push code to protected branches on this project.',
      'git_branch_protected',
      false,
    ],
    ['(pre-receive hook declined)', 'remote: Gitea: Not allowed to push to protected branch main', 'git_branch_protected', false],
    [
      '(pre-receive hook declined)',
      'remote: Forgejo: Not allowed to push to protected branch main',
      'git_branch_protected',
      false,
    ],
    [
      '(pre-receive hook declined)',
      'remote: Branch refs/heads/main can be modified only through pull requests.',
      'git_branch_protected',
      false,
    ],
    [
      '(TF402455: Pushes to this branch are not permitted; you must use a pull request to update this branch.)',
      '',
      'git_branch_protected',
      false,
    ],
    ['(pre-receive hook declined)', 'remote: the branch is frozen until Monday', 'git_push_refused', false],
    ['(unpacker error)', 'error: remote unpack failed: unable to create temporary object directory', 'git_unreachable', true],
    [
      '(unpacker error)',
      'remote: fatal: write error: No space left on device\nerror: remote unpack failed: unpack-objects abnormal exit',
      'git_remote_full',
      true,
    ],
    ['(Internal Server Error)', '', 'git_unreachable', true],
  ])('[remote rejected] %s', (summary, stderr, code, retryable) => {
    expect(() => readPush(push(`!\ta:${REF}\t[remote rejected] ${summary}`, stderr), REF)).toThrow(
      expect.objectContaining({ code, retryable }),
    );
  });
});
