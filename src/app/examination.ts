import { constants, access, mkdtemp, rm, stat, statfs } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { systemClock } from '../clock.ts';
import { resolveDefaults, type ResolvedConfig } from '../config/defaults.ts';
import type { LoadedConfig } from '../config/load.ts';
import { problemText } from '../config/problem.ts';
import { namedFiles, type NamedFile } from '../config/reload.ts';
import { readSecret } from '../config/secrets.ts';
import { CodedError, codeOf, sentenceOf } from '../errors.ts';
import type { Finding } from '../finding.ts';
import { checkAccess } from '../git/access.ts';
import { checkGit } from '../git/run.ts';
import { createHttpClient, type HttpClient } from '../net/client.ts';
import { createLogger } from '../observability/logger.ts';
import { createMakers, type Makers } from './making.ts';
import { examineStorage } from './storage.ts';

/** One thing that was examined, by the name that stands in front of its line. */
export interface Examined {
  check: string;
  findings: readonly Finding[];
}

interface Check {
  name: string;
  run: (signal: AbortSignal) => Promise<readonly Finding[]>;
}

const CHECK_MS = 30_000;
const LOW_DISK_BYTES = 1_073_741_824;
const FULL_DISK_BYTES = 104_857_600;
const CLOCK_TIMEOUT_MS = 5_000;
const MAX_CLOCK_BODY_BYTES = 65_536;
/** The header Date has whole seconds, and an answer takes its time. */
const CLOCK_TOLERANCE_MS = 5_000;
const OTHERS_READ = 0o004;
const OTHERS_WRITE = 0o022;

/**
 * Looks at everything that a configuration needs of the world, and changes nothing of it. The checks run at the same
 * time, each with a deadline of its own.
 */
export async function examine(loaded: LoadedConfig): Promise<Examined[]> {
  const config = resolveDefaults(loaded.config);
  const dataFolder = resolve(loaded.folder, config.storage.path);
  const http = createHttpClient();
  const scratch = await mkdtemp(join(tmpdir(), 'davylamp-doctor-'));
  try {
    const makers = createMakers(config, {
      http,
      clock: systemClock,
      log: createLogger({ level: 'silent' }),
      configFolder: loaded.folder,
      dataFolder,
      complain: () => () => undefined,
      tracing: null,
    });
    const checks: Check[] = [
      { name: 'configuration', run: () => Promise.resolve(configuration(loaded)) },
      ...namedFiles(config, loaded.folder).map((file) => ({ name: `file ${file.key}`, run: () => secretFile(file) })),
      { name: 'listen', run: () => listening(config) },
      { name: 'git', run: (signal) => gitVersion(scratch, signal) },
      { name: 'data folder', run: () => dataFolderState(dataFolder) },
      { name: 'storage', run: () => examineStorage(config.storage, { configFolder: loaded.folder, clock: systemClock }) },
      ...repositoryChecks(config, makers, scratch),
      ...forgeChecks(config, makers),
      ...sourceChecks(config, makers),
      ...deliveryChecks(config, makers),
      ...clockChecks(config, http),
    ];
    return await Promise.all(checks.map(examined));
  } finally {
    await http.close();
    await rm(scratch, { recursive: true, force: true });
  }
}

async function examined({ name, run }: Check): Promise<Examined> {
  const signal = AbortSignal.timeout(CHECK_MS);
  try {
    return { check: name, findings: await run(signal) };
  } catch (error) {
    if (signal.aborted) return { check: name, findings: [fail('timeout', `no answer within ${CHECK_MS / 1_000} s`)] };
    if (!(error instanceof CodedError)) throw error;
    return { check: name, findings: [fail(codeOf(error), sentenceOf(error))] };
  }
}

const ok = (code: string, sentence: string): Finding => ({ status: 'ok', code, sentence });
const warn = (code: string, sentence: string): Finding => ({ status: 'warn', code, sentence });
const fail = (code: string, sentence: string): Finding => ({ status: 'fail', code, sentence });

function configuration(loaded: LoadedConfig): Finding[] {
  const { applications = {}, templates = {}, sources = {}, repositories = {} } = loaded.config;
  const counted = Object.entries({ applications, templates, sources, repositories });
  return [
    ...loaded.warnings.map((problem) => warn('config_warning', problemText(problem))),
    ok('valid', `valid: ${counted.map(([name, map]) => `${name} ${Object.keys(map).length}`).join(', ')}`),
  ];
}

async function secretFile({ key, path }: NamedFile): Promise<Finding[]> {
  await readSecret(dirname(path), path, key);
  const { mode } = await stat(path);
  const bits = `0${(mode & 0o777).toString(8)}`;
  if ((mode & OTHERS_WRITE) !== 0)
    return [
      fail('secret_writable', `${path} can be written by others (${bits}); chmod 0600 it, or 0440 with the group of davylamp`),
    ];
  if ((mode & OTHERS_READ) !== 0)
    return [warn('secret_readable', `${path} can be read by every user of this machine (${bits}); chmod 0600 it`)];
  return [ok('readable', `${path} can be read, and by nobody else (${bits})`)];
}

/** What may be listened on without credentials is checked with the configuration; here, whether the address is free. */
async function listening({ server }: ResolvedConfig): Promise<Finding[]> {
  const callers = server.tokens.length + server.basic.length + server.signers.length + server.oidc.length + server.clients.length;
  const who = callers > 0 ? `${callers} ways to know a caller are configured` : 'without credentials, for this machine only';
  const findings: Finding[] = [];
  for (const listen of [server.listen, ...(server.probes === undefined ? [] : [server.probes.listen])]) {
    const at = listen.lastIndexOf(':');
    const host = listen.slice(0, at).replace(/^\[(.*)\]$/, '$1');
    const code = await bindError(host, Number(listen.slice(at + 1)));
    if (code === null) findings.push(ok('free', `${listen} can be listened on; ${who}`));
    else if (code === 'EADDRINUSE') findings.push(warn('in_use', `something listens on ${listen} already; is it this davylamp?`));
    else findings.push(fail('listen_failed', `${listen} cannot be listened on (${code})`));
  }
  return findings;
}

async function bindError(host: string, port: number): Promise<string | null> {
  const server = createServer();
  return new Promise((done) => {
    server.once('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
    server.listen(port, host, () => server.close(() => done(null)));
  });
}

async function gitVersion(home: string, signal: AbortSignal): Promise<Finding[]> {
  const version = await checkGit({ home, searchPath: null }, signal);
  return [ok('git_version', `git ${version}`)];
}

async function dataFolderState(folder: string): Promise<Finding[]> {
  const found = await nearestFolder(folder);
  try {
    await access(found, constants.W_OK | constants.X_OK);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    return [fail('folder_not_writable', `${found} cannot be written by this user (${code})`)];
  }
  const { bavail, bsize } = await statfs(found);
  const free = bavail * bsize;
  const shown = `${(free / LOW_DISK_BYTES).toFixed(1)} GiB free`;
  const where = found === folder ? folder : `${folder} (to be made in ${found})`;
  if (free < FULL_DISK_BYTES) return [fail('disk_full', `${where}: ${shown}; make room`)];
  if (free < LOW_DISK_BYTES) return [warn('disk_low', `${where}: ${shown}; the mirrors and the journal grow`)];
  return [ok('writable', `${where}: ${shown}`)];
}

/** The folder, or the nearest one above it that is there; the service makes what is missing. */
async function nearestFolder(folder: string): Promise<string> {
  for (let at = folder; ; at = dirname(at)) {
    try {
      if ((await stat(at)).isDirectory()) return at;
      throw new CodedError('folder_not_writable', `${at} is a file; name another folder in storage.path`);
    } catch (error) {
      if (error instanceof CodedError || at === dirname(at)) throw error;
    }
  }
}

function repositoryChecks({ repositories }: ResolvedConfig, makers: Makers, scratch: string): Check[] {
  return Object.entries(repositories).map(([name, repository]) => ({
    name: `repository ${name}`,
    run: (signal) => {
      const { url, branch } = repository;
      const credential = makers.credentialOf(name, repository);
      return checkAccess({ url, branch, credential, ...makers.keysOf(repository), folder: join(scratch, name) }, signal);
    },
  }));
}

function forgeChecks({ repositories }: ResolvedConfig, makers: Makers): Check[] {
  return Object.entries(repositories)
    .filter(([, { forge }]) => forge !== 'none')
    .map(([name, repository]) => ({
      name: `forge of ${name}`,
      run: async (signal) => (await makers.forge(name, repository)).check(signal),
    }));
}

function sourceChecks({ sources }: ResolvedConfig, makers: Makers): Check[] {
  return Object.entries(sources).map(([name, config]) => ({
    name: `source ${name}`,
    async run(signal) {
      const source = await makers.source(name, config);
      try {
        return (
          (await source.check?.(signal)) ?? [warn('not_asked', `a source of type ${config.type} cannot be asked for nothing`)]
        );
      } finally {
        await source.close();
      }
    },
  }));
}

function deliveryChecks({ applications }: ResolvedConfig, makers: Makers): Check[] {
  return Object.entries(applications).map(([name, { delivery: config }]) => ({
    name: `delivery ${name}`,
    async run(signal) {
      const delivery = await makers.delivery(name, config);
      try {
        if (delivery.check !== undefined) return await delivery.check(signal);
        if (!delivery.can.observe) return [ok('nothing_to_ask', `type ${delivery.type} runs nothing that could be asked`)];
        const { phase, canary } = await delivery.observe(signal);
        return [ok('reachable', `answers: ${phase}, ${canary === null ? 'no canary' : `canary ${canary.slice(0, 12)}`}`)];
      } finally {
        await delivery.close?.();
      }
    },
  }));
}

/** Each host that answers HTTP says what time it is (RFC 9110, header Date); Git over ssh says nothing. */
function clockChecks(config: ResolvedConfig, http: HttpClient): Check[] {
  const addresses = [
    ...Object.values(config.sources).flatMap((source) =>
      source.type === 'scrape' ? source.targets.map(({ url }) => url) : [source.url],
    ),
    ...Object.values(config.repositories).map(({ url }) => url),
  ];
  const origins = new Set(addresses.filter((url) => /^https?:/.test(url) && URL.canParse(url)).map((url) => new URL(url).origin));
  return [...origins].map((origin) => ({
    name: `clock ${new URL(origin).host}`,
    async run(signal) {
      const began = Date.now();
      let date: string | string[] | undefined;
      try {
        const call = {
          method: 'GET',
          url: `${origin}/`,
          timeoutMs: CLOCK_TIMEOUT_MS,
          maxBodyBytes: MAX_CLOCK_BODY_BYTES,
        } as const;
        date = (await http.request(call, signal)).headers['date'];
      } catch (error) {
        return [warn('not_compared', `the clocks could not be compared: ${sentenceOf(error)}`)];
      }
      const theirs = Date.parse(typeof date === 'string' ? date : '');
      if (Number.isNaN(theirs)) return [warn('not_compared', 'the answer does not say what time it is')];
      const off = (began + Date.now()) / 2 - theirs;
      const shown = `${Math.abs(off / 1_000).toFixed(1)} s ${off > 0 ? 'ahead' : 'behind'}`;
      if (Math.abs(off) <= CLOCK_TOLERANCE_MS) return [ok('clock', 'the clocks agree')];
      return [
        warn('clock_skew', `the clock of this machine is ${shown}; synchronise both (NTP), or windows and signatures do not fit`),
      ];
    },
  }));
}
