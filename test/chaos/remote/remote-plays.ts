import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GIT_TOKEN } from '../../support/service-world.ts';
import type { PlayEntry } from './plays.ts';
import { onStage, type Stage } from './stage.ts';

/** A cause that comes before the verdict, is there until the tries are far apart, and goes. */
function cause(
  name: string,
  about: { code: string; begin: (stage: Stage) => Promise<void>; end: (stage: Stage) => Promise<void> },
): PlayEntry {
  return {
    name,
    perform: () =>
      onStage(async (stage) => {
        const sha = await stage.release();
        await about.begin(stage);
        await stage.judge(sha);
        const seen = await stage.triedInVain(sha, about.code);
        await about.end(stage);
        return `${seen}; on the remote ${(await stage.takenOut(sha)).toFixed(1)} s after it`;
      }),
  };
}

const fault = (stage: Stage, kind: Parameters<Stage['world']['git']['fault']>[0]) => stage.world.git.fault(kind);
const token = (stage: Stage, text: string) => writeFile(join(stage.world.folder, 'token'), text);

export const REMOTE_PLAYS: readonly PlayEntry[] = [
  cause('the remote is down', {
    code: 'git_unreachable',
    begin: ({ world }) => world.git.down(),
    end: ({ world }) => world.git.up(),
  }),
  {
    name: 'the remote is down when the service starts with nothing',
    perform: () =>
      onStage(async (stage) => {
        const { world } = stage;
        const sha = await stage.release();
        await stage.stop();
        await rm(join(world.folder, 'data'), { recursive: true });
        await world.git.down();
        await stage.start(false);
        await stage.judge(sha);
        const seen = await stage.triedInVain(sha, 'git_unreachable');
        await world.git.up();
        return `${seen}; on the remote ${(await stage.takenOut(sha)).toFixed(1)} s after it`;
      }),
  },
  cause('the remote answers 503', {
    code: 'git_unreachable',
    begin: async (stage) => fault(stage, 'unavailable'),
    end: async (stage) => fault(stage, null),
  }),
  cause('the credential has expired, and a new one comes', {
    code: 'git_auth_failed',
    begin: (stage) => token(stage, 'a token that has expired'),
    end: (stage) => token(stage, GIT_TOKEN),
  }),
  cause('the credential may read and not write', {
    code: 'git_auth_failed',
    begin: async (stage) => fault(stage, 'read_only'),
    end: async (stage) => fault(stage, null),
  }),
];
