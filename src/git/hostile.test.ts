import { execFileSync } from 'node:child_process';
import { setMaxListeners } from 'node:events';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOSTILE, MARK } from '../../test/git/hostile-strings.ts';
import { gitWorld, TOKEN, type GitWorld } from '../../test/git/world.ts';
import { CodedError } from '../errors.ts';
import { filePath } from './names.ts';
import type { Repository, WriteOrder } from './port.ts';

const signal = new AbortController().signal;
setMaxListeners(0, signal);

function isPath(text: string): boolean {
  try {
    return filePath(text) === text;
  } catch {
    // Refused, which is tested by the caller.
    return false;
  }
}

describe(`${HOSTILE.length} hostile strings as ref, branch, path, message and id`, () => {
  let world: GitWorld;
  let repository: Repository;
  let sha: string;
  let traces: string;
  const errors: unknown[] = [];
  beforeAll(async () => {
    world = await gitWorld();
    const bin = join(world.folder, 'bin');
    traces = join(world.folder, 'traces');
    await mkdir(bin);
    await mkdir(traces);
    const real = execFileSync('which', ['git'], { encoding: 'utf8' }).trim();
    // git writes down each process that it starts (api-trace2), and itself, with all arguments.
    await writeFile(join(bin, 'git'), `#!/bin/sh\nGIT_TRACE2_EVENT='${traces}' exec '${real}' "$@"\n`);
    await chmod(join(bin, 'git'), 0o755);
    repository = world.another({ searchPath: `${bin}:${process.env['PATH'] ?? ''}` });
    await world.commit('first', { 'app/a': '1\n' });
    sha = await world.commit('second', { 'app/a': '2\n' });
    await repository.refresh(signal);
  });
  afterAll(() => world.close());

  const order = (changes: Partial<WriteOrder> = {}): WriteOrder => {
    return { message: 'm\n', at: 1_700_000_000_000, paths: ['app'], ...changes };
  };

  /** Settles; a refusal has to be one of ours. */
  async function settled<Result>(promise: Promise<Result>): Promise<Result | null> {
    try {
      return await promise;
    } catch (error) {
      errors.push(error);
      expect(error).toBeInstanceOf(CodedError);
      expect((error as CodedError).code).toMatch(/^(git_argument_refused|git_edit_refused|commit_unknown)$/);
      return null;
    }
  }

  it('has enough of them', () => {
    expect(HOSTILE.length).toBeGreaterThanOrEqual(500);
  });

  it('are no commits, and no rollbacks of ours', { timeout: 180_000 }, async () => {
    for (const text of HOSTILE) {
      expect(await settled(repository.commit(text, signal))).toBeNull();
      expect(await settled(repository.push(text, null, signal))).toBeNull();
      expect(await settled(repository.restore({ ...order(), good: text }, signal))).toBeNull();
      expect(await settled(repository.edit(order({ onto: text }), signal))).toBeNull();
      const own = await settled(repository.ownCommits(sha, text, signal));
      expect(own ?? []).toEqual([]);
    }
  });

  it('are no branches, or branches of exactly that name', { timeout: 180_000 }, async () => {
    const pushed: string[] = [];
    for (const text of HOSTILE) if ((await settled(repository.push(sha, text, signal))) !== null) pushed.push(text);
    const refs = await world.colleague.git('ls-remote', '--heads', 'origin');
    const names = refs.split('\n').map((line) => line.split('\trefs/heads/')[1]);
    for (const name of pushed) expect(names).toContain(name.replace(/^refs\/heads\//, ''));
    expect(names).toHaveLength(1 + new Set(pushed.map((name) => name.replace(/^refs\/heads\//, ''))).size);
    expect(await world.remoteHead()).toBe(sha);
  });

  it('are the whole message of a commit, byte for byte, or none', { timeout: 180_000 }, async () => {
    let last = sha;
    const sent: string[] = [];
    for (const [index, text] of HOSTILE.entries()) {
      const edits = [{ path: 'app/b', content: `${index}\n` }];
      const result = await settled(repository.edit(order({ message: `x ${text}`, edits, onto: last }), signal));
      expect(result === null).toBe(text.includes('\0'));
      if (result?.kind !== 'commit') continue;
      expect(result.changed).toEqual(['app/b']);
      last = result.commit;
      sent.push(`x ${text}`.trimEnd());
    }
    const made = await repository.commitsTouching({ from: sha, to: last, paths: ['app'], limit: 1_000 }, signal);
    expect(made.map(({ message }) => message).toReversed()).toEqual(sent);
  });

  it('are paths of exactly that name, or none', { timeout: 180_000 }, async () => {
    const refused = HOSTILE.filter((text) => !isPath(text));
    for (const path of refused) {
      expect(await settled(repository.edit(order({ edits: [{ path, content: 'x\n' }], paths: [path] }), signal))).toBeNull();
    }
    const paths = HOSTILE.filter(isPath);
    expect(paths.length).toBeGreaterThan(200);
    const inside = new Set(paths.filter((path) => !paths.some((other) => path.startsWith(`${other}/`))));
    const edits = [...inside].map((path) => ({ path, content: `${path}\n` }));
    const result = await repository.edit(order({ edits, paths: [...inside] }), signal);
    if (result.kind !== 'commit') throw new Error(result.kind);
    expect(new Set(result.changed)).toEqual(inside);
    expect(new Set(await repository.filesAt(result.commit, [...inside], 1_000, signal))).toEqual(inside);
    for (const path of [...inside].slice(0, 40)) {
      expect(await repository.readFile(result.commit, path, signal)).toBe(`${path}\n`);
    }

    for (const texts of [...refused.map((text) => [text]), paths]) {
      expect((await settled(repository.filesAt(sha, texts, 10, signal))) ?? []).toEqual([]);
    }
    expect(await repository.commitsTouching({ from: null, to: sha, paths, limit: 1 }, signal)).toEqual([]);
    expect(await repository.restore({ ...order({ paths }), good: sha }, signal)).toMatchObject({ kind: 'nothing_to_revert' });
    const reverted = await repository.revert({ ...order({ paths, keep: HOSTILE }), badCommit: sha }, signal);
    expect(reverted).toMatchObject({ kind: 'outside_paths', paths: ['app/a'] });
  });

  it('started no process but git, made no file outside of the mirror, and showed no credential', async () => {
    const files = await readdir(traces);
    expect(files.length).toBeGreaterThan(1_000);
    const programs = new Set<string>();
    let text = '';
    for (const file of files) {
      const trace = await readFile(join(traces, file), 'utf8');
      text += trace;
      for (const line of trace.split('\n')) {
        const { event, argv } = (line === '' ? {} : JSON.parse(line)) as { event?: string; argv?: string[] };
        if (event === 'child_start' || event === 'exec' || event === 'start')
          programs.add(String(argv?.[0]).split('/').at(-1) ?? '');
      }
    }
    const expected = [
      'git',
      'git-remote-http',
      'fetch-pack',
      'index-pack',
      'maintenance',
      'pack-objects',
      'rev-list',
      'send-pack',
      'unpack-objects',
    ];
    expect([...programs].filter((program) => !expected.includes(program))).toEqual([]);

    for (const folder of [world.folder, tmpdir(), process.cwd(), '/']) {
      expect((await readdir(folder)).filter((name) => name.includes(MARK))).toEqual([]);
    }
    const mirror = join(world.folder, 'mirror-1');
    expect((await readdir(mirror, { recursive: true })).filter((name) => name.includes(MARK))).toEqual([]);
    expect(await readdir(join(mirror, 'home'))).toEqual([]);

    const said = errors.map((error) => `${String(error)} ${JSON.stringify(error)} ${String((error as Error).stack)}`).join('\n');
    const everything = [text, said, world.logged.join('\n')].join('\n');
    for (const secret of [TOKEN, encodeURIComponent(TOKEN), Buffer.from(`davylamp:${TOKEN}`).toString('base64')]) {
      expect(everything.includes(secret)).toBe(false);
    }
  });
});
