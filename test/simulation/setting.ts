import type { FleetPolicy } from '../../src/rollback/fleet.ts';
import type { Policy } from '../../src/rollback/policy.ts';
import { MAIN } from './remote.ts';
import type { Random } from './random.ts';

export const START = Date.parse('2026-05-04T09:30:00.000Z');
export const APPLICATIONS = ['web', 'api', 'jobs'] as const;
const HOUR_MS = 3_600_000;

/** What a schedule is played with, drawn from its seed. */
export interface Setting {
  workers: number;
  faultRate: number;
  /** Of each service that is started while faults happen; 0: it lives. */
  crashAfterCalls: number;
  isSigned: boolean;
  hasForge: boolean;
  canObserve: boolean;
  canAbort: boolean;
  /** How long faults and people act, milliseconds. */
  busyMs: number;
  actions: number;
  othersCommits: number;
  badReleases: number;
}

export function settingOf(random: Random): Setting {
  return {
    workers: random.between(1, 3),
    faultRate: random.oneOf(0, 0.01, 0.03, 0.08),
    crashAfterCalls: random.chance(0.7) ? random.between(5, 160) : 0,
    isSigned: random.chance(0.3),
    hasForge: random.chance(0.4),
    canObserve: random.chance(0.9),
    canAbort: random.chance(0.85),
    busyMs: random.oneOf(1_500, 5_000, 20_000),
    actions: random.between(0, 7),
    othersCommits: random.chance(0.15) ? random.between(3, 20) : 0,
    badReleases: random.oneOf(1, 1, 2, 2, 3),
  };
}

export function policyOf(random: Random, application: string): Policy {
  return {
    application,
    repository: 'shop',
    repositoryUrl: 'https://git.example/shop.git',
    branch: MAIN,
    paths: [`apps/${application}`],
    mode: random.oneOf('rollback', 'rollback', 'rollback', 'rollback', 'rollback', 'rollback', 'propose', 'propose', 'shadow'),
    maxPerDay: random.between(1, 3),
    maxAge: 24 * HOUR_MS,
    coolDown: random.oneOf(0, HOUR_MS),
    approvalPaths: ['**/migrations/**'],
    dataKinds: [],
    statelessKinds: [],
    approvals: random.oneOf(1, 1, 1, 2),
    approvalFor: 4 * HOUR_MS,
    onConfounded: 'propose',
    onUndeployable: 'propose',
    plan: 'revert',
    versionFields: [],
    onConflict: random.oneOf('hold', 'restore'),
    lastGood: 'baked',
    bakeTime: HOUR_MS,
    neverRestore: random.chance(0.1) ? ['**/replicas'] : [],
    jointPlans: random.chance(0.5),
    sharedPaths: 'hold',
    automationPaths: [],
    promoteRevert: false,
  };
}

export function fleetOf(random: Random): FleetPolicy {
  return {
    isEnabled: true,
    maxPerDay: random.oneOf(2, 30),
    breaker: {
      isEnabled: random.chance(0.35),
      applications: random.oneOf(2, 3),
      share: 0.5,
      within: 600_000,
      settle: random.oneOf(0, 5_000),
    },
    frozen: [],
    repositories: new Map([['shop', { isOff: false, maxPerDay: random.oneOf(2, 10) }]]),
    shares: new Map(APPLICATIONS.map((application) => [application, ['cluster eu']])),
  };
}
