import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { programPath } from '../../support/programs.ts';
import type { Signing } from './matrix.ts';

const run = promisify(execFile);

/** The keys of one run of the program. */
export interface Keys {
  /** How commits can be signed here. */
  signings: readonly Signing[];
  /** Why one of them cannot. */
  skipped: string | null;
  /** PATH on which git finds what signs. */
  searchPath: string;
  /** The part of a repository's configuration; empty where nothing is signed. */
  configured(signing: Signing): string;
  /** Rejects unless git verifies the signature of the commit. */
  verify(signing: Signing, repository: string, commit: string): Promise<void>;
  close(): Promise<void>;
}

export async function makeKeys(): Promise<Keys> {
  const folder = await mkdtemp(join(tmpdir(), 'davylamp-keys-'));
  const ssh = join(folder, 'ssh');
  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'davylamp', '-f', ssh]);
  const signers = join(folder, 'signers');
  await writeFile(signers, `* ${await readFile(`${ssh}.pub`, 'utf8')}`);
  const home = join(folder, 'gnupg');
  const gpg = await makeGpgKey(home);
  const env = { PATH: gpg.searchPath, LC_ALL: 'C', HOME: folder, GNUPGHOME: home };
  return {
    signings: gpg.keyId === null ? ['unsigned', 'ssh'] : ['unsigned', 'ssh', 'gpg'],
    skipped: gpg.missing,
    searchPath: gpg.searchPath,
    configured(signing) {
      if (signing === 'unsigned') return '';
      if (signing === 'ssh') return `, signing: { type: ssh, keyFile: ${ssh} }`;
      return `, signing: { type: gpg, keyId: '${gpg.keyId ?? ''}', home: ${home} }`;
    },
    async verify(signing, repository, commit) {
      if (signing === 'unsigned') {
        const { stdout } = await run('git', ['--git-dir', repository, 'cat-file', 'commit', commit], { env });
        if (stdout.includes('\ngpgsig ')) throw new Error(`${commit} is signed`);
        return;
      }
      const config = signing === 'ssh' ? ['-c', 'gpg.format=ssh', '-c', `gpg.ssh.allowedSignersFile=${signers}`] : [];
      await run('git', [...config, '--git-dir', repository, 'verify-commit', commit], { env });
    },
    async close() {
      // gpg leaves its agent running.
      if (gpg.keyId !== null) await run('gpgconf', ['--homedir', home, '--kill', 'gpg-agent'], { env });
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function makeGpgKey(home: string): Promise<{ keyId: string | null; searchPath: string; missing: string | null }> {
  const path = process.env['PATH'] ?? '';
  let gpg: string;
  let agent: string;
  try {
    [gpg, agent] = await Promise.all([programPath('gpg'), programPath('gpg-agent')]);
  } catch (error) {
    return { keyId: null, searchPath: path, missing: error instanceof Error ? error.message : String(error) };
  }
  const searchPath = `${dirname(gpg)}${delimiter}${path}`;
  const env = { PATH: searchPath, GNUPGHOME: home, LC_ALL: 'C' };
  await mkdir(home, { mode: 0o700 });
  await writeFile(join(home, 'gpg.conf'), `agent-program ${agent}\n`);
  const batch = ['--batch', '--quiet', '--pinentry-mode', 'loopback', '--passphrase', ''];
  await run(gpg, [...batch, '--quick-generate-key', 'davylamp <davylamp@example.com>', 'ed25519', 'sign'], { env });
  const { stdout } = await run(gpg, ['--batch', '--with-colons', '--list-secret-keys'], { env });
  const keyId = /^fpr:+([0-9A-F]{40}):/m.exec(stdout)?.[1];
  if (keyId === undefined) throw new Error(`gpg made no key:\n${stdout}`);
  return { keyId, searchPath, missing: null };
}
