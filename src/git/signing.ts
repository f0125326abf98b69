import { CodedError, codeOf } from '../errors.ts';
import type { LocalGit } from './deltas.ts';
import type { SigningConfig } from './schema.ts';
import type { Stamp } from './run.ts';

/** What says more about a failure than that the signer failed. */
const OWN_CODES = new Set(['git_disk_full', 'git_missing', 'git_signing_failed']);

/**
 * A signed commit with the content, parent, message and dates of an unsigned one (git-commit-tree(1), -S). An ed25519
 * key gives the same signature every time, so the same order still gives the same commit.
 *
 * @param signing absolute paths
 * @throws CodedError `git_signing_failed`, retryable: there is no commit then
 */
export async function signCommit(
  git: LocalGit,
  signing: SigningConfig,
  commit: { unsigned: string; parent: string; message: string; stamp: Stamp },
): Promise<string> {
  const key = signing.type === 'ssh' ? signing.keyFile : signing.keyId;
  try {
    const { stdout } = await git({
      subcommand: 'commit-tree',
      args: ['-S', '-p', commit.parent, '-F', '-', '--end-of-options', `${commit.unsigned}^{tree}`],
      input: commit.message,
      stamp: commit.stamp,
      config: { 'gpg.format': signing.type === 'ssh' ? 'ssh' : 'openpgp', 'user.signingKey': key },
      environment: signing.type === 'gpg' ? { GNUPGHOME: signing.home } : {},
      signs: true,
    });
    return stdout.trim();
  } catch (error) {
    if (!(error instanceof CodedError) || OWN_CODES.has(codeOf(error))) throw error;
    throw new CodedError('git_signing_failed', 'The commit could not be signed in time: look at the signer.', {
      retryable: true,
      cause: error,
      details: error.details,
    });
  }
}
