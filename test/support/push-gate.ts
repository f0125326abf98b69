import { access, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const POLL_MS = 10;
const ARRIVAL_MS = 60_000;

/** Where a push can be held: before it counts, or on the branch while the one who pushes was not answered yet. */
export type PushMoment = 'update' | 'post-receive';

/**
 * Hooks in a bare repository on disk that hold a push at a moment, so that something can happen to the one who pushes.
 * The hooks stay; they let every push through that nobody wants to hold.
 */
export async function pushGate(repository: string) {
  const isThere = (file: string) =>
    access(join(repository, file)).then(
      () => true,
      () => false,
    );
  for (const moment of ['update', 'post-receive'] as const) {
    const script = `#!/bin/sh
[ -f hold-${moment} ] || exit 0
: > held-${moment}
while [ -f hold-${moment} ]; do sleep 0.02; done
exit 0
`;
    await writeFile(join(repository, 'hooks', moment), script, { mode: 0o755 });
  }
  return {
    /** From now on; `arrived` resolves when a push stands there. */
    async hold(moment: PushMoment) {
      await rm(join(repository, `held-${moment}`), { force: true });
      await writeFile(join(repository, `hold-${moment}`), '');
      return {
        async arrived(): Promise<void> {
          const end = performance.now() + ARRIVAL_MS;
          while (!(await isThere(`held-${moment}`))) {
            if (performance.now() > end) throw new Error(`no push came to ${moment} within ${ARRIVAL_MS / 1_000} s`);
            await pause(POLL_MS);
          }
        },
        release: () => rm(join(repository, `hold-${moment}`), { force: true }),
      };
    },
  };
}
