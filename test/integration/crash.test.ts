import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, it } from 'vitest';
import type { Analysis } from '../../src/analysis/record.ts';
import { CRASH_POINTS } from '../../src/crash-points.ts';
import { client } from '../support/running-service.ts';
import { serviceWorld } from '../support/service-world.ts';

const MAIN = fileURLToPath(new URL('../../dist/src/main.js', import.meta.url));
const TEST_TIMEOUT_MS = 60_000;

interface Process {
  child: ChildProcess;
  address: string;
}

/** The service as a process of its own, which can be killed. */
async function serve(config: string, crashAt?: string): Promise<Process> {
  const environment = { PATH: process.env['PATH'] ?? '', ...(crashAt === undefined ? {} : { DAVYLAMP_CRASH_AT: crashAt }) };
  const child = spawn(process.execPath, [MAIN, 'serve', '--config', config], {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const entry = JSON.parse(line) as { msg: string; address?: string };
    if (entry.msg === 'ready' && entry.address !== undefined) {
      child.stdout.resume();
      return { child, address: entry.address };
    }
  }
  throw new Error('the service ended before it was ready');
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

describe.concurrent('a process that is killed (kill -9)', () => {
  // Those of a proposal are passed in mode propose only.
  it.each(CRASH_POINTS.filter((point) => !point.startsWith('proposal-')))(
    'at %s is followed by one that ends the same way: one revert, recovered',
    async (point) => {
      const world = await serviceWorld({ for: '20s' });
      let running: Process | undefined;
      try {
        world.pages.set('canary', { errorShare: 0.3 });
        running = await serve(world.config, point);
        const { call } = client(running.address);
        await call<Analysis>('POST', '/api/v1/analyses', { application: 'shop', revision: world.bad });
        await ended(running.child);
        if (running.child.signalCode !== 'SIGKILL') throw new Error(`${point} was not reached`);

        running = await serve(world.config);
        const rollback = await client(running.address).rollback('recovered');
        const reverts = (await world.commits()).filter((commit) => commit.rollback !== '');
        const content = await world.fileOnRemote('apps/shop/rollout.yaml');
        if (reverts.length !== 1 || reverts[0]?.sha !== rollback.revertCommit || !content.includes('1.1.0')) {
          throw new Error(`after ${point}: ${JSON.stringify({ reverts, rollback })}`);
        }
      } finally {
        running?.child.kill('SIGTERM');
        if (running !== undefined) await ended(running.child);
        await world.close();
      }
    },
    TEST_TIMEOUT_MS,
  );
});
