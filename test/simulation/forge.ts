import { CodedError } from '../../src/errors.ts';
import type { Forge, ForgeEvent, Proposed, ProposalOrder } from '../../src/forge/port.ts';
import { MAIN, changedBetween, trailerOf, undone, withFiles } from './remote.ts';
import type { Service } from './service.ts';
import type { World } from './world.ts';

const away = (): Error => new CodedError('forge_unreachable', 'the forge did not answer', { retryable: true });

/** The pull requests that a forge keeps. */
export class PullRequests {
  readonly all: Proposed[] = [];

  open(branch: string): Proposed {
    const known = this.of(branch);
    if (known !== undefined) return known;
    const number = this.all.length + 1;
    const opened: Proposed = {
      url: `https://forge.example/${number}`,
      number,
      state: 'open',
      endedBy: null,
      mergeCommit: null,
      branch,
    };
    this.all.push(opened);
    return opened;
  }

  of(branch: string): Proposed | undefined {
    return this.all.findLast((one) => one.branch === branch);
  }

  /** A person merges the branch of a rollback; false where it conflicts. */
  merge(world: World, branch: string, isSquash: boolean): boolean {
    const { remote, scheduler } = world;
    const sha = remote.branches.get(branch);
    if (sha === undefined) return false;
    const ours = remote.commit(sha);
    const [base] = ours.parents;
    if (base === undefined) return false;
    const head = remote.commit(remote.head);
    const from = remote.commit(base).tree;
    // A revert of the revert's inverse: what the branch changed, on top of the head.
    const { wanted, conflicts } = undone(head.tree, from, ours.tree);
    if (conflicts.length > 0 || wanted.length === 0) return false;
    const merged = remote.make({
      parents: isSquash ? [head.sha] : [head.sha, sha],
      tree: withFiles(head.tree, wanted),
      message: isSquash ? `${ours.subject} (#1)` : `Merge branch ${branch}`,
      author: { name: 'Ada', email: 'ada@example.com' },
      at: scheduler.now,
    });
    if (changedBetween(head.tree, merged.tree).length === 0) return false;
    remote.push(MAIN, merged.sha, 'people');
    const known = this.of(branch);
    if (known !== undefined) Object.assign(known, { state: 'merged', endedBy: 'ada', mergeCommit: merged.sha });
    return true;
  }

  close(branch: string): boolean {
    const known = this.of(branch);
    if (known?.state !== 'open') return false;
    Object.assign(known, { state: 'closed', endedBy: 'ada' });
    return true;
  }
}

export class SimulatedForge implements Forge {
  readonly type = 'simulated';
  readonly verified = true;
  readonly can = { propose: true, autoMerge: false, status: true, webhook: false };
  readonly #world: World;
  readonly #service: Service;

  constructor(world: World, service: Service) {
    this.#world = world;
    this.#service = service;
  }

  async propose(order: ProposalOrder): Promise<Proposed & { leftOut: string[] }> {
    return this.#call('forge propose', () => ({ ...this.#pulls.open(order.branch), leftOut: [] }), true);
  }

  async proposalOf(branch: string): Promise<Proposed | null> {
    return this.#call('forge proposalOf', () => {
      const found = this.#pulls.of(branch);
      return found === undefined ? null : { ...found };
    });
  }

  async revertsOf({ sha }: { sha: string }): Promise<Proposed[]> {
    const { remote } = this.#world;
    return this.#call('forge revertsOf', () =>
      this.#pulls.all
        .filter(({ branch }) => trailerOf(remote.commit(remote.branches.get(branch) ?? ''), 'Reverts') === sha)
        .map((one) => ({ ...one })),
    );
  }

  async comment(): Promise<void> {
    await this.#call('forge comment', () => undefined, true);
  }

  async setStatus(): Promise<void> {
    await this.#call('forge setStatus', () => undefined, true);
  }

  async readWebhook(): Promise<ForgeEvent> {
    return Promise.resolve({ delivery: 'none', kind: 'other', branch: null });
  }

  async check(): Promise<[]> {
    return Promise.resolve([]);
  }

  get #pulls(): PullRequests {
    return this.#world.pulls;
  }

  async #call<T>(name: string, effect: () => T, isEffect = false): Promise<T> {
    return this.#world.scheduler.call(this.#service, name, effect, { failure: away, isRemote: true, isEffect });
  }
}
