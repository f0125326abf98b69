import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError } from '../errors.ts';
import type { Finding } from '../finding.ts';
import { REMOTE, authorizationFor, type Credential } from './clone.ts';
import { branchName, repositoryUrl } from './names.ts';
import { runGit, type GitAnswer, type GitCall } from './run.ts';
import type { SigningConfig, SshConfig } from './schema.ts';
import { signCommit } from './signing.ts';
import { sshEnvironment } from './ssh.ts';

const STAMP = { name: 'davylamp', email: 'davylamp@localhost', atSeconds: 0 };
/** git knows this tree without having it (`git hash-object -t tree /dev/null`). */
const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';
/** Nothing is made of it: git says what a push would do, and stops. */
const DRY_RUN_BRANCH = 'refs/heads/davylamp/doctor';
const LOCAL_MS = 10_000;
const REMOTE_MS = 30_000;

export interface AccessOptions {
  url: string;
  branch: string;
  credential: () => Promise<Credential | null>;
  /** Paths absolute. */
  ssh?: SshConfig | null;
  /** Paths absolute; a signature is tried where there is one. */
  signing?: SigningConfig | null;
  /** An empty folder of our own, absolute; the history of the repository does not come here. */
  folder: string;
  searchPath?: string;
  /** Lets tests use a folder as remote. */
  alsoAllow?: 'file';
}

/**
 * Whether the remote can be read, has the branch, and lets the credential push, and whether commits can be signed, without fetching its history and
 * without writing anything.
 *
 * A dry run of a push (git-push(1), --dry-run) does everything but send: it opens `git-receive-pack` on the remote, which
 * forges and servers only give to those who may write to the repository. It cannot know what is decided at the push
 * itself: branch protection, rules by path, and hooks.
 */
export async function checkAccess(options: AccessOptions, signal: AbortSignal): Promise<Finding[]> {
  const { folder, searchPath = null, alsoAllow = null } = options;
  const place = { home: join(folder, 'home'), gitDir: join(folder, 'empty.git'), searchPath, alsoAllow };
  const findings: Finding[] = [];
  try {
    const url = repositoryUrl(options.url, alsoAllow);
    const branch = branchName(options.branch);
    await mkdir(place.home, { recursive: true, mode: 0o700 });
    await runGit({ ...place, gitDir: null }, local('init', ['--quiet', '--bare', '--template=', '--', place.gitDir], signal));
    const environment = sshEnvironment(options.ssh ?? null);
    const { config, secrets } = authorizationFor(url, await options.credential());
    const ask = (subcommand: 'ls-remote' | 'push', args: readonly string[]): Promise<GitAnswer> =>
      runGit(place, {
        subcommand,
        args,
        config: { ...config, [`remote.${REMOTE}.url`]: url.href },
        secrets,
        environment,
        timeoutMs: REMOTE_MS,
        signal,
      });

    const { stdout } = await ask('ls-remote', ['--heads', '--end-of-options', REMOTE, `refs/heads/${branch}`]);
    const head = /^([0-9a-f]{40,64})\t/.exec(stdout)?.[1];
    findings.push(
      head === undefined
        ? {
            status: 'fail',
            code: 'git_branch_missing',
            sentence: `the remote answers and has no branch ${branch}; check \`branch\``,
          }
        : { status: 'ok', code: 'readable', sentence: `branch ${branch} is at ${head.slice(0, 12)}` },
    );
    const made = await runGit(place, {
      ...local('commit-tree', [EMPTY_TREE, '-m', 'asks whether a push would be let in; it is never sent'], signal),
      stamp: STAMP,
    });
    await ask('push', ['--dry-run', '--porcelain', '--end-of-options', REMOTE, `${made.stdout.trim()}:${DRY_RUN_BRANCH}`]);
    findings.push({
      status: 'ok',
      code: 'writable',
      sentence: 'the remote lets this credential push (asked by a dry run; branch protection and hooks show at a real push only)',
    });
    if (options.signing !== undefined && options.signing !== null) {
      const unsigned = made.stdout.trim();
      const git = (call: Omit<GitCall, 'timeoutMs' | 'signal'>) => runGit(place, { ...call, timeoutMs: LOCAL_MS, signal });
      await signCommit(git, options.signing, { unsigned, parent: unsigned, message: 'tries the key\n', stamp: STAMP });
      findings.push({ status: 'ok', code: 'signs', sentence: `a commit can be signed by ${options.signing.type}` });
    }
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    const isPush = findings.length > 0 && error.code !== 'git_signing_failed';
    const what = isPush ? 'it can be read, and not pushed to: ' : '';
    const reason = error.details['reason'];
    const detail = typeof reason === 'string' && reason !== '' && !error.message.includes(reason) ? ` (${reason})` : '';
    findings.push({ status: 'fail', code: error.code, sentence: `${what}${error.message}${detail}` });
  }
  return findings;
}

function local(subcommand: GitCall['subcommand'], args: readonly string[], signal: AbortSignal): GitCall {
  return { subcommand, args, timeoutMs: LOCAL_MS, signal };
}
