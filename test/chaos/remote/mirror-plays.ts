import { chmod, open, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PlayEntry } from './plays.ts';
import { must, onStage, type Stage } from './stage.ts';

const NOISE = Buffer.alloc(64, 0x5a);

async function mirrorOf({ world }: Stage): Promise<string> {
  const folder = join(world.folder, 'data', 'git', 'deploy');
  const name = (await readdir(folder)).find((entry) => entry.endsWith('.git'));
  if (name === undefined) throw new Error('there is no mirror');
  return join(folder, name);
}

async function files(folder: string, ending: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const found = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map(({ parentPath, name }) => join(parentPath, name));
  must(found.length > 0, `there is no ${ending} in ${folder}`);
  return found;
}

const packs = (mirror: string, ending: string) => files(join(mirror, 'objects', 'pack'), ending);

/** What a broken disk, a full one, or a hand in the wrong folder leaves behind. */
const DAMAGES: Readonly<Record<string, (mirror: string) => Promise<unknown>>> = {
  'packs cut in half': async (mirror) => {
    for (const file of await packs(mirror, '.pack')) {
      await chmod(file, 0o644);
      await truncate(file, Math.floor((await stat(file)).size / 2));
    }
  },
  'noise in the packs': async (mirror) => {
    for (const file of await packs(mirror, '.pack')) {
      const { size } = await stat(file);
      // Packs are read-only for everybody but the superuser.
      await chmod(file, 0o644);
      const handle = await open(file, 'r+');
      await handle.write(NOISE.subarray(0, Math.min(NOISE.length, Math.floor(size / 2))), 0, undefined, Math.floor(size / 3));
      await handle.close();
    }
  },
  'indexes of packs gone': async (mirror) => {
    for (const file of await packs(mirror, '.idx')) await rm(file);
  },
  'all objects gone': (mirror) => rm(join(mirror, 'objects'), { recursive: true }),
  'the ref of the branch empty': (mirror) => writeFile(join(mirror, 'refs', 'remotes', 'o', 'main'), ''),
  'noise in packed-refs': (mirror) => writeFile(join(mirror, 'packed-refs'), NOISE),
  'HEAD gone': (mirror) => rm(join(mirror, 'HEAD')),
  'noise in config': (mirror) => writeFile(join(mirror, 'config'), NOISE),
  'locks of a killed git': async (mirror) => {
    for (const lock of ['refs/remotes/o/main.lock', 'packed-refs.lock', 'shallow.lock']) await writeFile(join(mirror, lock), '');
  },
  'the whole mirror gone': (mirror) => rm(mirror, { recursive: true }),
};

export const MIRROR_PLAYS: readonly PlayEntry[] = [
  {
    name: 'the mirror is damaged while the service runs',
    perform: () =>
      onStage(async (stage) => {
        return each(async (damage) => {
          const sha = await stage.release();
          await stage.judge(sha);
          await damage(await mirrorOf(stage));
          return stage.takenOut(sha);
        });
      }),
  },
  {
    name: 'the mirror is damaged while the service is stopped',
    perform: () =>
      onStage(async (stage) => {
        return each(async (damage) => {
          const sha = await stage.release();
          await stage.stop();
          await damage(await mirrorOf(stage));
          await stage.start();
          await stage.judge(sha);
          return stage.takenOut(sha);
        });
      }),
  },
];

async function each(play: (damage: (mirror: string) => Promise<unknown>) => Promise<number>): Promise<string> {
  const seconds: string[] = [];
  for (const [name, damage] of Object.entries(DAMAGES)) {
    try {
      seconds.push(`${name} ${(await play(damage)).toFixed(1)} s`);
    } catch (error) {
      throw new Error(`${name}: ${error instanceof Error ? error.message : String(error)} (before it: ${seconds.join(', ')})`, {
        cause: error,
      });
    }
  }
  return `from the start of the analysis until it is on the remote: ${seconds.join(', ')}`;
}
