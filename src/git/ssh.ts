import { CodedError } from '../errors.ts';
import type { SshConfig } from './schema.ts';

/** Seconds until a host that does not answer counts as dead. */
const CONNECT_SECONDS = 20;
const ALIVE = ['ServerAliveInterval=10', 'ServerAliveCountMax=3'];
/** ssh(1) would read them as a quotation or as the name of a variable. */
const MISREAD = /["\\$]|\p{Cc}/u;

/**
 * The command that git reaches an ssh remote with (git(1), GIT_SSH_COMMAND; git hands it to a shell). Only what stands in
 * it counts: no file of the user, no other key, no agent, no unknown host, no question.
 *
 * @param ssh absolute paths
 * @throws CodedError `git_argument_refused` for a path that ssh would misread
 */
export function sshCommand(ssh: SshConfig): string {
  const settings = [
    'BatchMode=yes',
    'StrictHostKeyChecking=yes',
    `UserKnownHostsFile="${path(ssh.knownHostsFile)}"`,
    'GlobalKnownHostsFile=/dev/null',
    `IdentityFile="${path(ssh.keyFile)}"`,
    'IdentitiesOnly=yes',
    'IdentityAgent=none',
    `ConnectTimeout=${CONNECT_SECONDS}`,
    ...ALIVE,
  ];
  return ['ssh', '-F', 'none', ...settings.flatMap((setting) => ['-o', quoted(setting)])].join(' ');
}

/** Variables that make git reach its remote so; none without a configuration. @throws as `sshCommand` */
export function sshEnvironment(ssh: SshConfig | null): Record<string, string> {
  return ssh === null ? {} : { GIT_SSH_COMMAND: sshCommand(ssh), GIT_SSH_VARIANT: 'ssh' };
}

/** `%` begins a token of ssh_config(5). */
function path(file: string): string {
  if (MISREAD.test(file) || !file.startsWith('/')) {
    throw new CodedError(
      'git_argument_refused',
      'The path of an ssh file is refused: it must be absolute and hold no ", \\ or $.',
      {
        details: { file },
      },
    );
  }
  return file.replaceAll('%', '%%');
}

/** One word of a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
