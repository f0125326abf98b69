import type { CommitFacts } from '../../src/git/port.ts';
import type { FleetPolicy } from '../../src/rollback/fleet.ts';
import type { GuardFacts } from '../../src/rollback/guards/facts.ts';
import { opened } from '../../src/rollback/opening.ts';
import type { Policy } from '../../src/rollback/policy.ts';
import type { Plan, Rollback } from '../../src/rollback/record.ts';

/** An ordinary bad release of one application, about which no guard has anything to say. */

export const NOW = Date.parse('2026-05-04T09:30:00.000Z');
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;

export const BAD = '4f2c1d9a7be30c55d1e8f6a2b94d07c3e1f5a688';
export const HASH = '1f0a7c5d9e2b4a6c8d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e';
export const OTHER_HASH = '9b74c9897bac770ffc029102a200c5de4f0a3f1e6a1f0f6f0a4c1d2e3f405162';

export const POLICY: Policy = {
  application: 'shop',
  repository: 'deploy',
  repositoryUrl: 'https://git.example/deploy.git',
  branch: 'main',
  paths: ['apps/shop'],
  mode: 'rollback',
  maxPerDay: 3,
  maxAge: 24 * HOUR,
  coolDown: HOUR,
  bakeTime: HOUR,
  approvalPaths: ['**/migrations/**'],
  dataKinds: [],
  statelessKinds: [],
  approvals: 1,
  approvalFor: 4 * HOUR,
  onConfounded: 'propose',
  onUndeployable: 'propose',
  plan: 'revert',
  versionFields: [],
  onConflict: 'hold',
  lastGood: 'baked',
  neverRestore: [],
  jointPlans: false,
  sharedPaths: 'hold',
  automationPaths: [],
  promoteRevert: false,
};

export const FLEET: FleetPolicy = {
  isEnabled: true,
  maxPerDay: 30,
  breaker: { isEnabled: true, applications: 3, share: 0.5, within: 10 * MINUTE, settle: 5_000 },
  frozen: [],
  repositories: new Map([['deploy', { isOff: false, maxPerDay: 10 }]]),
  shares: new Map([['shop', ['repository deploy', 'source prom']]]),
};

export const PLAN: Plan = {
  kind: 'revert',
  hash: HASH,
  head: BAD,
  good: null,
  undoes: [BAD],
  changed: ['apps/shop/rollout.yaml'],
  kept: [],
  joint: [],
  prunes: [],
  automation: [],
  diff: '--- a/apps/shop/rollout.yaml\n+++ b/apps/shop/rollout.yaml\n@@ -1 +1 @@\n-version: 2\n+version: 1\n',
};

export function commitFacts(change: Partial<CommitFacts> = {}): CommitFacts {
  return {
    sha: BAD,
    parents: ['a'.repeat(40)],
    subject: 'shop 1.2.0',
    message: 'shop 1.2.0\n',
    paths: ['apps/shop/rollout.yaml'],
    onBranch: true,
    author: { name: 'Ada', email: 'ada@example.com' },
    at: NOW - HOUR,
    ...change,
  };
}

export function rollbackOf(change: Partial<Rollback> = {}, policy: Policy = POLICY): Rollback {
  const cause = {
    badCommit: BAD,
    trigger: 'analysis' as const,
    analysis: 'an-1',
    requestedBy: 'analysis',
    confounded: false,
    sentence: 'errors rose',
    details: {},
  };
  return { ...opened('rb-1', policy, cause, NOW - 10_000), plan: PLAN, ...change };
}

export function guardFacts(change: Partial<GuardFacts> = {}): GuardFacts {
  const bad = commitFacts();
  return {
    now: NOW,
    rollback: rollbackOf(),
    policy: POLICY,
    fleet: FLEET,
    bad,
    plan: PLAN,
    undone: [bad],
    notJudged: [],
    stopped: [],
    past: { today: { application: 0, repository: 0, everywhere: 0 }, sameContent: [], unhelpful: null },
    reverts: { own: null, byOthers: [], proposals: [] },
    running: { kind: 'judged' },
    known: null,
    liveSince: NOW - HOUR,
    crowd: { bad: [], analysed: [], incident: null },
    sharing: [],
    ...change,
  };
}
