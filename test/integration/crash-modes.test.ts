import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, it } from 'vitest';
import { EXECUTOR_POINTS } from '../../src/rollback/context.ts';
import type { Rollback } from '../../src/rollback/record.ts';
import { GITEA_TOKEN, giteaDialect } from '../support/forges/gitea.ts';
import { Hub } from '../support/forges/hub.ts';
import { client } from '../support/running-service.ts';
import { serve, type ServiceProcess } from '../support/service-process.ts';
import { serviceWorld, type ServiceWorld } from '../support/service-world.ts';

const run = promisify(execFile);
const TEST_TIMEOUT_MS = 90_000;
const FILE = 'apps/shop/rollout.yaml';
const manifest = (version: string) => `version: ${version}\ncanary:\n  weight: 10\n`;
const NARROW = `    plan: narrow\n    versionFields: [{ type: yaml, file: ${FILE}, path: version }]`;
const isOfProposal = (point: string) => point.startsWith('proposal-');
/** Passed by a rollback that a person asks for and that pushes to the branch. */
const PUSHED = EXECUTOR_POINTS.filter((point) => !isOfProposal(point));
const PROPOSED = EXECUTOR_POINTS.filter((point) => /^(plan|push|proposal)-/.test(point));
const ENDED = ['recovered', 'not_recovered'];

async function changed(world: ServiceWorld, change: (config: string) => string): Promise<void> {
  await writeFile(world.config, change(await readFile(world.config, 'utf8')));
}

/** Asks for the rollback, lets the process die at the point, starts another one, and waits for the end. */
async function killedAt(world: ServiceWorld, point: string, revision: string, ends: readonly string[]): Promise<Rollback> {
  const ask = async (service: ServiceProcess) => {
    const { call, until } = client(service.address);
    const request = { application: 'shop', revision, reason: 'errors rose' };
    try {
      const { body } = await call<Rollback>('POST', '/api/v1/rollbacks', request);
      const path = `/api/v1/rollbacks/${body.id}`;
      const { state, plan } = await until<Rollback>(path, (rollback) => rollback.state !== 'planned');
      if (state === 'held') await call('POST', `${path}/approve`, { plan: plan?.hash });
    } catch {
      // The answer is lost with the process that died; asking again is the same rollback.
    }
  };
  let service = await serve(world.config, { DAVYLAMP_CRASH_AT: point });
  try {
    await ask(service);
    const { signal } = await service.ended();
    if (signal !== 'SIGKILL') throw new Error(`${point} was not reached`);
    service = await serve(world.config);
    await ask(service);
    const rollback = await client(service.address).rollback(...ends);
    const own = (await world.commits(ends.includes('proposed') ? `davylamp/${rollback.id}` : 'main')).filter(
      (commit) => commit.rollback === rollback.id,
    );
    if (own.length !== 1 || own[0]?.sha !== rollback.revertCommit) throw new Error(JSON.stringify({ own, rollback }));
    return rollback;
  } finally {
    await service.stop();
  }
}

describe.concurrent('a process that is killed (kill -9) in another mode', () => {
  it.each(PUSHED)(
    'at %s ends with one commit that sets the version back and nothing else',
    async (point) => {
      const world = await serviceWorld({ more: NARROW });
      try {
        await world.colleague.commit('more canary', { [FILE]: manifest('1.2.0').replace('10', '20') });
        await world.colleague.push();
        await killedAt(world, point, world.bad, ENDED);
        const content = `${await world.fileOnRemote(FILE)}\n`;
        if (content !== manifest('1.1.0').replace('10', '20')) throw new Error(content);
      } finally {
        await world.close();
      }
    },
    TEST_TIMEOUT_MS,
  );

  it.each(PUSHED)(
    'at %s ends with one signed commit that restores the last good state',
    async (point) => {
      const world = await serviceWorld({ more: '    onConflict: restore\n    lastGood: proved' });
      try {
        const key = join(world.folder, 'signing-key');
        await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
        await changed(world, (config) =>
          config.replace('tokenFile: ./token }', 'tokenFile: ./token, signing: { type: ssh, keyFile: ./signing-key } }'),
        );
        // A later commit changed the same line, so that the guilty one cannot be reverted alone; a person approves both.
        await world.colleague.commit('shop 1.2.1', { [FILE]: manifest('1.2.1') });
        await world.colleague.push();
        const before = await serve(world.config);
        const mark = { standing: 'good', reason: 'it served for weeks' };
        await client(before.address).call('POST', `/api/v1/applications/shop/ledger/${world.good}/mark`, mark);
        await before.stop();
        const rollback = await killedAt(world, point, world.bad, ENDED);
        if (rollback.plan?.kind !== 'restore') throw new Error(`the plan is ${JSON.stringify(rollback.plan)}`);
        const content = `${await world.fileOnRemote(FILE)}\n`;
        if (content !== manifest('1.1.0')) throw new Error(content);
        const signature = await world.colleague.git(
          '--git-dir',
          world.git.repository,
          'cat-file',
          'commit',
          rollback.revertCommit ?? '',
        );
        if (!signature.includes('BEGIN SSH SIGNATURE')) throw new Error(signature);
      } finally {
        await world.close();
      }
    },
    TEST_TIMEOUT_MS,
  );

  it.each(PROPOSED)(
    'at %s ends with one branch and one pull request',
    async (point) => {
      const world = await serviceWorld({ mode: 'propose' });
      const hub = new Hub();
      try {
        await hub.listen((request, of) => {
          // The hub knows no Git: a branch that a proposal is asked for was pushed.
          const branch = request.body['head'];
          if (typeof branch === 'string') of.push(branch);
          return giteaDialect(request, of);
        });
        await writeFile(join(world.folder, 'forge-token'), GITEA_TOKEN);
        const forge = `forge: { type: gitea, url: ${hub.url}/api/v1, project: acme/deploy, tokenFile: ./forge-token }`;
        await changed(world, (config) => config.replace('tokenFile: ./token }', `tokenFile: ./token, ${forge} }`));
        await killedAt(world, point, world.bad, ['proposed']);
        const opened = async () => hub.proposals.filter(({ state }) => state === 'open').length;
        const service = await serve(world.config);
        await client(service.address).until<{ items: Rollback[] }>(
          '/api/v1/rollbacks',
          ({ items }) => (items[0]?.proposal ?? null) !== null,
        );
        await service.stop();
        if ((await opened()) !== 1) throw new Error(`${await opened()} proposals are open`);
      } finally {
        await hub.close();
        await world.close();
      }
    },
    TEST_TIMEOUT_MS,
  );
});
