import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CodedError } from '../errors.ts';
import { serveWith, type BuildApp } from './serve.ts';

let folder = '';
let valid = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'davylamp-serve-'));
  valid = join(folder, 'valid.yaml');
  await writeFile(valid, 'server: { listen: 127.0.0.1:0 }\nrepositories: { r: { url: "git@h:x", tokenFile: t } }\n');
  await writeFile(join(folder, 'wrong.yaml'), 'servr: {}\nlog: { level: loud }\n');
});
afterAll(() => rm(folder, { recursive: true }));

/** A service that only notes what is done with it. */
function recording(
  changes: { start?: () => Promise<{ address: string }>; close?: () => Promise<void>; lost?: Promise<Error> } = {},
) {
  const events: string[] = [];
  const logged: { fields: object; message: string }[] = [];
  const log = (fields: object, message: string) => {
    logged.push({ fields, message });
    events.push(message);
  };
  const build: BuildApp = (_, { crashAt }) => {
    events.push(`built ${crashAt ?? 'without crash point'}`);
    return Promise.resolve({
      logger: { info: log, warn: log, error: log },
      lost: changes.lost ?? new Promise<Error>(() => undefined),
      start: changes.start ?? (() => Promise.resolve({ address: 'http://127.0.0.1:4711' })),
      reload: () => {
        events.push('reloaded');
        return Promise.resolve();
      },
      announceEnd: () => {
        events.push('announced');
        return Promise.resolve();
      },
      close:
        changes.close ??
        (() => {
          events.push('closed');
          return Promise.resolve();
        }),
    });
  };
  return { events, logged, build };
}

async function serve(
  build: BuildApp,
  options: { args?: string[]; environment?: Record<string, string>; deadlineMs?: number; signal?: string } = {},
) {
  const stop = new AbortController();
  const complaints: string[] = [];
  const { args = ['--config', valid], environment = {}, deadlineMs, signal = 'SIGTERM' } = options;
  const running = serveWith(build, deadlineMs)(args, {
    environment,
    write: () => undefined,
    complain: (text) => void complaints.push(text),
    stop: stop.signal,
    onHangup: (listener) => listener(),
  });
  stop.abort(signal);
  return { code: await running, complaints: complaints.join('') };
}

describe('davylamp serve', () => {
  it('says ready with the address, waits for the signal, and closes', async () => {
    const { events, logged, build } = recording();
    expect((await serve(build)).code).toBe(0);
    expect(events).toEqual([
      'built without crash point',
      'configuration warning',
      'reloaded',
      'ready',
      'stopping',
      'announced',
      'closed',
    ]);
    expect(logged.find(({ message }) => message === 'ready')?.fields).toMatchObject({ address: 'http://127.0.0.1:4711' });
    expect(logged.find(({ message }) => message === 'configuration warning')?.fields).toMatchObject({
      problem: { path: 'repositories.r.tokenFile' },
    });
  });

  it('closes at once when a person at the terminal stops it', async () => {
    const { events, build } = recording();
    await serve(build, { signal: 'SIGINT' });
    expect(events.slice(-2)).toEqual(['stopping', 'closed']);
  });

  it('takes the file and the crash point from the environment', async () => {
    const { events, build } = recording();
    await serve(build, { args: [], environment: { DAVYLAMP_CONFIG: valid, DAVYLAMP_CRASH_AT: 'git.pushed' } });
    expect(events[0]).toBe('built git.pushed');
  });

  it('ends with 2 and every problem on a line of its own when the configuration is wrong', async () => {
    const { events, build } = recording();
    const file = join(folder, 'wrong.yaml');
    const { code, complaints } = await serve(build, { args: ['--config', file] });
    expect(code).toBe(2);
    expect(complaints.split('\n')).toEqual([
      `${file}:1:1 servr: unknown key 'servr'; did you mean server?`,
      `${file}:2:15 log.level: expected one of debug, info, warn, error; got 'loud'`,
      'davylamp: 2 problems in the configuration',
      '',
    ]);
    expect(events).toEqual([]);
  });

  it('ends with 2 for an adapter that is not there yet, with 1 for anything else that keeps it from starting', async () => {
    const refused = await serve(() => Promise.reject(new CodedError('adapter_not_available', 'source prometheus comes later')));
    expect(refused).toEqual({ code: 2, complaints: 'davylamp: source prometheus comes later (adapter_not_available)\n' });
    const { events, build } = recording({
      start: () => Promise.reject(new CodedError('listen_failed', 'port 80 is taken; choose another')),
    });
    expect(await serve(build)).toEqual({ code: 1, complaints: 'davylamp: port 80 is taken; choose another (listen_failed)\n' });
    expect(events.at(-1)).toBe('closed');
  });

  it('ends with 1 when closing fails or does not end in time', async () => {
    const failing = recording({ close: () => Promise.reject(new Error('disk gone')) });
    expect((await serve(failing.build)).code).toBe(1);
    expect(failing.events.at(-1)).toBe('closing failed');
    const hanging = recording({ close: () => new Promise(() => undefined) });
    expect((await serve(hanging.build, { deadlineMs: 1 })).code).toBe(1);
    expect(hanging.events.at(-1)).toBe('not closed in time');
  });

  it('needs a configuration', async () => {
    await expect(serve(recording().build, { args: [] })).rejects.toMatchObject({ code: 'usage' });
  });

  it('ends with 1 when the storage is lost, so that a supervisor starts it anew', async () => {
    const { build, events } = recording({ lost: Promise.resolve(new CodedError('store_unavailable', 'the thread ended')) });
    const running = serveWith(build)(['--config', valid], {
      environment: {},
      write: () => undefined,
      complain: () => undefined,
      stop: new AbortController().signal,
      onHangup: () => undefined,
    });
    expect(await running).toBe(1);
    expect(events).toContain('closed');
  });
});
