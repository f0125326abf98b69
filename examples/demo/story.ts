import { Refused, type Analysis, type Rollback } from './davylamp-client.ts';
import { firstReason, short, tellEnding } from './ending.ts';
import type { LoopEvent } from './gitops-loop.ts';
import type { Narrator } from './narrator.ts';
import type { DemoOptions } from './options.ts';
import { NOTHING_ROLLED_BACK, outcomeOf, type Outcome } from './outcome.ts';
import { FIRST_VERSION, GOOD_VERSION, SECOND_VERSION } from './releases.ts';
import { StoryFailure } from './story-failure.ts';
import { firstServerError } from './traffic-log.ts';
import { Waiting } from './waiting.ts';
import type { World } from './world.ts';

export const CANARY_WEIGHT = 10;

/** The template looks for at most 25 s; the rest is for a slow machine. */
const ANALYSIS_DEADLINE_MS = 40_000;
const STEP_DEADLINE_MS = 15_000;
const PUSH_DEADLINE_MS = 15_000;
const RECOVERY_DEADLINE_MS = 30_000;
const FINAL_PHASES: readonly string[] = ['Successful', 'Failed', 'Inconclusive', 'Error', 'Cancelled'];

type LoopEventOf<Type extends LoopEvent['type']> = Extract<LoopEvent, { type: Type }>;

/** Plays the acts in order and tells them. @throws StoryFailure at the first thing that does not go as it must */
export class Story {
  readonly #world: World;
  readonly #narrator: Narrator;
  readonly #options: DemoOptions;
  readonly #waiting: Waiting;
  /** Commit that declares what the customers get from the stable side. */
  #goodCommit = '';
  #goodVersion = FIRST_VERSION;
  #badCommit: string | null = null;
  #verdict: string | null = null;
  #kill: NodeJS.Timeout | undefined;

  constructor(world: World, narrator: Narrator, options: DemoOptions, signal: AbortSignal) {
    this.#world = world;
    this.#narrator = narrator;
    this.#options = options;
    this.#waiting = new Waiting(world, narrator, signal);
  }

  /** How far it came; what `--once` prints when the story fails. */
  get soFar(): Outcome {
    return { ...NOTHING_ROLLED_BACK, badCommit: this.#badCommit, verdict: this.#verdict };
  }

  async play(): Promise<Outcome> {
    await this.#opening();
    if (!this.#options.badOnly) await this.#goodRelease(GOOD_VERSION, 'A good release');
    if (this.#options.healthy) {
      await this.#goodRelease(SECOND_VERSION, 'Another good release');
      return this.#nothingRolledBack();
    }
    return this.#badRelease(SECOND_VERSION);
  }

  async #opening(): Promise<void> {
    const deployed = await this.#loopSaid('deployed', () => true, 'The first version was not deployed');
    this.#goodCommit = deployed.commit;
    await this.#world.openDoors();
    await this.#waiting.until({
      part: 'traffic',
      what: 'The customers did not get answers',
      withinMs: STEP_DEADLINE_MS,
      look: () => ((this.#world.traffic?.stable.requests ?? 0) > 0 ? true : null),
    });
    this.#narrator.step(
      `Shop ${deployed.version} is deployed from Git (${short(deployed.commit)}); customers send 600 requests a second.`,
    );
  }

  async #goodRelease(version: string, title: string): Promise<void> {
    this.#narrator.act(title);
    const failedBefore = this.#world.traffic?.failed ?? 0;
    const { commit, analysis } = await this.#release(version, 'Faster product pages.');
    await this.#expectPhase(analysis, 'Successful', `the good release ${version}`);
    this.#narrator.good(`Verdict: pass. ${firstReason(analysis.sentence)}`);
    await this.#loopSaid('promoted', (event) => event.commit === commit, `${version} was not promoted`);
    const failed = (this.#world.traffic?.failed ?? 0) - failedBefore;
    this.#narrator.step(
      `${version} is promoted to all customers; ${failed === 0 ? 'not one request failed' : `${String(failed)} requests failed`} on the way.`,
    );
    this.#goodCommit = commit;
    this.#goodVersion = version;
  }

  async #badRelease(version: string): Promise<Outcome> {
    const { api } = this.#world;
    this.#narrator.act('A bad release');
    const { commit, analysis } = await this.#release(version, 'New price calculation.');
    this.#verdict = analysis.verdict;
    await this.#expectPhase(analysis, 'Failed', `the bad release ${version}`);
    this.#narrator.bad(`Verdict: fail. ${firstReason(analysis.sentence)}`);

    await this.#loopSaid('aborted', (event) => event.commit === commit, 'The rollout was not aborted', 'delivery');
    this.#narrator.step(
      `Aborted: no customer gets ${version} any more. Git still declares it, so the next sync would deploy it again.`,
    );

    const pushed = await this.#pushed(commit);
    this.#narrator.step(
      `Reverted in Git: commit ${short(pushed.revertCommit ?? '')} is pushed to main and takes ${short(commit)} out.`,
    );

    await this.#loopSaid('restored', (event) => event.commit === pushed.revertCommit, 'The loop did not deploy the revert');
    this.#narrator.step(`The GitOps loop deployed the revert: shop ${this.#goodVersion} is what Git declares and what runs.`);

    const recovered = await this.#waiting.until({
      part: 'recovery',
      what: 'The recovery check did not end',
      withinMs: RECOVERY_DEADLINE_MS,
      look: async () => {
        const [rollback] = await api.rollbacks('shop');
        return rollback !== undefined && ['recovered', 'not_recovered', 'failed', 'refused'].includes(rollback.state)
          ? rollback
          : null;
      },
      progress: () => 'davylamp measures for 5 s whether the metrics came back',
    });
    if (recovered.state !== 'recovered')
      throw new StoryFailure('recovery', `The rollback ended as ${recovered.state}: ${recovered.sentence}`);
    this.#narrator.good(`Recovered: ${firstReason(recovered.sentence)}`);

    await this.#killedByNow();
    const evidence = await this.#waiting.until({
      part: 'service',
      what: 'The evidence could not be read',
      withinMs: STEP_DEADLINE_MS,
      look: async () => ({
        goodContent: await this.#world.repository.contentAt(this.#goodCommit),
        badCommit: commit,
        analysis: await api.analysis(analysis.id),
        rollbacks: await api.rollbacks('shop'),
        remote: await this.#world.repository.remoteState(),
        firstBadRequestAt: await firstServerError(this.#world.trafficLog, version),
      }),
    });
    const outcome = outcomeOf(evidence);
    if (this.#options.crash !== null && this.#world.restarts === 0) {
      throw new StoryFailure('setup', 'davylamp was to be killed on the way, and was not: that point was never reached.');
    }
    await tellEnding(this.#world, this.#narrator, { outcome, rollback: recovered, version });
    return outcome;
  }

  /** A story that was over before its kill ends with it: what is told afterwards is what survived. */
  async #killedByNow(): Promise<void> {
    if (this.#options.killAfterMs === null) return;
    clearTimeout(this.#kill);
    if (this.#world.restarts === 0) this.#world.killDavylamp();
    await this.#waiting.until({
      part: 'service',
      what: 'davylamp was not started again',
      withinMs: STEP_DEADLINE_MS,
      look: () => (this.#world.restarts > 0 ? true : null),
    });
  }

  /** Pushes a version and follows it up to the end of its analysis. */
  async #release(version: string, why: string): Promise<{ commit: string; analysis: Analysis }> {
    const { repository, gitServer } = this.#world;
    const commit = await repository.release(version, CANARY_WEIGHT, why);
    if (this.#isBad(version)) {
      this.#badCommit = commit;
      if (this.#options.sabotage === 'git') await gitServer.refusePushes('this branch takes no pushes today');
      if (this.#options.killAfterMs !== null) {
        this.#kill = setTimeout(() => this.#world.killDavylamp(), this.#options.killAfterMs).unref();
      }
    }
    this.#narrator.step(
      `A developer pushes ${short(commit)}: shop ${version}, to ${String(CANARY_WEIGHT)} % of the customers first.`,
    );
    await this.#loopSaid('canary', (event) => event.commit === commit, `${version} was not started`);
    this.#narrator.step(`The GitOps loop runs ${version} beside ${this.#goodVersion} and asks davylamp about it.`);
    const accepted = await this.#loopSaid(
      'analysis',
      (event) => event.commit === commit,
      'davylamp did not accept the analysis',
      'service',
    );
    return { commit, analysis: await this.#judged(accepted.id, version) };
  }

  #isBad(version: string): boolean {
    return version === SECOND_VERSION && !this.#options.healthy;
  }

  async #judged(id: string, version: string): Promise<Analysis> {
    let latest: Analysis | null = null;
    let noticed = false;
    return this.#waiting.until({
      part: 'judge',
      what: `The analysis of ${version} did not end`,
      withinMs: ANALYSIS_DEADLINE_MS,
      look: async () => {
        const seen = this.#world.traffic?.byVersion[version];
        if (!noticed && seen !== undefined && seen.serverErrors > 0) {
          noticed = true;
          this.#narrator.bad(`The first customers of ${version} get error 500.`);
        }
        latest = await this.#world.api.analysis(id);
        return FINAL_PHASES.includes(latest.phase) ? latest : null;
      },
      progress: () => this.#standing(version, latest),
    });
  }

  #standing(version: string, analysis: Analysis | null): string {
    const canary = this.#world.traffic?.byVersion[version] ?? { requests: 0, serverErrors: 0 };
    const stable = this.#world.traffic?.byVersion[this.#goodVersion] ?? { requests: 0, serverErrors: 0 };
    const looks = analysis === null ? '' : `look ${String(analysis.ticks.done)} of at most ${String(analysis.ticks.planned)}, `;
    const side = (name: string, totals: typeof canary): string =>
      `${name}: ${String(totals.requests)} answers, ${String(totals.serverErrors)} errors`;
    return `${looks}${side(version, canary)}; ${side(this.#goodVersion, stable)}`;
  }

  async #expectPhase(analysis: Analysis, wanted: Analysis['phase'], release: string): Promise<void> {
    if (analysis.phase === wanted) return;
    const said = `The analysis of ${release} ended as ${analysis.phase}, not as ${wanted}: ${analysis.sentence}`;
    // Without a verdict it may be the pages; the canary stays as it is then, so both have to answer.
    const silent = analysis.phase === 'Inconclusive' || analysis.phase === 'Error' ? await this.#silentPages() : '';
    if (silent !== '') throw new StoryFailure('metrics', `${said} ${silent}`);
    throw new StoryFailure('judge', said);
  }

  /** Looks for itself whether the metrics pages answer, so that the judge is not blamed for them. */
  async #silentPages(): Promise<string> {
    for (const [side, url] of Object.entries(this.#world.addresses.metrics)) {
      try {
        const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) });
        await answer.body?.cancel();
        if (!answer.ok) return `The ${side} metrics page ${url} answers ${String(answer.status)}.`;
      } catch {
        return `The ${side} metrics page ${url} does not answer.`;
      }
    }
    return '';
  }

  #pushed(badCommit: string): Promise<Rollback> {
    let latest: Rollback | null = null;
    return this.#waiting.until({
      part: 'git',
      what: 'The revert was not pushed',
      withinMs: PUSH_DEADLINE_MS,
      look: async () => {
        latest = (await this.#world.api.rollbacks('shop')).find((rollback) => rollback.badCommit === badCommit) ?? null;
        if (latest === null || latest.revertCommit === null) return null;
        return (await this.#world.repository.remoteHead()) === latest.revertCommit ? latest : null;
      },
      progress: () =>
        latest === null ? 'waiting for the rollback' : `rollback ${latest.state}: ${latest.problem?.sentence ?? latest.sentence}`,
      because: async () =>
        latest === null
          ? 'davylamp has no rollback of it.'
          : `The rollback is ${latest.state}: ${latest.problem?.sentence ?? latest.sentence}`,
    });
  }

  #loopSaid<Type extends LoopEvent['type']>(
    type: Type,
    which: (event: LoopEventOf<Type>) => boolean,
    what: string,
    part: 'loop' | 'delivery' | 'service' = 'loop',
  ): Promise<LoopEventOf<Type>> {
    return this.#waiting.until({
      part,
      what,
      withinMs: STEP_DEADLINE_MS,
      look: () =>
        this.#world.loopEvents.find(
          (event): event is LoopEventOf<Type> => event.type === type && which(event as LoopEventOf<Type>),
        ) ?? null,
      because: async () => {
        const waiting = this.#world.loopEvents.findLast((event) => event.type === 'waiting');
        return waiting === undefined ? '' : `The loop says: ${waiting.reason}`;
      },
    });
  }

  async #nothingRolledBack(): Promise<Outcome> {
    const rollbacks = await this.#world.api.rollbacks('shop');
    if (rollbacks.length > 0)
      throw new StoryFailure('judge', `davylamp has a rollback of a good release: ${rollbacks[0]?.verdictSentence ?? ''}`);
    const remote = await this.#world.repository.remoteState();
    if (remote.head !== this.#goodCommit || remote.rollbackCommits.length > 0) {
      throw new StoryFailure('git', `the head of the branch is ${remote.head}, not the last good release ${this.#goodCommit}.`);
    }
    this.#narrator.act('The end');
    this.#narrator.line(`  Two good releases were promoted and nothing was rolled back; main is at ${short(remote.head)}.`);
    return { ...NOTHING_ROLLED_BACK, verdict: 'pass' };
  }
}

/** Why the story could not go on, for a person; a refusal of davylamp is its own words. */
export function failureOf(error: unknown): StoryFailure {
  if (error instanceof StoryFailure) return error;
  if (error instanceof Refused) return new StoryFailure('service', error.message);
  return new StoryFailure('setup', error instanceof Error ? error.message : String(error));
}
