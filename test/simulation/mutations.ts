/** A rule that is broken on purpose: one place of the built code, changed as it is loaded. */
export interface Mutation {
  name: string;
  /** End of the path of the built file. */
  file: string;
  find: string;
  replace: string;
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'the guards are not asked again at the push',
    file: '/src/rollback/writing.js',
    find: "await guardPlan(context, rollback, draft, 'push', signal)",
    replace: 'null',
  },
  {
    name: 'kill switches are read and not heeded',
    file: '/src/rollback/guards/guards.js',
    find: '({ fleet, policy, stopped }) => stoppedBy(fleet, policy, stopped),',
    replace: '',
  },
  {
    name: 'the abort does not ask for the switches again',
    file: '/src/rollback/situation.js',
    find: 'await context.switches.stopping(policy)',
    replace: '[]',
  },
  {
    name: 'a push that is tried again does not read the switches anew',
    file: '/src/rollback/writing.js',
    find: 'const stop = stoppedBy(context.fleet, policy, await context.switches.stopping(policy));',
    replace: 'const stop = null;',
  },
  {
    name: 'what a push was guarded by never grows old',
    file: '/src/rollback/writing.js',
    find: 'clock.now() - made.guardedAt > GUARDED_FOR_MS',
    replace: 'false',
  },
  {
    name: 'only the newest of the commits that were judged together is taken back',
    file: '/src/rollback/drafting.js',
    find: "guilty.kind === 'one' ? attemptOf(",
    replace: 'true ? attemptOf(',
  },
  {
    name: 'a mode that allows less by now is not looked at before the push',
    file: '/src/rollback/situation.js',
    find: 'demandMode(policyOf(context, rollback), rollback);',
    replace: '',
  },
  {
    name: 'the abort is not bound to the version that was read',
    file: '/test/simulation/cluster.js',
    find: 'this.#workload.resourceVersion !== read.resourceVersion',
    replace: 'false',
  },
  {
    name: 'that a push begins is not stored before it',
    file: '/src/rollback/executor.js',
    find: 'const value = { ...rollback, pushStarted: new Date(this.#context.clock.now()).toISOString() };',
    replace: 'const value = rollback;',
  },
  {
    name: 'who was refused meanwhile stays in the chain',
    file: '/src/rollback/lane.js',
    find: 'if (await waiting.order.begin())',
    replace: 'if ((await waiting.order.begin()) || true)',
  },
  {
    name: 'a race counts as pushed',
    file: '/src/rollback/lane.js',
    find: "if (pushed === 'race')",
    replace: 'if (false)',
  },
  {
    name: 'what came back is taken out again by itself',
    file: '/src/rollback/guards/reverts.js',
    find: 'reverts.own === null',
    replace: 'true',
  },
  {
    name: 'a revert is reverted like any other commit',
    file: '/src/rollback/guards/reverts.js',
    find: 'SAYS_REVERT.some((sign) => sign.test(bad.message) || sign.test(bad.subject))',
    replace: 'false',
  },
  {
    name: 'commits that were not judged are undone',
    file: '/src/rollback/guards/plan.js',
    find: 'notJudged.length === 0',
    replace: 'true',
  },
  {
    name: 'a commit that reaches outside is reverted whole without leave',
    file: '/src/rollback/drafting.js',
    find: 'const allowed = policy.jointPlans && unowned.length === 0 && unwilling.length === 0;',
    replace: 'const allowed = true;',
  },
  {
    name: 'another revision that runs does not matter',
    file: '/src/rollback/guards/guards.js',
    find: 'unlessAsked(whatRuns),',
    replace: '',
  },
  {
    name: 'the limit of an application counts nothing',
    file: '/src/rollback/situation/past.js',
    find: 'application: counted.filter((other) => other.application === application).length,',
    replace: 'application: 0,',
  },
  {
    name: 'the fleet breaker never trips',
    file: '/src/rollback/guards/fleet.js',
    find: 'if (bad.length >= applications)',
    replace: 'if (false)',
  },
  {
    name: 'steps are stored without their journal entry',
    file: '/src/rollback/executor.js',
    find: 'const entries = changed ? [entryOf(next, `rollback.${next.state}`, clock.now())] : [];',
    replace: 'const entries = [];',
  },
];
