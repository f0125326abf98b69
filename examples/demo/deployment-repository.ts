import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { git, type Remote } from './git-command.ts';
import { APPLICATION_FOLDER, formatManifest, MANIFEST } from './rollout-manifest.ts';

/** Name of the trailer by which davylamp marks its commits. */
const TRAILER = 'Davylamp-Rollback';

/** What a `git ls-remote` and a fetch say about the remote at this moment. */
export interface RemoteState {
  head: string;
  /** Object id of the application's folder at the head: equal ids are equal content. */
  content: string;
  /** Commits of the branch that carry davylamp's trailer, newest first. */
  rollbackCommits: { commit: string; rollback: string }[];
}

/** The shop's developers: a clone of the deployment repository in which they commit and push. */
export class DeploymentRepository {
  readonly #folder: string;
  readonly #remote: Remote;

  constructor(folder: string, remote: Remote) {
    this.#folder = folder;
    this.#remote = remote;
  }

  #git(...args: string[]): Promise<string> {
    return git(this.#folder, args, this.#remote);
  }

  /** The first state of the repository: the shop at `version`, and the neighbours that a rollback must leave alone. */
  async create(version: string, canaryWeight: number): Promise<string> {
    await mkdir(this.#folder, { recursive: true });
    await this.#git('init', '--quiet');
    await this.#git('config', 'user.name', 'Mara of the shop team');
    await this.#git('config', 'user.email', 'mara@shop.example');
    await this.#git('symbolic-ref', 'HEAD', `refs/heads/${this.#remote.branch}`);
    await this.#git('remote', 'add', 'origin', this.#remote.url);
    await this.#write('README.md', 'Deployment repository of the shop: what stands here is what runs.\n');
    await this.#write('apps/newsletter/rollout.yaml', 'service: newsletter\nversion: "7.4.2"\ncanaryWeight: 25\n');
    await this.#write(`${APPLICATION_FOLDER}/README.md`, 'The web shop. Owner: shop team.\n');
    return this.#commit({ version, canaryWeight }, `Start with shop ${version}`);
  }

  /** Declares another version, as a person or a pipeline would, and pushes it. Gives the commit. */
  release(version: string, canaryWeight: number, why: string): Promise<string> {
    return this.#commit({ version, canaryWeight }, `Release shop ${version}\n\n${why}`);
  }

  async #commit(manifest: { version: string; canaryWeight: number }, message: string): Promise<string> {
    await this.#write(MANIFEST, formatManifest(manifest));
    await this.#git('add', '--all');
    await this.#git('commit', '--quiet', '--message', message);
    await this.#git('push', '--quiet', 'origin', `HEAD:refs/heads/${this.#remote.branch}`);
    return this.#git('rev-parse', 'HEAD');
  }

  async #write(path: string, text: string): Promise<void> {
    await mkdir(dirname(join(this.#folder, path)), { recursive: true });
    await writeFile(join(this.#folder, path), text);
  }

  async remoteHead(): Promise<string> {
    const line = await this.#git('ls-remote', '--exit-code', 'origin', `refs/heads/${this.#remote.branch}`);
    return line.split('\t')[0] ?? '';
  }

  async remoteState(): Promise<RemoteState> {
    const head = await this.remoteHead();
    await this.#git('fetch', '--quiet', 'origin', `refs/heads/${this.#remote.branch}`);
    const [content, log] = await Promise.all([
      this.contentAt(head),
      this.#git('log', `--format=%H %(trailers:key=${TRAILER},valueonly,separator=%x2C)`, head),
    ]);
    const rollbackCommits = log
      .split('\n')
      .map((line) => ({ commit: line.slice(0, line.indexOf(' ')), rollback: line.slice(line.indexOf(' ') + 1).trim() }))
      .filter(({ rollback }) => rollback !== '');
    return { head, content, rollbackCommits };
  }

  /** Object id of the application's folder at a commit. */
  contentAt(commit: string): Promise<string> {
    return this.#git('rev-parse', `${commit}:${APPLICATION_FOLDER}`);
  }

  /** The commit as a person would look at it. */
  async show(commit: string): Promise<string> {
    const text = await this.#git('show', '--stat', '--format=commit %h%nAuthor: %an <%ae>%n%n%w(0,4,4)%B', commit);
    return text.replace(/\n{3,}/g, '\n\n');
  }
}
