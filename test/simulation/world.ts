import type { Analysis } from '../../src/analysis/record.ts';
import { CodedError } from '../../src/errors.ts';
import { isWithin } from '../../src/rollback/paths.ts';
import type { FleetPolicy } from '../../src/rollback/fleet.ts';
import type { Policy } from '../../src/rollback/policy.ts';
import { isOpen, type Rollback } from '../../src/rollback/record.ts';
import type { ChainedEntry, RecordWrite, StoredRecord } from '../../src/store/port.ts';
import { analysisOf } from './analyses.ts';
import { Workload } from './cluster.ts';
import { PullRequests } from './forge.ts';
import { Jobs } from './jobs.ts';
import { Random } from './random.ts';
import { MAIN, Remote, withFiles, type Commit, type Tree } from './remote.ts';
import { Scheduler } from './scheduler.ts';
import { Service, type Issue } from './service.ts';
import { APPLICATIONS, START, fleetOf, policyOf, settingOf, type Setting } from './setting.ts';
import { Data } from './store.ts';

/** What happened, for the rules that are checked after each step. */
export type Deed =
  | { kind: 'issued'; issue: Issue }
  | { kind: 'pushed'; issue: Issue; branch: string; commit: string; step: number }
  | { kind: 'aborted'; issue: Issue; canary: string | null; stable: string; phase: string }
  | { kind: 'stored'; before: Rollback | undefined; after: Rollback; entries: readonly ChainedEntry[] };

/** One line of any journal that there ever was: an emptied store forgets, this does not. */
export interface Journaled {
  step: number;
  event: string;
  code: string;
  by: string | null;
}

const AGAIN_MS = 1_000;
const START_AGAIN_MS = 2_000;
const DRIVE_MS = 30_000;
const ADA = { name: 'Ada', email: 'ada@example.com' };

/** Everything outside of davylamp, and the services themselves. */
export class World {
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly setting: Setting;
  readonly remote: Remote;
  readonly data = new Data();
  readonly policies = new Map<string, Policy>();
  readonly fleet: FleetPolicy;
  readonly workloads = new Map<string, Workload>();
  readonly pulls = new PullRequests();
  readonly jobs: Jobs;
  readonly deeds: Deed[] = [];
  readonly journaled = new Map<string, Journaled[]>();
  /** Rollbacks that a person has refused, and at which step; none that was asked for anew. */
  readonly refused = new Map<string, number>();
  /** When the record of a rollback first told of a commit of ours, in the present store. */
  readonly written = new Map<string, number>();
  /** When a rollback was decided first, in the present store. */
  readonly decided = new Map<string, number>();
  /** When a rollback came to `executing` first, whatever store that was in. */
  readonly executing = new Map<string, { application: string; step: number }>();
  /** Revisions of an application that were judged by themselves, whatever a store has forgotten since. */
  readonly judged = new Set<string>();
  /** Verdicts that nobody has acknowledged yet. */
  openVerdicts = 0;
  /** A fault of the code or of the simulation that no rule names. */
  fault: string | null = null;
  workers: Service[] = [];
  /** People who see what we pushed to the branch. */
  onPushed: (commit: string) => void = () => undefined;
  /** Where people's requests go; it walks no rollback. */
  readonly front: Service;
  readonly #recoveries = new Map<string, Analysis>();
  #services = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.setting = settingOf(this.random);
    this.scheduler = new Scheduler(this.random, START, this.setting.faultRate);
    this.remote = new Remote(this.setting.isSigned);
    this.fleet = fleetOf(this.random);
    this.jobs = new Jobs(this);
    for (const application of APPLICATIONS) this.policies.set(application, policyOf(this.random, application));
    this.#history();
    this.front = new Service(this, 'front', 0);
    this.#begin(this.front);
    for (let count = 0; count < this.setting.workers; count += 1) this.#startWorker();
  }

  commit(message: string, files: readonly (readonly [string, string | undefined])[]): Commit {
    const { head } = this.remote;
    const tree: Tree = head === '' ? {} : this.remote.commit(head).tree;
    const commit = this.remote.make({
      parents: head === '' ? [] : [head],
      tree: withFiles(tree, files),
      message,
      author: ADA,
      at: Math.floor(this.scheduler.now / 1_000) * 1_000,
    });
    this.remote.push(MAIN, commit.sha, 'people');
    return commit;
  }

  /** An analysis has failed: told to somebody until somebody has stored it, and now and then to two. */
  verdict(application: string, revision: string, delay: number): void {
    const analysis = analysisOf(application, revision, this.scheduler.now + delay);
    this.openVerdicts += 1;
    let isOpen = true;
    const tell = (isFirst: boolean) => {
      const service = this.random.pick(this.workers);
      const again = () => this.scheduler.at(this.scheduler.now + AGAIN_MS, 'verdict told again', () => tell(isFirst));
      if (service === undefined) return again();
      // Without an answer it is told again; two answers count once.
      if (isFirst) this.scheduler.at(this.scheduler.now + 5_000, 'verdict not acknowledged', () => void (isOpen && tell(true)));
      this.#storeAnalysis(analysis);
      service.rollbacks.decide(analysis).then(
        () => {
          if (isOpen) this.openVerdicts -= 1;
          isOpen = false;
        },
        (error: unknown) => {
          if (!(error instanceof CodedError)) this.broken(`decide threw ${String(error)}`);
        },
      );
    };
    this.scheduler.at(this.scheduler.now + delay, `verdict about ${application}`, () => tell(true));
    if (this.random.chance(0.4)) {
      this.scheduler.at(this.scheduler.now + delay + this.random.below(2_000), 'verdict, a second time', () => tell(false));
    }
  }

  /** An analysis is stored before anybody is told of its end. */
  #storeAnalysis(analysis: Analysis): void {
    const { id, application, phase, revision } = analysis;
    this.judged.add(`${application} ${revision}`);
    if (this.data.get('analysis', id) !== undefined) return;
    const index = { application, state: phase, open: false };
    this.data.commit([{ kind: 'analysis', id, expect: 0, createdAt: this.scheduler.now, index, value: analysis }], []);
  }

  crash(service: Service): void {
    if (!service.alive || service === this.front) return;
    this.scheduler.counts.crashes += 1;
    this.scheduler.note(`   ${service.name} dies`);
    this.scheduler.kill(service);
    this.workers = this.workers.filter((one) => one !== service);
    this.jobs.died(service);
    this.scheduler.at(this.scheduler.now + this.random.below(1_500), 'a service starts', () => this.#startWorker());
  }

  /** Faults stop. */
  calm(): void {
    this.scheduler.faultsOn = false;
    this.remote.hookRefuses = false;
    this.#drive();
    for (const workload of this.workloads.values()) this.#operate(workload);
  }

  /** Whether nothing is left to do but for people. */
  isSettled(): boolean {
    return (
      this.openVerdicts === 0 &&
      this.rollbacks().every((one) => !isOpen(one) || one.state === 'proposed' || this.#waitsForOperator(one))
    );
  }

  /** People took a part of the revert back, so that the cluster runs the bad revision on: that is said, and waited for. */
  #waitsForOperator({ state, problem, application, badCommit }: Rollback): boolean {
    return state === 'pushed' && problem?.code === 'not_synced' && this.workloads.get(application)?.canary === badCommit;
  }

  rollbacks(): Rollback[] {
    return this.data.of('rollback').map(({ value }) => value as Rollback);
  }

  recoveryOf({ id, application, badCommit }: Rollback): Analysis {
    const known = this.#recoveries.get(id);
    if (known !== undefined) return known;
    const begun: Analysis = { ...analysisOf(application, badCommit, this.scheduler.now), kind: 'recovery', phase: 'Running' };
    const running: Analysis = { ...begun, verdict: null, judgement: null, endedAt: null, id: `recovery-${id}` };
    this.#recoveries.set(id, running);
    const verdict = this.random.oneOf('pass', 'pass', 'pass', 'fail', 'inconclusive');
    this.scheduler.at(this.scheduler.now + this.random.between(500, 15_000), `recovery of ${id}: ${verdict}`, () => {
      this.#recoveries.set(id, { ...running, verdict, endedAt: new Date(this.scheduler.now).toISOString() });
      this.jobs.enqueue(id, this.scheduler.now);
    });
    return running;
  }

  issued(issue: Issue): void {
    this.deeds.push({ kind: 'issued', issue });
  }

  pushed(issue: Issue, branch: string, commit: string): void {
    this.deeds.push({ kind: 'pushed', issue, branch, commit, step: this.scheduler.step });
    if (branch === MAIN) this.onPushed(commit);
  }

  aborted(issue: Issue, { canary, stable, phase }: Workload): void {
    this.deeds.push({ kind: 'aborted', issue, canary, stable, phase });
  }

  stored(
    service: Service,
    writes: readonly RecordWrite[],
    before: readonly (StoredRecord | undefined)[],
    entries: readonly ChainedEntry[],
  ): void {
    const { step } = this.scheduler;
    for (const { subject, event, code, details } of entries) {
      const by = typeof details['by'] === 'string' ? details['by'] : null;
      const known = this.journaled.get(subject);
      if (known === undefined) this.journaled.set(subject, [{ step, event, code, by }]);
      else known.push({ step, event, code, by });
      if (event === 'rollback.refused' && by !== null) this.refused.set(subject, step);
      if (event === 'rollback.decided') this.refused.delete(subject);
    }
    writes.forEach((write, index) => {
      if (write.kind === 'revision' && write.index.state !== 'unknown') this.judged.add(write.id.replace('/', ' '));
      if (write.kind !== 'rollback') return;
      const after = write.value as Rollback;
      if (this.scheduler.trace !== null) this.scheduler.note(`   ${after.id} is ${after.state} (${after.code})`);
      this.judged.add(`${after.application} ${after.badCommit}`);
      if (!this.decided.has(after.id)) this.decided.set(after.id, step);
      const was = before[index]?.value as Rollback | undefined;
      if (after.state === 'executing' && !this.executing.has(after.id)) {
        this.executing.set(after.id, { application: after.application, step });
      }
      if (after.revertCommit === null) this.written.delete(after.id);
      else if (!this.written.has(after.id)) this.written.set(after.id, step);
      service.marks(after.id, after.pushStarted !== null);
      this.deeds.push({ kind: 'stored', before: was, after, entries });
    });
  }

  /** Somebody empties the store; every service finds that out by itself. */
  emptyStore(): void {
    this.data.empty();
    this.written.clear();
    this.decided.clear();
    this.refused.clear();
    for (const service of [this.front, ...this.workers]) this.#begin(service);
  }

  broken(sentence: string): void {
    this.fault ??= sentence;
  }

  #startWorker(): void {
    const { crashAfterCalls } = this.setting;
    this.#services += 1;
    const isMortal = crashAfterCalls > 0 && this.scheduler.faultsOn && this.random.chance(0.8);
    const service = new Service(this, `davylamp-${this.#services}`, isMortal ? this.random.between(1, crashAfterCalls) : 0);
    this.workers.push(service);
    this.#begin(service);
  }

  #begin(service: Service): void {
    this.scheduler.at(
      this.scheduler.now,
      `${service.name} starts`,
      () => {
        const again = () =>
          this.scheduler.at(this.scheduler.now + START_AGAIN_MS, 'once more', () => this.#begin(service), service);
        service.start().then(
          () => {
            if (!service.reconciler.reconciled('shop')) again();
          },
          (error: unknown) => {
            if (!(error instanceof CodedError)) this.broken(`the start threw ${String(error)}`);
            again();
          },
        );
      },
      service,
    );
  }

  #drive(): void {
    const service = this.random.pick(this.workers);
    const looked =
      service === undefined
        ? Promise.resolve()
        : service.rollbacks.drive().then(async () => service.returns.run(service.jobSignal));
    looked.catch((error: unknown) => {
      if (!(error instanceof CodedError)) this.broken(`drive threw ${String(error)}`);
    });
    this.scheduler.at(this.scheduler.now + DRIVE_MS, 'open rollbacks are driven', () => this.#drive());
  }

  #operate(workload: Workload): void {
    this.scheduler.at(this.scheduler.now + this.random.between(200, 20_000), `operator looks at ${workload.application}`, () => {
      if (workload.synced !== this.remote.head) workload.sync(this);
      this.#operate(workload);
    });
  }

  /** A repository with a past, a bad release or more, and what the cluster made of it. */
  #history(): void {
    const { random, remote } = this;
    const files = APPLICATIONS.flatMap((application) => [
      [`apps/${application}/image`, `${application}:1`] as const,
      [`apps/${application}/config`, 'calm'] as const,
      [`apps/${application}/replicas`, '2'] as const,
    ]);
    this.commit('everything', [...files, ['shared/readme', 'read me']]);
    const good = new Map(
      APPLICATIONS.map((application) => [
        application,
        this.commit(`${application} 2`, [[`apps/${application}/image`, `${application}:2`]]),
      ]),
    );
    const bad = new Map<string, string>();
    for (let count = 0; count < this.setting.badReleases; count += 1) {
      if (random.chance(0.3)) this.commit('a word', [['shared/readme', `read me, ${count}`]]);
      const { commit, applications } = this.badRelease(random.pick(APPLICATIONS) ?? 'web', count);
      for (const application of applications) {
        const before = bad.get(application);
        // What the operator went past was judged by itself, or never ran.
        if (before !== undefined && random.chance(0.7)) this.#storeAnalysis(analysisOf(application, before, this.scheduler.now));
        bad.set(application, commit.sha);
      }
    }
    for (const [application, { sha }] of good) {
      const canary = bad.get(application) ?? null;
      this.workloads.set(application, new Workload(application, sha, canary));
      this.#know(application, sha);
      if (canary !== null) this.verdict(application, canary, random.below(1_000));
    }
    if (random.chance(0.85)) {
      const createdAt = this.scheduler.now;
      const value = { epoch: `epoch-${this.data.epoch}` };
      this.data.commit([{ kind: 'state', id: 'reconciled/shop', expect: 0, createdAt, index: { open: true }, value }], []);
    }
    if (random.chance(0.06)) remote.isProtected = true;
  }

  /** A commit that is bad for one application, or for two. */
  badRelease(application: string, number: number): { commit: Commit; applications: string[] } {
    const { random } = this;
    const version = `${application}:${10 + number}`;
    const image = [`apps/${application}/image`, version] as const;
    const other = APPLICATIONS.find((one) => one !== application) ?? 'api';
    switch (random.below(20)) {
      case 0:
      case 1:
        return {
          commit: this.commit(`both ${number}`, [image, [`apps/${other}/image`, `${other}:${10 + number}`]]),
          applications: [application, other],
        };
      case 2:
        return {
          commit: this.commit(`more than ${application} ${number}`, [image, [`apps/${other}/config`, `wild ${number}`]]),
          applications: [application],
        };
      case 3:
        return {
          commit: this.commit(`and shared ${number}`, [image, ['shared/rules', `new ${number}`]]),
          applications: [application],
        };
      case 4:
        return {
          commit: this.commit(`${version} with data`, [image, [`apps/${application}/migrations/${number}`, 'alter table']]),
          applications: [application],
        };
      case 5:
        return { commit: this.commit(`${version}\n\nRollback: never\n`, [image]), applications: [application] };
      case 6:
        return { commit: this.commit(`Revert "${application} 2"\n`, [image]), applications: [application] };
      case 7:
        return {
          commit: this.commit(`${version} with a volume`, [
            image,
            [`apps/${application}/pvc.yaml`, 'apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: { name: data }\n'],
          ]),
          applications: [application],
        };
      case 8:
        return { commit: this.commit(version, [image, [`apps/${application}/replicas`, '5']]), applications: [application] };
      default:
        return {
          commit: this.commit(version, [image, [`apps/${application}/config`, `wild ${number}`]]),
          applications: [application],
        };
    }
  }

  /** The ledger knows that a revision is good. */
  #know(application: string, revision: string): void {
    const { tree } = this.remote.commit(revision);
    const paths = this.policies.get(application)?.paths ?? [];
    const content = JSON.stringify(
      Object.keys(tree)
        .sort()
        .filter((path) => isWithin(path, paths))
        .map((path) => [path, tree[path]]),
    );
    const at = new Date(this.scheduler.now).toISOString();
    const about = { application, revision, standing: 'good', rank: 'proved', by: 'analysis', reason: 'its analysis passed' };
    const value = { ...about, since: at, reference: null, content, firstLiveAt: null, updatedAt: at };
    const createdAt = this.scheduler.now;
    const index = { application, state: 'good', open: true };
    this.judged.add(`${application} ${revision}`);
    this.data.commit([{ kind: 'revision', id: `${application}/${revision}`, expect: 0, createdAt, index, value }], []);
  }
}
