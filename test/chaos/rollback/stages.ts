import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Rollback } from '../../../src/rollback/record.ts';
import { GITEA_TOKEN, giteaDialect } from '../../support/forges/gitea.ts';
import { Hub } from '../../support/forges/hub.ts';
import { startRedis } from '../../support/redis.ts';
import type { client } from '../../support/running-service.ts';
import { serviceWorld, type ServiceWorld } from '../../support/service-world.ts';
import type { Keys } from './keys.ts';
import type { Cell, Mode } from './matrix.ts';

export type Api = ReturnType<typeof client>;

/** What is around the service in one play, and what people do there. */
export interface Stage {
  world: ServiceWorld;
  hub: Hub;
  /** Causes the rollback, once. */
  begin(api: Api): Promise<void>;
  /** What a person does who looks at the rollback now and then. */
  attend(api: Api, rollback: Rollback): Promise<void>;
  /** Whether it is where it stays by itself. */
  isFinal(rollback: Rollback): boolean;
  /** What the file of the application says in the end, where the revert is. */
  content: string;
  close(): Promise<void>;
}

export const FILE = 'apps/shop/rollout.yaml';
const manifest = (version: string, weight = 10) => `version: ${version}\ncanary:\n  weight: ${weight}\n`;

interface Scene {
  mode?: string;
  more?: string;
  prepare?: (world: ServiceWorld) => Promise<void>;
  begin: (api: Api, world: ServiceWorld) => Promise<void>;
  content: string;
}

async function demand(api: Api, path: string, body: unknown): Promise<void> {
  const answer = await api.call('POST', path, body);
  if (answer.status >= 300) throw new Error(`POST ${path} was answered with ${answer.status}: ${JSON.stringify(answer.body)}`);
}

const asked = (api: Api, { bad }: ServiceWorld) =>
  demand(api, '/api/v1/rollbacks', { application: 'shop', revision: bad, reason: 'errors rose' });

const SCENES: Readonly<Record<Mode, Scene>> = {
  // Decided by the verdict of an analysis; the other three are asked for by a person.
  revert: {
    begin(api, { pages, bad }) {
      pages.set('canary', { errorShare: 0.3 });
      return demand(api, '/api/v1/analyses', { application: 'shop', revision: bad });
    },
    content: manifest('1.1.0'),
  },
  narrow: {
    more: `    plan: narrow\n    versionFields: [{ type: yaml, file: ${FILE}, path: version }]`,
    async prepare({ colleague }) {
      await colleague.commit('more canary', { [FILE]: manifest('1.2.0', 20) });
      await colleague.push();
    },
    begin: asked,
    content: manifest('1.1.0', 20),
  },
  restore: {
    more: '    onConflict: restore\n    lastGood: proved',
    async prepare({ colleague }) {
      // The same line, so that the guilty commit cannot be reverted alone; a person approves both.
      await colleague.commit('shop 1.2.1', { [FILE]: manifest('1.2.1') });
      await colleague.push();
    },
    async begin(api, world) {
      const mark = { standing: 'good', reason: 'it served for weeks' };
      await demand(api, `/api/v1/applications/shop/ledger/${world.good}/mark`, mark);
      await asked(api, world);
    },
    content: manifest('1.1.0'),
  },
  propose: { mode: 'propose', begin: asked, content: manifest('1.1.0') },
};

export async function setStage({ mode, signing, storage }: Cell, keys: Keys): Promise<Stage> {
  const scene = SCENES[mode];
  // A bad release fails as soon as there is evidence, however busy the machine is.
  const world = await serviceWorld({ for: '20s', mode: scene.mode ?? 'rollback', more: scene.more ?? '' });
  const hub = new Hub();
  const ends = [() => world.close(), () => hub.close()];
  const close = async () => {
    for (const end of ends) await end();
  };
  try {
    let repository = `tokenFile: ./token${keys.configured(signing)}`;
    if (mode === 'propose') {
      await hub.listen((request, of) => {
        // The hub knows no Git: a branch that a proposal is asked for was pushed.
        const branch = request.body['head'];
        if (typeof branch === 'string') of.push(branch);
        return giteaDialect(request, of);
      });
      await writeFile(join(world.folder, 'forge-token'), GITEA_TOKEN);
      repository += `, forge: { type: gitea, url: ${hub.url}/api/v1, project: acme/deploy, tokenFile: ./forge-token }`;
    }
    let text = (await readFile(world.config, 'utf8')).replace('tokenFile: ./token }', `${repository} }`);
    if (storage === 'redis') {
      const redis = await startRedis({ appendfsync: 'always', 'maxmemory-policy': 'noeviction' });
      ends.push(() => redis.stop());
      text = text.replace('kind: embedded, path: ./data', `kind: redis, url: ${redis.url}, prefix: kills, path: ./data`);
    }
    await writeFile(world.config, text);
    await scene.prepare?.(world);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    world,
    hub,
    content: scene.content,
    begin: (api) => scene.begin(api, world),
    async attend(api, { id, state, plan }) {
      if (mode === 'restore' && state === 'held') await api.call('POST', `/api/v1/rollbacks/${id}/approve`, { plan: plan?.hash });
    },
    isFinal: ({ state, proposal }) =>
      mode === 'propose' ? state === 'proposed' && proposal !== null : state === 'recovered' || state === 'not_recovered',
    close,
  };
}
