import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Rollback } from '../../../src/rollback/record.ts';
import { client } from '../../support/running-service.ts';
import { serve, type ServiceProcess } from '../../support/service-process.ts';
import { serviceWorld, type ServiceWorld } from '../../support/service-world.ts';

/** From the moment at which the cause is gone until the revert is on the remote. */
export const GOAL_MS = 10_000;
/** So many tries in vain, after which the service waits as long as it ever does between two of them. */
const TRIES = 6;
const DEADLINE_MS = 60_000;
const POLL_MS = 20;
const FILE = 'apps/shop/rollout.yaml';
const MANY = 1_000;
const SHOWN_LINES = 5;

export function must(holds: boolean, sentence: string): void {
  if (!holds) throw new Error(sentence);
}

/** @returns how long it took, in milliseconds */
export async function until(what: string, holds: () => Promise<boolean>, deadlineMs = DEADLINE_MS): Promise<number> {
  const from = performance.now();
  while (!(await holds())) {
    must(performance.now() - from < deadlineMs, `${what}: not within ${deadlineMs / 1_000} s`);
    await sleep(POLL_MS);
  }
  return performance.now() - from;
}

/** What is done to the world before the service starts. @returns what takes it back */
type Prepare = (world: ServiceWorld) => Promise<() => Promise<void>>;

/** One service, as a process, with everything around it; releases follow each other. */
export class Stage {
  readonly world: ServiceWorld;
  #service: (ServiceProcess & { api: ReturnType<typeof client> }) | null = null;
  #releases = 0;

  #undo: () => Promise<void> = async () => undefined;

  private constructor(world: ServiceWorld) {
    this.world = world;
  }

  static async open(prepare: Prepare | undefined): Promise<Stage> {
    const world = await serviceWorld({ for: '30s', more: `    guards: { maxPerDay: ${MANY} }` });
    const config = (await readFile(world.config, 'utf8'))
      .replace('tokenFile: ./token }', `tokenFile: ./token, maxPerDay: ${MANY} }`)
      .concat(`rollbacks: { maxPerDay: ${MANY} }\n`);
    await writeFile(world.config, config);
    const stage = new Stage(world);
    try {
      if (prepare !== undefined) stage.#undo = await prepare(world);
      await stage.start();
    } catch (error) {
      await stage.close();
      throw error;
    }
    return stage;
  }

  get api(): ReturnType<typeof client> {
    if (this.#service === null) throw new Error('the service is stopped');
    return this.#service.api;
  }

  /** @param fetched whether its mirror is waited for */
  async start(fetched = true): Promise<void> {
    const service = await serve(this.world.config);
    this.#service = { ...service, api: client(service.address) };
    if (fetched) await service.logged(({ msg }) => msg === 'fetched the repository');
  }

  async stop(): Promise<void> {
    this.#service?.signal('SIGTERM');
    await this.#service?.ended();
    this.#service = null;
  }

  /** A bad release is pushed and runs as the canary. @returns its commit */
  async release(): Promise<string> {
    const { colleague, rollout, pages } = this.world;
    this.#releases += 1;
    await colleague.pull();
    const stable = await colleague.git('rev-parse', 'HEAD');
    const sha = await colleague.commit(`shop 2.${this.#releases}.0`, { [FILE]: `version: 2.${this.#releases}.0\n` });
    await colleague.push();
    pages.set('canary', { errorShare: 0.01 });
    Object.assign(rollout.state, { canary: sha, stable, synced: sha, phase: 'progressing' });
    return sha;
  }

  /** Its analysis begins, and will fail. */
  async judge(sha: string): Promise<void> {
    this.world.pages.set('canary', { errorShare: 0.3 });
    const { status } = await this.api.call('POST', '/api/v1/analyses', { application: 'shop', revision: sha });
    must(status === 202, `the analysis was answered with ${status}`);
  }

  async rollbackOf(sha: string): Promise<Rollback | undefined> {
    const { body } = await this.api.call<{ items?: Rollback[] }>('GET', '/api/v1/rollbacks?limit=100');
    return body.items?.find(({ badCommit }) => badCommit === sha);
  }

  /** Waits until it was tried in vain so often that the tries are as far apart as they get. */
  async triedInVain(sha: string, code: string): Promise<string> {
    const problem = async () => (await this.rollbackOf(sha))?.problem ?? null;
    await until(`${code} is told`, async () => (await problem())?.code === code && ((await problem())?.attempts ?? 0) >= TRIES);
    return `${code}, ${(await problem())?.attempts} tries`;
  }

  async isTakenOut(sha: string): Promise<boolean> {
    const text = await this.world.colleague.git('--git-dir', this.world.git.repository, 'log', '--format=%B', 'main', '--');
    const times = text.split('\n').filter((line) => line === `Reverts: ${sha}`).length;
    must(times <= 1, `${times} reverts of one commit`);
    return times === 1;
  }

  /** Waits for the revert and for the end of the rollback. @returns seconds until the revert was on the remote */
  async takenOut(sha: string): Promise<number> {
    const took = await until('the revert is on the remote', () => this.isTakenOut(sha)).catch(async (error: unknown) => {
      const { state, code, problem } = (await this.rollbackOf(sha)) ?? {};
      throw new Error(`${String(error)}; ${JSON.stringify({ state, code, problem })}; ${this.#tail()}`);
    });
    must(took < GOAL_MS, `it took ${(took / 1_000).toFixed(1)} s`);
    await until('it recovers', async () => (await this.rollbackOf(sha))?.state === 'recovered');
    must(await this.isTakenOut(sha), 'the revert is gone');
    return took / 1_000;
  }

  /** What the service said last. */
  #tail(): string {
    const lines = this.#service?.log.filter(({ level }) => level !== 'info').slice(-SHOWN_LINES) ?? [];
    return lines.map((line) => JSON.stringify(line)).join('\n');
  }

  async close(): Promise<void> {
    await this.#service?.stop();
    await this.#undo();
    await this.world.close();
  }
}

/** Plays on a stage of its own. */
export async function onStage(play: (stage: Stage) => Promise<string>, prepare?: Prepare): Promise<string> {
  const stage = await Stage.open(prepare);
  try {
    return await play(stage);
  } finally {
    await stage.close();
  }
}
