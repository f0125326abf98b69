import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { programPath } from '../support/programs.ts';

const run = promisify(execFile);
const HOST = '127.0.0.1';
const START_MS = 20_000;

export interface SshServer {
  /** Address of a repository on disk. */
  url(repository: string): string;
  /** Private key that is let in, and the file that names the host's key. */
  ssh: { keyFile: string; knownHostsFile: string };
  down(): Promise<void>;
  up(): Promise<void>;
}

/**
 * Debian's OpenSSH server on loopback, for the user of this process. A library in front of it (nss_wrapper) tells it of
 * that user with an ordinary shell and of the user `sshd`, so that the machine's own list of users does not matter.
 */
export async function startSshServer(folder: string): Promise<SshServer> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const program = await programPath('sshd');
  const { uid, gid, username } = userInfo();
  // Where sshd of root puts its unprivileged half; compiled in.
  if (uid === 0) await mkdir('/run/sshd', { recursive: true, mode: 0o755 });
  for (const name of ['host', 'user']) {
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)]);
  }
  const port = await freePort();
  const [knownHostsFile, passwd, group] = ['known hosts', 'passwd', 'group'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await writeFile(knownHostsFile, `[${HOST}]:${port} ${await readFile(join(folder, 'host.pub'), 'utf8')}`);
  await writeFile(passwd, `${username}:x:${uid}:${gid}::${folder}:/bin/sh\nsshd:x:65534:65534::/run/sshd:/usr/sbin/nologin\n`);
  await writeFile(group, `${username}:x:${gid}:\nnogroup:x:65534:\n`);
  const settings = {
    Port: String(port),
    ListenAddress: HOST,
    HostKey: `"${join(folder, 'host')}"`,
    AuthorizedKeysFile: `"${join(folder, 'user.pub')}"`,
    PidFile: 'none',
    StrictModes: 'no',
    UsePAM: 'no',
    PasswordAuthentication: 'no',
    KbdInteractiveAuthentication: 'no',
    MaxStartups: '100',
    PermitUserEnvironment: 'no',
  };
  const config = join(folder, 'sshd_config');
  await writeFile(
    config,
    Object.entries(settings)
      .map(([key, value]) => `${key} ${value}\n`)
      .join(''),
  );
  const env = {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    LD_PRELOAD: await wrapperLibrary(dirname(dirname(program))),
    NSS_WRAPPER_PASSWD: passwd,
    NSS_WRAPPER_GROUP: group,
  };

  let server: ChildProcess | null = null;
  const up = async (): Promise<void> => {
    if (server !== null) return;
    const child = spawn(program, ['-D', '-e', '-f', config], { env, stdio: ['ignore', 'ignore', 'pipe'] });
    server = child;
    await listening(child);
  };
  const down = async (): Promise<void> => {
    const child = server;
    if (child === null) return;
    server = null;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  };
  await up();
  return {
    url: (repository) => `ssh://${username}@${HOST}:${port}${repository}`,
    ssh: { keyFile: join(folder, 'user'), knownHostsFile },
    up,
    down,
  };
}

async function listening(child: ChildProcess): Promise<void> {
  let said = '';
  await new Promise<void>((resolve, reject) => {
    const deadline = setTimeout(() => reject(new Error(`sshd does not listen: ${said}`)), START_MS);
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-10_000);
      if (!said.includes('Server listening')) return;
      clearTimeout(deadline);
      resolve();
    });
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`sshd ended: ${said}`)));
  });
}

async function wrapperLibrary(place: string): Promise<string> {
  const name = 'libnss_wrapper.so';
  for (const entry of await readdir(place, { recursive: true })) if (entry.endsWith(`/${name}`)) return join(place, entry);
  throw new Error(`${name} is not among the packages of sshd in ${place}; remove that folder and try again`);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('there is no free port');
  server.close();
  await once(server, 'close');
  return address.port;
}
