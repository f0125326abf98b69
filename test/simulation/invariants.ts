import { isPerson } from '../../src/ledger/rules.ts';
import { isWithin } from '../../src/rollback/paths.ts';
import type { Policy } from '../../src/rollback/policy.ts';
import type { Rollback } from '../../src/rollback/record.ts';
import { MAIN, changedBetween, ownTrailer, type Commit } from './remote.ts';

import { GUARDED_FOR_MS } from './service.ts';
import type { Deed, World } from './world.ts';

/*
 * The rules of design section 5, each checked on everything that happened in a step. A service decides on what it has
 * read, and what changes after the reading cannot count; so for what others change meanwhile (switches, modes, limits, the
 * fleet) the moment that counts is the one at which the guards of that push or abort sent out their reading. How old that
 * reading may be is a rule of its own (`readsAnew`, `readsSwitchesAnew`).
 */

type Rule<T> = (world: World, deed: T) => string | null;
type Issued = Extract<Deed, { kind: 'issued' }>;
type Pushed = Extract<Deed, { kind: 'pushed' }>;
type Aborted = Extract<Deed, { kind: 'aborted' }>;
type Stored = Extract<Deed, { kind: 'stored' }>;

/** 5.3: one rollback for (repository, branch, application, bad revision): the second one on the branch is a person's word. */
const exactlyOnce: Rule<Pushed> = (world, deed) => {
  if (deed.branch !== MAIN) return null;
  for (const id of idsOf(world, deed)) {
    const earlier = world.deeds.filter(
      (one): one is Pushed => one.kind === 'pushed' && one !== deed && one.branch === MAIN && idsOf(world, one).includes(id),
    );
    const last = earlier.at(-1);
    if (last !== undefined && !isAskedSince(world, id, last.step)) return `${id} was pushed twice, and nobody had asked for it`;
  }
  return null;
};

/** 5.4: a plain push leaves every commit that was there. */
const neverForced: Rule<Pushed> = (world, { branch, commit }) => {
  const { remote } = world;
  for (const move of remote.moves.slice(-2)) {
    if (move.from !== null && !remote.isAncestor(move.from, move.to)) return `${branch} lost ${move.from} by ${commit}`;
  }
  return null;
};

/** 5.4: no path outside of the application, or of those that all allow a joint plan; nothing but what the bad commit did. */
const onlyTheApplication: Rule<Pushed> = (world, deed) => {
  if (deed.branch !== MAIN) return null;
  for (const commit of commitsOf(world, deed)) {
    const policy = world.policies.get(ownTrailer(commit, 'Davylamp-Application') ?? '');
    if (policy === undefined) return `${commit.sha} belongs to no application`;
    const outside = commit.paths.filter((path) => !isWithin(path, policy.paths));
    if (outside.some((path) => !isJoint(world, policy, path))) return `${commit.sha} changes ${outside.join(', ')}`;
    const [parent] = commit.parents;
    const bad = world.remote.find(ownTrailer(commit, 'Reverts') ?? '');
    const before = bad?.parents[0];
    if (parent === undefined || bad === undefined || before === undefined) return `${commit.sha} says not what it reverts`;
    if (!commit.message.includes(`This reverts commit ${bad.sha}`)) continue;
    const [onto, base] = [world.remote.commit(parent).tree, world.remote.commit(before).tree];
    const wrong = commit.paths.find((path) => onto[path] !== bad.tree[path] || commit.tree[path] !== base[path]);
    if (wrong !== undefined) return `${commit.sha} does something else to ${wrong} than to take ${bad.sha} back`;
    const half = bad.paths.find((path) => commit.tree[path] === bad.tree[path] && !path.endsWith('/replicas'));
    if (half !== undefined) return `${commit.sha} leaves ${half} of ${bad.sha}: half of a commit was reverted`;
  }
  return null;
};

/** 5.4: what was not part of what was judged is undone by a person only. */
const onlyWhatWasJudged: Rule<Pushed> = (world, deed) => {
  if (deed.branch !== MAIN) return null;
  for (const commit of commitsOf(world, deed)) {
    const id = ownTrailer(commit, 'Davylamp-Rollback') ?? '';
    const acting = deed.issue.for.find((one) => one.id === id);
    const judged = acting?.record?.badCommit;
    const [parent] = commit.parents;
    if (judged === undefined || parent === undefined || isAskedSince(world, id, 0)) continue;
    const { remote } = world;
    const [onto, then] = [remote.commit(parent).tree, remote.commit(judged).tree];
    // What holds the same as what was judged was judged, whoever brought it there since.
    for (const path of commit.paths.filter((one) => onto[one] !== then[one])) {
      const author = lastToChange(world, parent, path);
      if (author !== null && !remote.isAncestor(author.sha, judged)) {
        return `${commit.sha} undoes ${author.sha} ("${author.subject}") in ${path}, which was not part of ${judged}`;
      }
    }
  }
  return null;
};

/** 5.5: neither our own revert nor anybody's is reverted without a person; what came back is theirs. */
const neverARevert: Rule<Pushed> = (world, deed) => {
  if (deed.branch !== MAIN) return null;
  for (const commit of commitsOf(world, deed)) {
    const bad = world.remote.find(ownTrailer(commit, 'Reverts') ?? '');
    const id = ownTrailer(commit, 'Davylamp-Rollback') ?? '';
    if (bad?.subject.startsWith('Revert "') === true && !isAskedSince(world, id, 0))
      return `${commit.sha} reverts the revert ${bad.sha}`;
  }
  return null;
};

/** 5.3, 5.4: what was judged together is taken out together: to leave a part of it heals nothing. */
const allThatWasJudged: Rule<Pushed> = (world, deed) => {
  if (deed.branch !== MAIN) return null;
  const { remote } = world;
  for (const commit of commitsOf(world, deed)) {
    const id = ownTrailer(commit, 'Davylamp-Rollback') ?? '';
    const acting = deed.issue.for.find((one) => one.id === id);
    const stable = acting?.seen?.stable ?? null;
    const judged = acting?.record?.badCommit ?? null;
    const paths = world.policies.get(acting?.application ?? '')?.paths ?? [];
    if (stable === null || judged === null || !remote.isAncestor(stable, judged) || isAskedSince(world, id, 0)) continue;
    const before = remote.commit(stable).tree;
    for (let at: string | undefined = judged; at !== undefined && at !== stable; at = remote.commit(at).parents[0]) {
      const one = remote.commit(at);
      if (at !== judged && isKnownByItself(world, acting?.application ?? '', at)) break;
      const left = one.paths.find(
        (path) =>
          isWithin(path, paths) &&
          !path.endsWith('/replicas') &&
          one.tree[path] !== before[path] &&
          commit.tree[path] === one.tree[path],
      );
      if (left !== undefined) return `${commit.sha} leaves ${left} of ${at}, which was judged with ${judged}`;
    }
  }
  return null;
};

/** 5.6: a verdict about one revision acts on no other; what the cluster answered is heeded. */
const whatTheClusterSaid: Rule<Issued> = (world, { issue }) => {
  if (issue.kind !== 'push') return null;
  for (const { id, seen, record } of issue.for) {
    if (record === undefined || isReleased(world, record) || issue.branch !== MAIN) continue;
    const canary = seen?.canary ?? null;
    if (canary !== null && !holdsSame(world, record, canary))
      return `${id} is pushed although the cluster said that it runs ${canary}`;
  }
  return null;
};

/** 5.7: the abort hits the revision that was judged, while it is not completed, and no other. */
const abortsTheJudged: Rule<Aborted> = (world, { issue, canary, stable }) => {
  const isJudged = issue.for.every(({ record }) => record === undefined || holdsSame(world, record, issue.what));
  if (canary === issue.what && isJudged) return null;
  return `the abort for ${issue.what} hit ${canary ?? `nothing but the stable ${stable}`}`;
};

/** 5.10, 5.12 and the kill switches: no push and no abort on a reading that says stopped or shadow, or on none. */
const allowedByWhatWasRead: Rule<Issued> = (world, { issue }) => {
  for (const { id, application, reading } of issue.for) {
    if (reading === null || reading.answer === null) return `${issue.kind} for ${id} without having read the switches`;
    if (reading.answer === 'stopped') return `${issue.kind} for ${id} although the switch was read as set`;
    if (reading.mode === 'shadow') return `${issue.kind} for ${id} although ${application} is in shadow`;
    if (reading.mode === 'propose' && (issue.kind === 'abort' || issue.branch === MAIN)) {
      return `${issue.kind} for ${id} although ${application} only proposes`;
    }
    const executing = world.executing.get(id);
    if (executing === undefined) return `${issue.kind} for ${id}, which never was executing`;
    if (reading.step < executing.step) return `${issue.kind} for ${id} on what was read before it was executing`;
  }
  return null;
};

/** The guards are asked again right before a push: once the branch was read for it, and anew after two seconds of racing. */
const readsAnew: Rule<Issued> = (_world, { issue }) => {
  const { fetched } = issue;
  if (fetched === null) return null;
  for (const { id, guarded } of issue.for) {
    // A shorter chain after a lost race leaves some to the next one, with what their guards said a moment ago.
    if (guarded === null || (guarded.step < fetched.first.step && fetched.first.at - guarded.at > GUARDED_FOR_MS))
      return `${id} is pushed on guards asked before the branch was read`;
    if (guarded.step < fetched.last.step && fetched.last.at - guarded.at > GUARDED_FOR_MS) {
      return `${id} is pushed on what guards said ${fetched.last.at - guarded.at} ms before`;
    }
  }
  return null;
};

/** A kill switch counts at once: it is read anew for every try of a push, however short ago it was free. */
const readsSwitchesAnew: Rule<Issued> = (_world, { issue }) => {
  const { fetched } = issue;
  if (fetched === null) return null;
  for (const { id, freshest } of issue.for) {
    if (freshest === null || freshest.step < fetched.last.step) return `${id} is pushed on switches read before the branch was`;
    if (freshest.answer === 'stopped') return `${id} is pushed although the switches were last read as set`;
  }
  return null;
};

/** What a crash must not forget is stored before the push: that it begins. */
const marksBeforePush: Rule<Issued> = (world, { issue }) => {
  if (issue.kind !== 'push') return null;
  for (const { id } of issue.for) {
    const isMarked = world.deeds.some(
      (deed) => deed.kind === 'stored' && deed.after.id === id && deed.after.pushStarted !== null,
    );
    if (!isMarked) return `${id} is pushed, and nobody has stored that a push begins`;
  }
  return null;
};

/** A person's no is a no: nothing is pushed or aborted after it was stored, unless that had begun before. */
const refusalHolds: Rule<Issued> = (world, { issue }) => {
  for (const { id, isMarked, reading } of issue.for) {
    const refused = world.refused.get(id);
    if (refused === undefined || isMarked) continue;
    // An abort has no mark: it rests on the record as it was when the guards were asked.
    if (issue.kind === 'push' || reading === null || reading.step > refused)
      return `${issue.kind} for ${id}, which was refused in step ${refused}`;
  }
  return null;
};

/** 5.11: every act has its decision in the journal before it. */
const journalFirst: Rule<Issued> = (world, { issue }) => {
  for (const { id } of issue.for) {
    const events = world.journaled.get(id) ?? [];
    for (const event of ['rollback.decided', 'rollback.executing']) {
      if (!events.some((one) => one.event === event)) return `${issue.kind} for ${id} without ${event} in the journal`;
    }
  }
  return null;
};

/** 5.11: a state, and the reason of it, goes into the journal together with the record. */
const everyStepJournaled: Rule<Stored> = (_world, { before, after, entries }) => {
  if (before !== undefined && before.state === after.state && before.code === after.code) return null;
  if (after.code === 'rebuilt' || entries.some(({ subject }) => subject === after.id)) return null;
  return `${after.id} became ${after.state} (${after.code}) without a word in the journal`;
};

/** Limits per day: what the store told of when the guards asked. */
const limitsHold: Rule<Issued> = (world, { issue }) => {
  if (issue.kind !== 'push') return null;
  for (const { id, application, reading, record } of issue.for) {
    const policy = world.policies.get(application);
    if (reading === null || record === undefined || policy === undefined || isReleased(world, record)) continue;
    const written = [...world.written].filter(([other, step]) => other !== id && step < reading.step).map(([other]) => other);
    const own = written.filter((other) => world.data.get('rollback', other)?.index.application === application);
    if (own.length >= policy.maxPerDay) return `${id} goes beyond the ${policy.maxPerDay} rollbacks a day of ${application}`;
    const mostOfRepository = world.fleet.repositories.get(policy.repository)?.maxPerDay ?? Infinity;
    if (written.length >= Math.min(mostOfRepository, world.fleet.maxPerDay))
      return `${id} goes beyond what one day may have in all`;
  }
  return null;
};

/** 5.2: what turned bad together is no release's fault. */
const fleetHolds: Rule<Issued> = (world, { issue }) => {
  const { breaker } = world.fleet;
  if (!breaker.isEnabled) return null;
  for (const { id, reading, record } of issue.for) {
    if (reading === null || record === undefined || isReleased(world, record)) continue;
    const together = new Set([record.application]);
    for (const [other, step] of world.decided) {
      const known = world.data.get('rollback', other)?.value as Rollback | undefined;
      if (known === undefined || known.code === 'rebuilt' || step >= reading.step) continue;
      const apart = Date.parse(record.decidedAt) - Date.parse(known.decidedAt);
      if (known.trigger !== 'manual' && apart >= 0 && apart <= breaker.within) together.add(known.application);
    }
    if (together.size >= breaker.applications)
      return `${issue.kind} for ${id}, beside ${together.size} applications that turned bad`;
  }
  return null;
};

const RULES = {
  issued: {
    allowedByWhatWasRead,
    readsAnew,
    readsSwitchesAnew,
    whatTheClusterSaid,
    marksBeforePush,
    refusalHolds,
    journalFirst,
    limitsHold,
    fleetHolds,
  },
  pushed: { allThatWasJudged, exactlyOnce, neverForced, onlyTheApplication, onlyWhatWasJudged, neverARevert },
  aborted: { abortsTheJudged },
  stored: { everyStepJournaled },
} as const;

const checked = new WeakMap<World, number>();

/** The first rule that something of the last step breaks; null: all hold. */
export function broken(world: World): string | null {
  const from = checked.get(world) ?? 0;
  checked.set(world, world.deeds.length);
  for (const deed of world.deeds.slice(from)) {
    const said = brokenBy(world, deed);
    if (said !== null) return said;
  }
  return null;
}

function brokenBy(world: World, deed: Deed): string | null {
  switch (deed.kind) {
    case 'issued':
      return first(RULES.issued, world, deed);
    case 'pushed':
      return first(RULES.pushed, world, deed);
    case 'aborted':
      return first(RULES.aborted, world, deed);
    case 'stored':
      return first(RULES.stored, world, deed);
  }
}

function first<T>(rules: Readonly<Record<string, Rule<T>>>, world: World, deed: T): string | null {
  for (const [name, rule] of Object.entries(rules)) {
    const said = rule(world, deed);
    if (said !== null) return `${name}: ${said}`;
  }
  return null;
}

/** What has to be the case when all has come to rest. */
export function brokenAtTheEnd(world: World): string | null {
  const { remote } = world;
  for (const rollback of world.rollbacks()) {
    const { id, state, code, sentence, revertCommit, revertRef } = rollback;
    if (state === 'held' && (code === '' || sentence === '')) return `atTheEnd: ${id} is held without a reason`;
    if (!['pushed', 'synced', 'recovered', 'not_recovered'].includes(state)) continue;
    if (revertCommit === null || !remote.isAncestor(revertCommit, remote.head)) {
      return `atTheEnd: ${id} is ${state}, and ${revertCommit ?? 'no commit'} (${revertRef ?? ''}) is not on the branch`;
    }
  }
  const known = new Set(world.rollbacks().map(({ id }) => id));
  for (const [id] of world.decided) if (!known.has(id)) return `atTheEnd: ${id} is lost`;
  return null;
}

/** Our commits that a push brought to a branch. */
function commitsOf({ remote }: World, { branch, commit }: Pushed): Commit[] {
  const move = remote.moves.findLast((one) => one.branch === branch && one.to === commit);
  return move === undefined ? [] : remote.brought(move).filter((one) => ownTrailer(one, 'Davylamp-Rollback') !== null);
}

function idsOf(world: World, deed: Pushed): string[] {
  return commitsOf(world, deed).map((commit) => ownTrailer(commit, 'Davylamp-Rollback') ?? '');
}

/** Whether a person stands behind it: an approval after a step, or the request itself. */
function isAskedSince(world: World, id: string, step: number): boolean {
  const events = world.journaled.get(id) ?? [];
  return events.some((one) => one.step >= step && one.event === 'rollback.approved' && one.by !== null && isPerson(one.by));
}

/** The record may have moved on since it was read: two run it when a lock is lost, and who was first has used the approval up. */
function isReleased(world: World, { id, trigger }: Rollback): boolean {
  return trigger === 'manual' || isAskedSince(world, id, 0);
}

/** Whether what a commit holds of the application was judged by itself. */
function isKnownByItself(world: World, application: string, commit: string): boolean {
  const paths = world.policies.get(application)?.paths ?? [];
  return [...world.judged].some((one) => {
    const [of, revision = ''] = one.split(' ');
    if (of !== application) return false;
    if (revision === commit) return true;
    const changed = changedBetween(world.remote.commit(revision).tree, world.remote.commit(commit).tree);
    return !changed.some((path) => isWithin(path, paths));
  });
}

/** Whether a commit holds the content of the application that was judged. */
function holdsSame(world: World, { application, badCommit }: Rollback, commit: string): boolean {
  if (commit === badCommit) return true;
  const paths = world.policies.get(application)?.paths ?? [];
  const [one, other] = [world.remote.commit(badCommit).tree, world.remote.commit(commit).tree];
  return !changedBetween(one, other).some((path) => isWithin(path, paths));
}

/** All whose files a joint plan changes have said that it may. */
function isJoint(world: World, policy: Policy, path: string): boolean {
  if (!policy.jointPlans) return false;
  const owners = [...world.policies.values()].filter((other) => isWithin(path, other.paths));
  return owners.length > 0 && owners.every((owner) => owner.jointPlans);
}

/** The commit, along the first parents, that gave a file the content that it has at a commit. */
function lastToChange({ remote }: World, sha: string, path: string): Commit | null {
  for (let at: string | undefined = sha; at !== undefined; at = remote.commit(at).parents[0]) {
    const commit = remote.commit(at);
    if (commit.paths.includes(path)) return commit;
  }
  return null;
}
