import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { pushGate } from '../../support/push-gate.ts';
import { startRedis, type RedisConfig, type RedisServer } from '../../support/redis.ts';
import { client } from '../../support/running-service.ts';
import { serve, type ServiceProcess } from '../../support/service-process.ts';
import { serviceWorld, type ServiceWorld } from '../../support/service-world.ts';

/** A whole davylamp process and its API. */
export type Service = ServiceProcess & { api: ReturnType<typeof client> };

/** Whole services on one Redis, with a remote whose pushes can be held, metrics pages and a rollout. */
export interface ServiceStage {
  world: ServiceWorld;
  gate: Awaited<ReturnType<typeof pushGate>>;
  server: RedisServer;
  /** A connection of the play itself. */
  admin: Redis;
  services: readonly [Service, ...Service[]];
  /** The reverts on the branch of the remote. */
  reverts: () => Promise<{ sha: string; rollback: string }[]>;
}

export async function onServices(
  settings: { processes: number; redis?: RedisConfig; for?: string; more?: string },
  play: (stage: ServiceStage) => Promise<string>,
): Promise<string> {
  const server = await startRedis(settings.redis);
  const admin = new Redis(server.url);
  // It is away whenever Redis is.
  admin.on('error', () => undefined);
  const world = await serviceWorld(settings);
  const services: Service[] = [];
  try {
    const text = await readFile(world.config, 'utf8');
    for (let n = 1; n <= settings.processes; n += 1) {
      const file = join(world.folder, `process-${n}.yaml`);
      const storage = `kind: redis, url: ${server.url}, prefix: chaos, acceptNotDurable: true, path: ./process-${n}`;
      await writeFile(file, text.replace('kind: embedded, path: ./data', storage));
      const process = await serve(file);
      services.push({ ...process, api: client(process.address) });
    }
    const [first, ...others] = services;
    if (first === undefined) throw new Error('a play needs a process');
    const gate = await pushGate(world.git.repository);
    const reverts = async () => (await world.commits()).filter(({ rollback }) => rollback !== '');
    return await play({ world, gate, server, admin, services: [first, ...others], reverts });
  } finally {
    await Promise.all(services.map((service) => service.stop()));
    admin.disconnect();
    await server.stop();
    await world.close();
  }
}
