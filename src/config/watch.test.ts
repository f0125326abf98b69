import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { watchFiles } from './watch.ts';

const DEADLINE_MS = 10_000;
/** Longer than any test: only the notice of the file system can be what tells. */
const NEVER_LOOK = 600_000;

let folder = '';
let stop: (() => void) | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'davylamp-watch-'));
});
afterEach(async () => {
  stop?.();
  await rm(folder, { recursive: true });
});

/** Watches, and gives a promise of the next change each time that it is asked. */
async function watching(files: () => string[], times: { quietMs?: number; lookMs?: number } = {}) {
  let changes = 0;
  let tell: (() => void) | undefined;
  const errors: unknown[] = [];
  stop = await watchFiles({
    files,
    onChange: () => {
      changes += 1;
      tell?.();
    },
    onError: (error) => errors.push(error),
    times: { quietMs: 30, lookMs: NEVER_LOOK, ...times },
  });
  return {
    errors,
    count: () => changes,
    async changed(act: () => Promise<unknown>): Promise<void> {
      const told = new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error('no change was told')), DEADLINE_MS);
        tell = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      await act();
      await told;
    },
  };
}

describe('watched files', () => {
  it('tell when one is written in place, replaced, or goes', async () => {
    const file = join(folder, 'davylamp.yaml');
    await writeFile(file, 'one');
    const { changed, count } = await watching(() => [file]);
    await changed(() => writeFile(file, 'two and more'));
    await changed(async () => {
      await writeFile(join(folder, 'next'), 'three');
      await rename(join(folder, 'next'), file);
    });
    await changed(() => rm(file));
    expect(count()).toBe(3);
  });

  it('tell when Kubernetes turns the symlink ..data of a mounted folder to another one', async () => {
    for (const [version, text] of [
      ['..2026_01', 'one'],
      ['..2026_02', 'two'],
    ] as const) {
      await mkdir(join(folder, version));
      await writeFile(join(folder, version, 'davylamp.yaml'), text);
    }
    await symlink('..2026_01', join(folder, '..data'));
    await symlink(join('..data', 'davylamp.yaml'), join(folder, 'davylamp.yaml'));
    const { changed } = await watching(() => [join(folder, 'davylamp.yaml')]);
    await changed(async () => {
      await symlink('..2026_02', join(folder, '..data_tmp'));
      await rename(join(folder, '..data_tmp'), join(folder, '..data'));
    });
  });

  it('tell one change of many steps once, and nothing of other files', async () => {
    const file = join(folder, 'davylamp.yaml');
    await writeFile(file, 'one');
    const { changed, count } = await watching(() => [file], { quietMs: 200 });
    await writeFile(join(folder, 'other'), 'text');
    await changed(async () => {
      for (let step = 0; step < 20; step += 1) await writeFile(file, `step ${step} ${'x'.repeat(step)}`);
    });
    expect(count()).toBe(1);
  });

  it('are looked at now and then, where the folder says nothing or is not there yet', async () => {
    const file = join(folder, 'later', 'davylamp.yaml');
    const { changed, errors } = await watching(() => [file], { lookMs: 50 });
    expect(errors).toHaveLength(1);
    await changed(async () => {
      await mkdir(join(folder, 'later'));
      await writeFile(file, 'one');
    });
  });
});
