import { CodedError } from '../../src/errors.ts';
import type { Policy } from '../../src/rollback/policy.ts';
import { APPLICATIONS } from './setting.ts';
import { US, ownTrailer, type Commit } from './remote.ts';
import type { World } from './world.ts';

const NAMES = ['ada', 'grace', 'edsger'] as const;

/** What people, bots and clusters do while rollbacks run; each at a time that the seed draws. */
export function plotPeople(world: World): void {
  const { scheduler, random, setting } = world;
  for (let count = 0; count < setting.actions; count += 1) {
    const at = scheduler.now + random.below(random.chance(0.6) ? Math.min(1_500, setting.busyMs) : setting.busyMs);
    scheduler.at(at, 'somebody acts', () => {
      if (scheduler.faultsOn) act(world, count);
    });
  }
  // Who does not like a revert takes it back at once, perhaps before we know that it landed.
  world.onPushed = (commit) => {
    if (!random.chance(0.06)) return;
    scheduler.at(scheduler.now + random.below(400), 'somebody does not like it', () => {
      if (scheduler.faultsOn) revertBy(world, commit, 'whole');
    });
  };
  // Other people commit to the same branch all the time.
  for (let count = 0, at = scheduler.now; count < setting.othersCommits; count += 1) {
    at += random.between(5, 250);
    scheduler.at(at, 'somebody commits elsewhere', () => {
      if (scheduler.faultsOn) world.commit(`elsewhere ${count}`, [['shared/notes', `note ${count}`]]);
    });
  }
  // Whoever is held is seldom forgotten for long.
  for (const share of [0.3, 0.6, 0.9]) {
    if (random.chance(0.5))
      scheduler.at(scheduler.now + setting.busyMs * share, 'somebody looks at what is held', () => {
        if (scheduler.faultsOn) decideHeld(world);
      });
  }
}

function act(world: World, count: number): void {
  const { random, scheduler, remote, pulls, data } = world;
  const bad = random.pick(world.rollbacks());
  const application = (random.chance(0.6) ? bad?.application : undefined) ?? random.pick(APPLICATIONS) ?? 'web';
  const image = `apps/${application}/image`;
  switch (random.below(24)) {
    case 0:
    case 1:
      world.commit(`a word more, ${count}`, [['shared/readme', `words ${count}`]]);
      return note('commits elsewhere');
    case 2:
      world.commit(`${application} config`, [[`apps/${application}/config`, `other ${count}`]]);
      return note(`changes the config of ${application}`);
    case 3: {
      // A fix of the same file is a conflict for the revert, one beside it is none.
      const file = random.chance(0.4) ? image : `apps/${application}/patch`;
      const fix = world.commit(`fix ${application}`, [[file, `${application}:fixed-${count}`]]);
      const workload = world.workloads.get(application);
      // Fix B starts while the verdict about A is on its way (design 5.7).
      if (workload !== undefined && random.chance(0.7)) workload.sync(world);
      return note(`fixes ${application} forward by ${fix.sha.slice(0, 7)}`);
    }
    case 4:
      return revertBy(world, bad?.badCommit, 'whole');
    case 5:
      return revertBy(world, bad?.badCommit, 'squash');
    case 6:
    case 7: {
      const ours = ourLast(world);
      return revertBy(world, ours?.sha, 'whole');
    }
    case 8: {
      if (bad === undefined) return;
      const forged = `Revert "something"\n\nDavylamp-Rollback: ${bad.id}\nDavylamp-Application: ${bad.application}\nReverts: ${bad.badCommit}\n`;
      world.commit(forged, [['shared/readme', `forged ${count}`]]);
      return note(`forges the trailer of ${bad.id}`);
    }
    case 9: {
      const ours = ourLast(world);
      const parent = ours?.parents[0];
      if (ours === undefined || parent === undefined) return;
      const back = remote.commit(parent).tree;
      world.commit(
        'bring it back',
        ours.paths.map((path) => [path, back[path]] as const),
      );
      return note('brings the bad content back under another name');
    }
    case 10:
    case 11:
    case 12:
      return flip(world, application, true);
    case 13:
      return flip(world, application, false);
    case 14:
      return refuse(world);
    case 15:
    case 16:
      return decideHeld(world);
    case 17: {
      const { commit, applications } = world.badRelease(application, 100 + count);
      for (const one of applications) {
        world.workloads.get(one)?.sync(world);
        world.verdict(one, commit.sha, random.below(500));
      }
      return note(`releases another bad one, ${commit.sha.slice(0, 7)}`);
    }
    case 18: {
      const workload = world.workloads.get(application);
      if (random.chance(0.5)) workload?.promote();
      else workload?.sync(world);
      return note(`the cluster moves on with ${application}`);
    }
    case 19: {
      const known = world.policies.get(application);
      const mode = random.oneOf<Policy['mode']>('shadow', 'propose', 'rollback');
      if (known !== undefined) world.policies.set(application, { ...known, mode });
      return note(`the mode of ${application} is ${mode}`);
    }
    case 20: {
      const branch = random.pick([...remote.branches.keys()].filter((name) => name !== 'main'));
      if (branch === undefined) return;
      const done = random.chance(0.7) ? pulls.merge(world, branch, random.chance(0.5)) : pulls.close(branch);
      return note(`${branch} is merged or closed: ${String(done)}`);
    }
    case 21: {
      const service = random.pick(world.workers);
      if (service !== undefined) world.crash(service);
      return;
    }
    case 22: {
      if (random.chance(0.5)) remote.hookRefuses = !remote.hookRefuses;
      else if (random.chance(0.3)) world.emptyStore();
      return note(`hook refuses: ${String(remote.hookRefuses)}; data set ${data.epoch}`);
    }
    default: {
      if (bad === undefined) return;
      const { front } = world;
      const marking = random.chance(0.5)
        ? front.ledger.markGood(bad.application, bad.badCommit, { by: 'ada', reason: 'it is fine' })
        : front.ledger.markBad(bad.application, bad.badCommit, { by: 'ada', reason: 'it is bad' });
      settle(world, 'mark', marking);
      return note(`marks ${bad.badCommit.slice(0, 7)}`);
    }
  }

  function note(text: string): void {
    scheduler.note(`   somebody ${text}`);
  }
}

function revertBy(world: World, sha: string | undefined, kind: 'whole' | 'squash'): void {
  if (sha === undefined) return;
  const { remote } = world;
  const bad = remote.commit(sha);
  const parent = bad.parents[0];
  if (parent === undefined || !remote.isAncestor(sha, remote.head)) return;
  const before = remote.commit(parent).tree;
  const now = remote.commit(remote.head).tree;
  const changes = bad.paths.filter((path) => now[path] === bad.tree[path]).map((path) => [path, before[path]] as const);
  if (changes.length === 0) return;
  const message = kind === 'whole' ? `Revert "${bad.subject}"\n\nThis reverts commit ${sha}.\n` : `Revert "${bad.subject}"\n`;
  world.commit(message, changes);
  world.scheduler.note(`   somebody reverts ${sha.slice(0, 7)} (${bad.author.email === US.email ? 'ours' : 'the bad one'})`);
}

function ourLast({ remote }: World): Commit | undefined {
  const head = remote.commit(remote.head);
  return [head.sha, ...head.ancestors]
    .map((sha) => remote.commit(sha))
    .find((one) => ownTrailer(one, 'Davylamp-Rollback') !== null);
}

function flip(world: World, application: string, stopped: boolean): void {
  const { random, front } = world;
  const scope = random.oneOf('global', 'repository', 'application', 'application');
  const name = scope === 'global' ? {} : { name: scope === 'repository' ? 'shop' : application };
  const setting = front.switches.set({ scope, ...name, stopped, reason: 'a drill' }, { name: 'ada' });
  settle(world, 'switch', setting);
  world.scheduler.note(`   somebody sets the switch ${scope} ${application}: ${String(stopped)}`);
}

function refuse(world: World): void {
  const one = world.random.pick(world.rollbacks());
  if (one === undefined) return;
  settle(world, 'refuse', world.front.rollbacks.refuse(one.id, { name: 'ada', reason: 'it is wanted' }));
  world.scheduler.note(`   somebody refuses ${one.id}`);
}

/** Most of what is held gets a yes for its plan, some gets a no, some waits on. */
function decideHeld(world: World): void {
  const { random, front } = world;
  for (const { id, plan } of world.rollbacks().filter(({ state }) => state === 'held')) {
    if (random.chance(0.2)) continue;
    if (random.chance(0.2)) {
      settle(world, 'refuse', front.rollbacks.refuse(id, { name: 'ada', reason: 'it is wanted' }));
      continue;
    }
    for (const name of NAMES.slice(0, random.between(1, 2))) {
      settle(world, 'approve', front.rollbacks.approve(id, plan === null ? {} : { plan: plan.hash }, { name }));
    }
  }
}

/** People are told no in words; anything else is a fault. */
function settle(world: World, what: string, request: Promise<unknown>): void {
  request.catch((error: unknown) => {
    if (error instanceof CodedError) world.scheduler.note(`   ${what}: ${error.code}`);
    else world.broken(`${what} threw ${String(error)}`);
  });
}
