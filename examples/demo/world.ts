import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DavylampClient } from './davylamp-client.ts';
import { demoConfig } from './davylamp-config.ts';
import { DavylampProcess } from './davylamp-process.ts';
import { DeploymentRepository } from './deployment-repository.ts';
import { freePort } from './free-port.ts';
import type { Remote } from './git-command.ts';
import { startGitServer, type GitServer } from './git-server.ts';
import type { LoopEvent } from './gitops-loop.ts';
import type { Sabotage } from './options.ts';
import { startPart, type Part, type PartEvent } from './parts.ts';
import { forgetIn, PASSWORD_FILE, type DemoRedis } from './redis-storage.ts';
import type { Registry } from './releases.ts';
import { StoryFailure, type StoryPart } from './story-failure.ts';
import type { TrafficReport } from './traffic.ts';

export interface WorldSettings {
  registry: Registry;
  firstVersion: string;
  canaryWeight: number;
  seed: number;
  sabotage: Sabotage | null;
  crashAt: string | null;
  redis: DemoRedis | null;
}

export interface Addresses {
  davylamp: string;
  shop: string;
  router: string;
  delivery: string;
  metrics: { canary: string; stable: string };
  git: string;
}

const REQUESTS_PER_SECOND = 600;
const POLL_MS = 300;

/** Everything that the story needs, started for real: Git remote, shop, router, customers, GitOps loop, davylamp. */
export class World {
  readonly #settings: WorldSettings;
  readonly #closers: (() => Promise<void>)[] = [];
  #folder = '';
  #addresses: Addresses | null = null;
  #repository: DeploymentRepository | null = null;
  #gitServer: GitServer | null = null;
  #davylamp: DavylampProcess | null = null;
  #deathIsPlanned = false;
  #broken: StoryFailure | null = null;
  /** How often davylamp was started again after a planned death. */
  restarts = 0;
  readonly loopEvents: LoopEvent[] = [];
  traffic: TrafficReport | null = null;

  constructor(settings: WorldSettings) {
    this.#settings = settings;
    this.#deathIsPlanned = settings.crashAt !== null;
  }

  /** Something ended that must not end; the story cannot go on. */
  get broken(): StoryFailure | null {
    return this.#broken;
  }
  get folder(): string {
    return this.#folder;
  }
  get trafficLog(): string {
    return join(this.#folder, 'traffic.log');
  }
  get addresses(): Addresses {
    return opened(this.#addresses);
  }
  get repository(): DeploymentRepository {
    return opened(this.#repository);
  }
  get gitServer(): GitServer {
    return opened(this.#gitServer);
  }
  get api(): DavylampClient {
    return new DavylampClient(this.addresses.davylamp);
  }

  /** Starts it all. Call `close` also when this throws. @throws Error that says what is missing or did not start */
  async open(): Promise<void> {
    await checkGit();
    this.#folder = await mkdtemp(join(tmpdir(), 'davylamp-demo-'));
    this.#closers.push(() => rm(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
    const keeper = await startPart({ name: 'keeper', settings: { folder: this.#folder } });
    this.#closers.push(() => keeper.stop());

    const token = randomBytes(16).toString('hex');
    await writeFile(join(this.#folder, 'git-token'), token, { mode: 0o600 });
    const stablePort = await freePort();
    const canaryPort = await freePort([stablePort]);
    const davylampPort = await freePort([stablePort, canaryPort]);
    const davylamp = `http://127.0.0.1:${String(davylampPort)}`;
    const [remote, router] = await Promise.all([
      this.#openRepository(token),
      this.#start('router', 'loop', startPart({ name: 'router', settings: { stablePort, canaryPort } })),
    ]);
    const shop = `http://127.0.0.1:${String(router.ports.customers)}`;
    const control = `http://127.0.0.1:${String(router.ports.control)}`;
    const loop = await this.#start('GitOps loop', 'loop', this.#startLoop(remote, { stablePort, canaryPort, davylamp, control }));
    const delivery = `http://127.0.0.1:${String(loop.ports.delivery)}/rollouts/shop`;
    this.#addresses = {
      davylamp,
      shop,
      router: control,
      delivery,
      metrics: {
        canary: `http://127.0.0.1:${String(canaryPort)}/metrics`,
        stable: `http://127.0.0.1:${String(stablePort)}/metrics`,
      },
      git: remote.url,
    };
    const config = await demoConfig(
      { davylampPort, canaryPort, stablePort, gitUrl: remote.url, delivery },
      { reportOnly: this.#settings.sabotage === 'judge', redis: this.#settings.redis },
    );
    await this.#prepareRedis();
    await writeFile(join(this.#folder, 'davylamp.yaml'), config);
    await this.#startDavylamp(keeper);
  }

  async #prepareRedis(): Promise<void> {
    const { redis } = this.#settings;
    if (redis === null) return;
    if (redis.password !== null) await writeFile(join(this.#folder, PASSWORD_FILE), redis.password, { mode: 0o600 });
    // A Redis that is away has nothing of ours to forget.
    this.#closers.push(() => forgetIn(redis).catch(() => undefined));
  }

  /** The customers come when there is a shop to visit. */
  async openDoors(): Promise<void> {
    const customersPort = Number(new URL(this.addresses.shop).port);
    await this.#start(
      'customers',
      'traffic',
      startPart(
        {
          name: 'traffic',
          settings: { routerPort: customersPort, requestsPerSecond: REQUESTS_PER_SECOND, log: this.trafficLog },
        },
        (event) => this.#hear(event),
      ),
    );
  }

  /** kill -9 now; it is started again at the same address, with the same data. */
  killDavylamp(): void {
    this.#deathIsPlanned = true;
    this.#davylamp?.kill();
  }

  /** Ends everything that was started, the last first, and removes the folder. */
  async close(): Promise<void> {
    for (;;) {
      const closer = this.#closers.pop();
      if (closer === undefined) return;
      await closer();
    }
  }

  async #openRepository(token: string): Promise<Remote> {
    const server = await startGitServer({ folder: join(this.#folder, 'remote'), name: 'deploy', branch: 'main', token });
    this.#gitServer = server;
    this.#closers.push(() => server.close());
    const remote = { url: server.url, branch: 'main', token };
    this.#repository = new DeploymentRepository(join(this.#folder, 'developers'), remote);
    await this.#repository.create(this.#settings.firstVersion, this.#settings.canaryWeight);
    return remote;
  }

  #startLoop(remote: Remote, at: { stablePort: number; canaryPort: number; davylamp: string; control: string }): Promise<Part> {
    const { registry, seed, sabotage } = this.#settings;
    return startPart(
      {
        name: 'loop',
        settings: {
          remote,
          folder: join(this.#folder, 'loop'),
          application: 'shop',
          workloads: {
            stablePort: at.stablePort,
            canaryPort: at.canaryPort,
            registry,
            seed,
            metricsBroken: sabotage === 'metrics',
          },
          router: at.control,
          davylamp: at.davylamp,
          pollMs: POLL_MS,
        },
      },
      (event) => this.#hear(event),
    );
  }

  async #start(name: string, blamed: StoryPart, starting: Promise<Part>): Promise<Part> {
    const part = await starting;
    let closing = false;
    this.#closers.push(() => {
      closing = true;
      return part.stop();
    });
    void part.exited.then(() => {
      if (!closing) this.#broken ??= new StoryFailure(blamed, `the ${name} of the demo ended by itself`);
    });
    return part;
  }

  async #startDavylamp(keeper: Part): Promise<void> {
    const davylamp = new DavylampProcess({
      config: join(this.#folder, 'davylamp.yaml'),
      log: join(this.#folder, 'davylamp.log'),
      onStarted: (pid) => keeper.send({ type: 'watch', pid }),
      onEnded: (pid) => keeper.send({ type: 'forget', pid }),
      onDeath: () => this.#startAgain(davylamp),
    });
    this.#davylamp = davylamp;
    this.#closers.push(() => davylamp.stop());
    await davylamp.start(this.#settings.crashAt).catch((error: unknown) => {
      throw new StoryFailure('service', error instanceof Error ? error.message : String(error));
    });
  }

  #startAgain(davylamp: DavylampProcess): void {
    if (!this.#deathIsPlanned) {
      this.#broken ??= new StoryFailure('service', 'davylamp ended by itself');
      return;
    }
    this.#deathIsPlanned = false;
    this.restarts += 1;
    davylamp.start().catch((error: unknown) => {
      this.#broken ??= new StoryFailure('service', error instanceof Error ? error.message : String(error));
    });
  }

  #hear(event: PartEvent): void {
    if (event.type === 'loop') this.loopEvents.push(event.event);
    if (event.type === 'traffic') this.traffic = event.report;
  }
}

function opened<T>(part: T | null): T {
  if (part === null) throw new Error('The world of the demo is not open yet.');
  return part;
}

/** @throws Error that says what to install */
async function checkGit(): Promise<void> {
  const run = promisify(execFile);
  let folder: string;
  try {
    folder = (await run('git', ['--exec-path'])).stdout.trim();
  } catch (error) {
    throw new Error(
      'The demo needs git, and there is none on PATH. Install it (Debian: apt-get install git; macOS: xcode-select --install) and run again.',
      {
        cause: error,
      },
    );
  }
  try {
    await access(join(folder, 'git-http-backend'));
  } catch (error) {
    throw new Error(
      `The demo needs "git http-backend", and ${folder} has none. Install the full git package (Alpine: apk add git-daemon) and run again.`,
      {
        cause: error,
      },
    );
  }
}
