import { execFile } from 'node:child_process';
import { chmod, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const ENVIRONMENT = {
  PATH: process.env['PATH'] ?? '/usr/bin:/bin',
  LC_ALL: 'C',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_TERMINAL_PROMPT: '0',
  GIT_AUTHOR_NAME: 'Ada',
  GIT_AUTHOR_EMAIL: 'ada@example.com',
  GIT_COMMITTER_NAME: 'Ada',
  GIT_COMMITTER_EMAIL: 'ada@example.com',
};

/** What a file becomes: text, nothing, a program, a symbolic link. */
export type Content = string | null | { program: string } | { link: string };

/** Somebody with an ordinary clone and work tree, who commits and pushes as people do. */
export class Colleague {
  readonly folder: string;
  readonly branch: string;

  private constructor(folder: string, branch: string) {
    this.folder = folder;
    this.branch = branch;
  }

  /** @param remote the bare repository on disk */
  static async join(folder: string, remote: string, branch = 'main'): Promise<Colleague> {
    await run('git', ['clone', '--quiet', remote, folder], { env: ENVIRONMENT });
    const colleague = new Colleague(folder, branch);
    await colleague.git('config', 'core.autocrlf', 'false');
    await colleague.git('checkout', '--quiet', '-B', branch);
    return colleague;
  }

  /** @returns standard output without the last newline */
  async git(...args: string[]): Promise<string> {
    const { stdout } = await run('git', args, { cwd: this.folder, env: { ...ENVIRONMENT, HOME: this.folder } });
    return stdout.replace(/\n$/, '');
  }

  async write(files: Readonly<Record<string, Content>>): Promise<void> {
    for (const [path, content] of Object.entries(files)) {
      const file = join(this.folder, path);
      await rm(file, { force: true, recursive: true });
      if (content === null) continue;
      await mkdir(dirname(file), { recursive: true });
      if (typeof content === 'string') await writeFile(file, content);
      else if ('link' in content) await symlink(content.link, file);
      else {
        await writeFile(file, content.program);
        await chmod(file, 0o755);
      }
    }
  }

  /** Commits everything that is in the work tree. @returns the id */
  async commit(message: string, files: Readonly<Record<string, Content>> = {}): Promise<string> {
    await this.write(files);
    await this.git('add', '--all');
    await this.git('commit', '--quiet', '--allow-empty', '--cleanup=verbatim', '-m', message);
    return this.git('rev-parse', 'HEAD');
  }

  async push(): Promise<void> {
    await this.git('push', '--quiet', 'origin', `HEAD:refs/heads/${this.branch}`);
  }

  /** Takes what is on the remote. */
  async pull(): Promise<void> {
    await this.git('fetch', '--quiet', 'origin');
    await this.git('reset', '--quiet', '--hard', `origin/${this.branch}`);
  }

  async tree(commit: string): Promise<string> {
    return this.git('rev-parse', `${commit}^{tree}`);
  }
}
