import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { access, constants, mkdir } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const CACHE = join(packageRoot(dirname(fileURLToPath(import.meta.url))), '.cache', 'programs');
const FETCH_TIMEOUT_MS = 300_000;

export type ProgramName =
  'redis-server' | 'redis-cli' | 'prometheus' | 'promtool' | 'alertmanager' | 'etcd' | 'sshd' | 'gpg' | 'gpg-agent';

/** A program of Debian: what to install, and every package of it that a machine with libc may lack. */
interface DebianProgram {
  install: string;
  folder: string;
  packages: readonly string[];
  binary: string;
  /** It needs a library of its own packages, so that one on PATH does not do. */
  fromPackagesOnly?: boolean;
}

const REDIS = ['redis-server', 'redis-tools', 'libatomic1', 'libjemalloc2', 'liblzf1', 'libssl3', 'libsystemd0'];
const SSHD = (
  'openssh-server libwrap0 libnss-wrapper libaudit1 libcap-ng0 libpam0g libselinux1 libsystemd0 libgssapi-krb5-2 libkrb5-3 ' +
  'libkrb5support0 libk5crypto3 libkeyutils1 libcom-err2 libcrypt1 libssl3'
).split(' ');
const GPG = 'gpg gpg-agent gpgconf libassuan0 libgcrypt20 libgpg-error0 libnpth0 libreadline8 libsqlite3-0'.split(' ');
const PROGRAMS: Readonly<Record<ProgramName, DebianProgram>> = {
  'redis-server': { install: 'redis-server', folder: 'redis', packages: REDIS, binary: 'redis-server' },
  'redis-cli': { install: 'redis-tools', folder: 'redis', packages: REDIS, binary: 'redis-cli' },
  prometheus: { install: 'prometheus', folder: 'prometheus', packages: ['prometheus'], binary: 'prometheus' },
  promtool: { install: 'prometheus', folder: 'prometheus', packages: ['prometheus'], binary: 'promtool' },
  alertmanager: {
    install: 'prometheus-alertmanager',
    folder: 'alertmanager',
    packages: ['prometheus-alertmanager'],
    binary: 'prometheus-alertmanager',
  },
  etcd: { install: 'etcd-server', folder: 'etcd', packages: ['etcd-server'], binary: 'etcd' },
  sshd: { install: 'openssh-server libnss-wrapper', folder: 'sshd', packages: SSHD, binary: 'sshd', fromPackagesOnly: true },
  gpg: { install: 'gpg', folder: 'gpg', packages: GPG, binary: 'gpg' },
  'gpg-agent': { install: 'gpg-agent', folder: 'gpg', packages: GPG, binary: 'gpg-agent' },
};

/**
 * Fills one folder of the cache: FOLDER PACKAGE... It appears complete or not at all. The packages are unpacked, not
 * installed, so no rights are needed; what they link to comes along and is found by a small script that replaces itself
 * by the program, so that signals reach the program.
 */
const FILL = `
set -eu
folder=$1
shift
[ ! -d "$folder" ] || exit 0
rm -rf "$folder.new"
mkdir -p "$folder.new/packages"
cd "$folder.new/packages"
apt-get -q download "$@" || { apt-get -q update && apt-get -q download "$@"; }
for package in *.deb; do dpkg-deb -x "$package" ..; done
cd ..
rm -r packages
mkdir bin
libraries=$(ls -d usr/lib/*-linux-gnu* lib/*-linux-gnu* 2>/dev/null | sed "s|^|$folder/|" | paste -s -d : || true)
for program in $(ls -d usr/bin/* usr/sbin/* 2>/dev/null || true); do
  name=$(basename "$program")
  printf '#!/bin/sh\\nLD_LIBRARY_PATH="%s" exec "%s" "$@"\\n' "$libraries" "$folder/$program" >"bin/$name"
  chmod +x "bin/$name"
done
mv "$folder.new" "$folder"
`;

const found = new Map<ProgramName, Promise<string>>();

/**
 * The path of an external program for tests: from PATH, else from the cache folder, which is filled from the packages
 * of Debian or Ubuntu.
 *
 * @throws Error with the line to type, where it is neither there nor can be fetched
 */
export function programPath(name: ProgramName): Promise<string> {
  let path = found.get(name);
  if (path === undefined) {
    path = find(name);
    found.set(name, path);
  }
  return path;
}

async function find(name: ProgramName): Promise<string> {
  const { install, folder, packages, binary, fromPackagesOnly = false } = PROGRAMS[name];
  for (const directory of fromPackagesOnly ? [] : (process.env['PATH'] ?? '').split(delimiter)) {
    for (const file of new Set([name, binary])) {
      const path = join(directory, file);
      if (directory !== '' && (await isExecutable(path))) return path;
    }
  }
  const place = join(CACHE, folder);
  const path = join(place, 'bin', binary);
  if (await isExecutable(path)) return path;
  try {
    await mkdir(CACHE, { recursive: true });
    // Several test processes ask at once: the lock goes with its holder, however that ends.
    const command = ['-w', String(FETCH_TIMEOUT_MS / 1_000), `${place}.lock`, 'sh', '-c', FILL, 'sh', place, ...packages];
    await promisify(execFile)('flock', command, { timeout: FETCH_TIMEOUT_MS, encoding: 'utf8' });
  } catch (error) {
    throw new Error(
      `${name} is not on PATH and could not be fetched (${reasonOf(error)}). ` +
        `On Debian and Ubuntu type: apt-get install ${install}. Elsewhere, put ${name} on PATH.`,
      { cause: error },
    );
  }
  return path;
}

/** The same place whether this runs from the source or compiled from another folder. */
/** The folder of the package, wherever compiled code runs. */
export function packageRoot(folder: string): string {
  const above = dirname(folder);
  return existsSync(join(folder, 'package.json')) || above === folder ? folder : packageRoot(above);
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    // Not there: the next place is looked at.
    return false;
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const said = 'stderr' in error && typeof error.stderr === 'string' ? error.stderr.trim().split('\n').at(-1) : undefined;
  return said === undefined || said === '' ? (error.message.split('\n')[0] ?? '') : said;
}
