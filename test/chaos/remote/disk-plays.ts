import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Skipped, type PlayEntry } from './plays.ts';
import { must, onStage, type Stage } from './stage.ts';

const run = promisify(execFile);
const SIZE = '24m';
const BLOCK = Buffer.alloc(64 * 1024);
const SMALL = Buffer.alloc(512);
const FULL_FOR_MS = 10_000;
const INSIDE = 'DAVYLAMP_CHAOS_INSIDE';
const PLAY_MS = 150_000;

/** Fills what is left; again and again, as what is deleted elsewhere makes room. */
class Filler {
  readonly #file: string;
  #isOn = true;
  readonly #work: Promise<void>;

  /** Resolves when nothing is left for the first time. */
  readonly full: Promise<void>;

  constructor(folder: string) {
    this.#file = join(folder, 'filler');
    let isFull: () => void = () => undefined;
    this.full = new Promise((resolve) => {
      isFull = resolve;
    });
    this.#work = this.#fill(isFull);
  }

  async #fill(isFull: () => void): Promise<void> {
    while (this.#isOn) {
      const handle = await open(this.#file, 'a');
      try {
        for (const block of [BLOCK, SMALL]) while (this.#isOn && (await isWritten(handle, block)));
      } finally {
        await handle.close();
      }
      isFull();
      await sleep(20);
    }
  }

  /** Makes room. */
  async empty(): Promise<void> {
    this.#isOn = false;
    await this.#work;
    await rm(this.#file);
  }
}

async function isWritten(handle: Awaited<ReturnType<typeof open>>, block: Buffer): Promise<boolean> {
  try {
    return (await handle.write(block)).bytesWritten === block.length;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
    throw error;
  }
}

async function mounted(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await run('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'tmpfs', folder]);
}

/** Mounting needs rights: those of this process, else those of a name space of its own (unshare(1)), else it is skipped. */
async function whereMountIsAllowed(name: string, play: () => Promise<string>): Promise<string> {
  const place = await mkdtemp(join(tmpdir(), 'davylamp-mount-'));
  try {
    await mounted(place);
  } catch (error) {
    if (process.env[INSIDE] !== undefined) throw new Skipped(`tmpfs cannot be mounted: ${String(error)}`);
    return inNameSpace(name);
  } finally {
    await run('umount', [place]).catch(() => undefined);
    await rm(place, { recursive: true, force: true });
  }
  return play();
}

async function inNameSpace(name: string): Promise<string> {
  try {
    await run('unshare', ['--user', '--map-root-user', '--mount', 'true']);
  } catch (error) {
    throw new Skipped(`a small disk cannot be made here, neither by mount nor by unshare: ${String(error).split('\n')[0] ?? ''}`);
  }
  const faults = fileURLToPath(new URL('faults.js', import.meta.url));
  const args = ['--user', '--map-root-user', '--mount', process.execPath, faults, name];
  const { stdout } = await run('unshare', args, { env: { ...process.env, [INSIDE]: '1' }, timeout: PLAY_MS });
  const [line = ''] = stdout.split('\n');
  if (!line.startsWith('passed')) throw new Skipped(line);
  return line.slice(line.indexOf(': ') + 2);
}

/** @param play what happens until there is room; says what was seen */
function full(
  name: string,
  of: readonly string[],
  play: (stage: Stage, sha: string, fill: () => Filler) => Promise<string>,
): PlayEntry {
  return {
    name,
    perform: () =>
      whereMountIsAllowed(name, async () => {
        let disk = '';
        const fillers: Filler[] = [];
        return onStage(
          async (stage) => {
            const sha = await stage.release();
            const fill = () => {
              const filler = new Filler(disk);
              fillers.push(filler);
              return filler;
            };
            let seen: string;
            try {
              seen = await play(stage, sha, fill);
            } finally {
              for (const filler of fillers) await filler.empty();
            }
            return `${seen}; on the remote ${(await stage.takenOut(sha)).toFixed(1)} s after there was room`;
          },
          async ({ folder }) => {
            disk = join(folder, ...of);
            await mounted(disk);
            return async () => void (await run('umount', ['-l', disk]));
          },
        );
      }),
  };
}

export const DISK_PLAYS: readonly PlayEntry[] = [
  full('the disk of the mirror is full (tmpfs)', ['data', 'git'], async (stage, sha, fill) => {
    await fill().full;
    await stage.judge(sha);
    return stage.triedInVain(sha, 'git_disk_full');
  }),
  full('the disk of mirror and store is full (tmpfs)', ['data'], async (stage, sha, fill) => {
    // Decided while the remote was away; what is not measured in time leads to no rollback.
    await stage.world.git.down();
    await stage.judge(sha);
    const seen = await stage.triedInVain(sha, 'git_unreachable');
    await fill().full;
    await stage.world.git.up();
    await sleep(FULL_FOR_MS);
    must(!(await stage.isTakenOut(sha)), 'it was pushed without having been stored before');
    return `${seen}, then full for ${FULL_FOR_MS / 1_000} s`;
  }),
];
