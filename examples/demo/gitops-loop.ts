import { DavylampClient, Refused, type Analysis } from './davylamp-client.ts';
import { DeliveryContract } from './delivery-contract.ts';
import { FollowedBranch, type Declaration } from './followed-branch.ts';
import type { Remote } from './git-command.ts';
import { serveJson } from './json-server.ts';
import type { Running } from './parts.ts';
import { ShopWorkloads, type WorkloadSettings } from './shop-workloads.ts';

/*
 * A tiny GitOps loop, no part of davylamp: it stands for Argo CD or Flux together with a progressive-delivery controller.
 * It follows the branch, runs what the manifest declares, shows a new version to some customers first, asks davylamp about it,
 * and promotes it or waits for Git. It never writes to Git.
 */
export interface LoopSettings {
  remote: Remote;
  /** Folder for its clone. */
  folder: string;
  application: string;
  workloads: WorkloadSettings;
  /** Address of the router's control. */
  router: string;
  davylamp: string;
  pollMs: number;
}

export type LoopEvent =
  | { type: 'deployed'; version: string; commit: string }
  | { type: 'canary'; version: string; commit: string; weight: number }
  | { type: 'analysis'; id: string; commit: string }
  | { type: 'judged'; id: string; commit: string; phase: Analysis['phase'] }
  | { type: 'promoted'; version: string; commit: string }
  | { type: 'aborted'; version: string; commit: string; rollback: string }
  | { type: 'restored'; version: string; commit: string }
  | { type: 'waiting'; reason: string };

/** The version that is shown to some customers, and how far its analysis is. */
interface Canary {
  version: string;
  revision: string;
  /** null: not accepted by davylamp yet. */
  analysis: string | null;
  step: 'judging' | 'promoting' | 'aborted' | 'waits-for-git';
}

const ROUTER_DEADLINE_MS = 8_000;

export class GitOpsLoop {
  readonly #settings: LoopSettings;
  readonly #branch: FollowedBranch;
  readonly #workloads: ShopWorkloads;
  readonly #davylamp: DavylampClient;
  readonly #tell: (event: LoopEvent) => void;
  #stable: { version: string; revision: string } | null = null;
  #canary: Canary | null = null;
  #synced: string | null = null;
  #lastReason = '';
  #closed = false;
  #wake: () => void = () => {};
  #running: Promise<void> = Promise.resolve();

  private constructor(settings: LoopSettings, branch: FollowedBranch, tell: (event: LoopEvent) => void) {
    this.#settings = settings;
    this.#branch = branch;
    this.#workloads = new ShopWorkloads(settings.workloads);
    this.#davylamp = new DavylampClient(settings.davylamp);
    this.#tell = tell;
  }

  static async open(settings: LoopSettings, tell: (event: LoopEvent) => void): Promise<GitOpsLoop> {
    const loop = new GitOpsLoop(settings, await FollowedBranch.open(settings.folder, settings.remote), tell);
    loop.#running = loop.#run();
    return loop;
  }

  state(): { canary: string | null; stable: string | null; synced: string | null; phase: string } {
    const phase = this.#stable === null ? 'unknown' : this.#canary === null ? 'healthy' : this.#phaseOf(this.#canary);
    return { canary: this.#canary?.revision ?? null, stable: this.#stable?.revision ?? null, synced: this.#synced, phase };
  }

  #phaseOf(canary: Canary): string {
    return canary.step === 'aborted' ? 'aborted' : 'progressing';
  }

  /** Takes all customers away from the canary, only if it runs this revision and is not being promoted. */
  async abort(revision: string, rollback: string): Promise<'aborted' | 'already' | 'not_running'> {
    const canary = this.#canary;
    if (canary === null || canary.revision !== revision || canary.step === 'promoting') return 'not_running';
    const already = canary.step === 'aborted';
    // Marked first: a judgement that the loop reads in the meantime must not promote it.
    canary.step = 'aborted';
    // Also when it is repeated: the router may not have taken the first order.
    await this.#weight(0, { drain: false });
    if (already) return 'already';
    this.#tell({ type: 'aborted', version: canary.version, commit: revision, rollback });
    return 'aborted';
  }

  /** Looks at Git now and not at the next poll. */
  sync(): void {
    this.#wake();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wake();
    await this.#running;
    await this.#workloads.stopAll();
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      try {
        await this.#follow();
        if (this.#canary !== null) await this.#advance(this.#canary);
        this.#lastReason = '';
      } catch (error) {
        this.#waitFor(error instanceof Error ? error.message : String(error));
      }
      await this.#pause();
    }
  }

  /** Said once a reason, not once a poll. */
  #waitFor(reason: string): void {
    if (reason !== this.#lastReason && !this.#closed) this.#tell({ type: 'waiting', reason });
    this.#lastReason = reason;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#closed ? 0 : this.#settings.pollMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #weight(canary: number, { drain }: { drain: boolean }): Promise<void> {
    const answer = await fetch(`${this.#settings.router}/weights`, {
      method: 'PUT',
      body: JSON.stringify({ canary, drain }),
      signal: AbortSignal.timeout(ROUTER_DEADLINE_MS),
    });
    if (!answer.ok) throw new Error(`The router refused the weight ${String(canary)}: ${await answer.text()}`);
    await answer.body?.cancel();
  }

  async #follow(): Promise<void> {
    const head = await this.#branch.fetch();
    if (head === this.#synced) return;
    await this.#apply(await this.#branch.read(head));
    this.#synced = head;
  }

  async #apply({ revision, manifest }: Declaration): Promise<void> {
    if (this.#stable === null) {
      await this.#workloads.run('stable', manifest.version);
      await this.#weight(0, { drain: false });
      this.#stable = { version: manifest.version, revision };
      this.#tell({ type: 'deployed', version: manifest.version, commit: revision });
      return;
    }
    if (this.#canary?.revision === revision) return;
    if (this.#canary !== null) await this.#dropCanary();
    if (manifest.version === this.#stable.version) {
      if (this.#stable.revision === revision) return;
      this.#stable = { version: manifest.version, revision };
      this.#tell({ type: 'restored', version: manifest.version, commit: revision });
      return;
    }
    await this.#workloads.run('canary', manifest.version);
    await this.#weight(manifest.canaryWeight, { drain: false });
    this.#canary = { version: manifest.version, revision, analysis: null, step: 'judging' };
    this.#tell({ type: 'canary', version: manifest.version, commit: revision, weight: manifest.canaryWeight });
  }

  async #dropCanary(): Promise<void> {
    this.#canary = null;
    await this.#weight(0, { drain: true });
    await this.#workloads.stop('canary');
  }

  async #advance(canary: Canary): Promise<void> {
    if (canary.step !== 'judging') return;
    let analysis;
    try {
      analysis = await this.#ask(canary);
    } catch (error) {
      if (error instanceof Refused && !error.retryable) throw error;
      // While davylamp does not answer the release stays where it is: neither promoted nor aborted.
      throw new Error('davylamp does not answer', { cause: error });
    }
    if (!['Successful', 'Failed', 'Inconclusive', 'Error', 'Cancelled'].includes(analysis.phase)) return;
    this.#tell({ type: 'judged', id: analysis.id, commit: canary.revision, phase: analysis.phase });
    // davylamp may have asked for the abort while this answer was under way.
    if (this.#canary !== canary || canary.step !== 'judging') return;
    if (analysis.phase === 'Successful') await this.#promote(canary);
    else canary.step = 'waits-for-git';
  }

  async #ask(canary: Canary): Promise<Analysis> {
    if (canary.analysis !== null) return this.#davylamp.analysis(canary.analysis);
    const { application } = this.#settings;
    const analysis = await this.#davylamp.startAnalysis(
      { application, revision: canary.revision },
      `${application}-${canary.revision}`,
    );
    canary.analysis = analysis.id;
    this.#tell({ type: 'analysis', id: analysis.id, commit: canary.revision });
    return analysis;
  }

  /** As Flagger does: the canary serves everybody while the stable process becomes the new version. */
  async #promote(canary: Canary): Promise<void> {
    canary.step = 'promoting';
    await this.#weight(100, { drain: true });
    await this.#workloads.run('stable', canary.version);
    this.#stable = { version: canary.version, revision: canary.revision };
    await this.#dropCanary();
    this.#tell({ type: 'promoted', version: canary.version, commit: canary.revision });
  }
}

/** The loop with the HTTP contract of davylamp's delivery `http` on a port of its own. */
export async function startLoop(settings: LoopSettings, tell: (event: LoopEvent) => void): Promise<Running> {
  const loop = await GitOpsLoop.open(settings, tell);
  const contract = new DeliveryContract(loop, `/rollouts/${settings.application}`);
  const server = await serveJson((route, body) => contract.handle(route, body));
  return {
    ports: { delivery: server.port },
    close: async () => {
      await server.close();
      await loop.close();
    },
  };
}
