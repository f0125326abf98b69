import { mkdir } from 'node:fs/promises';
import { git, type Remote } from './git-command.ts';
import { APPLICATION_FOLDER, MANIFEST, parseManifest, type RolloutManifest } from './rollout-manifest.ts';

/** What the branch declares at one commit. */
export interface Declaration {
  head: string;
  /** The commit that changed the application last: the revision that is being released. */
  revision: string;
  manifest: RolloutManifest;
}

/** A clone of the deployment repository that follows one branch. */
export class FollowedBranch {
  readonly #folder: string;
  readonly #remote: Remote;

  private constructor(folder: string, remote: Remote) {
    this.#folder = folder;
    this.#remote = remote;
  }

  static async open(folder: string, remote: Remote): Promise<FollowedBranch> {
    await mkdir(folder, { recursive: true });
    await git(folder, ['init', '--quiet', '--bare']);
    return new FollowedBranch(folder, remote);
  }

  /** Fetches and gives the head of the branch. @throws Error when the remote does not answer */
  async fetch(): Promise<string> {
    const { url, branch } = this.#remote;
    await git(this.#folder, ['fetch', '--quiet', '--no-tags', url, `+refs/heads/${branch}:refs/heads/${branch}`], this.#remote);
    return git(this.#folder, ['rev-parse', `refs/heads/${branch}`]);
  }

  async read(head: string): Promise<Declaration> {
    const [revision, text] = await Promise.all([
      git(this.#folder, ['log', '-1', '--format=%H', head, '--', APPLICATION_FOLDER]),
      git(this.#folder, ['show', `${head}:${MANIFEST}`]),
    ]);
    return { head, revision, manifest: parseManifest(text) };
  }
}
