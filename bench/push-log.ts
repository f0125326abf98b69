import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { git } from './git-history.ts';

const NS_IN_US = 1_000n;

/** Has a bare repository write down when its branch moved, and reads from that when each commit arrived. */
export async function pushLog(repository: string) {
  const file = join(repository, 'pushes.log');
  const script = '#!/bin/sh\nwhile read -r old new ref; do echo "$(date +%s%N) $old $new $ref" >> pushes.log; done\n';
  await writeFile(join(repository, 'hooks', 'post-receive'), script, { mode: 0o755 });
  await writeFile(file, '');
  const moves = async () =>
    (await readFile(file, 'utf8'))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [at = '0', old = '', head = ''] = line.split(' ');
        return { at: Number(BigInt(at) / NS_IN_US) / 1_000, old, head };
      });
  return {
    /** How many pushes moved a branch. */
    count: async () => (await moves()).length,
    /** When each commit that was pushed since `from` pushes was there, in milliseconds since the epoch. */
    async arrivals(from = 0): Promise<Map<string, number>> {
      const found = new Map<string, number>();
      for (const { at, old, head } of (await moves()).slice(from)) {
        const range = /^0+$/.test(old) ? head : `${old}..${head}`;
        for (const sha of (await git(repository, ['rev-list', range])).split('\n')) found.set(sha, at);
      }
      return found;
    },
  };
}
