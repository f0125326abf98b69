import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Proposed } from '../../forge/port.ts';
import type { Reverter } from '../../git/port.ts';
import type { LedgerEntry } from '../../ledger/record.ts';
import {
  BAD,
  FLEET,
  HASH,
  HOUR,
  MINUTE,
  NOW,
  OTHER_HASH,
  PLAN,
  POLICY,
  commitFacts,
  guardFacts,
  rollbackOf,
} from '../../../test/support/guard-facts.ts';
import type { GuardFacts } from './facts.ts';
import { allHolding, heldBy } from './guards.ts';
import { heldIn } from './held.ts';
import { sameLines } from './lines.ts';
import { modeFor } from './mode.ts';

const codeOf = (change: Partial<GuardFacts>) => heldBy(guardFacts(change))?.code ?? null;
const approval = (by: string, plan = HASH, change: { expiresAt?: string; about?: string } = {}) => ({
  by,
  plan,
  at: new Date(NOW - MINUTE).toISOString(),
  expiresAt: new Date(NOW + HOUR).toISOString(),
  ...change,
});
const stop = {
  scope: 'global' as const,
  name: null,
  stopped: true,
  reason: 'prom is moved',
  by: 'ada',
  at: '2026-05-04T09:00:00.000Z',
};
const ledger = (change: Partial<LedgerEntry>): LedgerEntry => ({
  application: 'shop',
  revision: BAD,
  standing: 'unknown',
  rank: null,
  since: '2026-05-04T09:00:00.000Z',
  by: 'analysis',
  reason: 'it failed',
  reference: null,
  content: null,
  firstLiveAt: null,
  updatedAt: '2026-05-04T09:00:00.000Z',
  ...change,
});
const proposal = (change: Partial<Proposed>): Proposed => ({
  url: 'https://git.example/deploy/pulls/7',
  number: 7,
  state: 'open',
  endedBy: null,
  mergeCommit: null,
  branch: 'revert-shop',
  ...change,
});

/** Facts under which exactly this guard holds; `asked`: it holds a rollback that a person asked for, too. */
const CASES: { code: string; facts: Partial<GuardFacts>; asked: boolean; says: string }[] = [
  { code: 'stopped_globally', facts: { stopped: [stop] }, asked: true, says: 'ada stopped rollbacks everywhere' },
  {
    code: 'stopped_repository',
    facts: { stopped: [{ ...stop, scope: 'repository', name: 'deploy' }] },
    asked: true,
    says: 'for repository deploy',
  },
  {
    code: 'stopped_application',
    facts: { stopped: [{ ...stop, scope: 'application', name: 'shop' }] },
    asked: true,
    says: 'for application shop',
  },
  { code: 'stopped_globally', facts: { fleet: { ...FLEET, isEnabled: false } }, asked: true, says: 'rollbacks.enabled' },
  {
    code: 'stopped_repository',
    facts: { fleet: { ...FLEET, repositories: new Map([['deploy', { isOff: true, maxPerDay: 10 }]]) } },
    asked: true,
    says: 'repositories.deploy.rollbacks: off',
  },
  {
    code: 'revert_refused',
    facts: { reverts: { own: null, byOthers: [], proposals: [proposal({ state: 'closed', endedBy: 'bob' })] } },
    asked: false,
    says: 'bob closed the proposal https://git.example/deploy/pulls/7',
  },
  {
    code: 'refused_before',
    facts: { past: { ...guardFacts().past, refused: { rollback: 'rb-0', sentence: 'refused by bob: it is wanted' } } },
    asked: false,
    says: 'rollback rb-0: refused by bob',
  },
  {
    code: 'another_revision_runs',
    facts: { running: { kind: 'other', revision: 'b'.repeat(40), how: 'as the canary' } },
    asked: false,
    says: 'the cluster runs bbbbbbbbbb as the canary',
  },
  {
    code: 'sync_running',
    facts: { running: { kind: 'syncing', revision: 'b'.repeat(40) } },
    asked: false,
    says: 'in the middle of applying bbbbbbbbbb',
  },
  { code: 'delivery_unknown', facts: { running: { kind: 'unknown', reason: 'it is away' } }, asked: false, says: 'it is away' },
  {
    code: 'frozen',
    facts: { fleet: { ...FLEET, frozen: [{ start: '2026-05-04T00:00:00Z', end: '2026-05-05T00:00:00Z' }] } },
    asked: true,
    says: 'until 2026-05-05T00:00:00.000Z',
  },
  {
    code: 'opted_out',
    facts: { bad: commitFacts({ message: 'shop 1.2.0\n\nRollback: never\n' }) },
    asked: true,
    says: 'ask Ada',
  },
  {
    code: 'reverts_a_revert',
    facts: { bad: commitFacts({ subject: 'Revert "shop 1.1.0"' }) },
    asked: true,
    says: 'is itself a revert',
  },
  {
    code: 'came_back',
    facts: { reverts: { own: 'c'.repeat(40), byOthers: [], proposals: [] } },
    asked: true,
    says: 'cccccccccc took it out',
  },
  {
    code: 'reverted_before',
    facts: {
      reverts: {
        own: null,
        byOthers: [
          {
            commit: 'd'.repeat(40),
            by: 'other',
            author: { name: 'Bob', email: 'b@x' },
            at: NOW,
            subject: 'Revert',
          } satisfies Reverter,
        ],
        proposals: [],
      },
    },
    asked: true,
    says: 'dddddddddd by Bob',
  },
  {
    code: 'revert_open',
    facts: { reverts: { own: null, byOthers: [], proposals: [proposal({})] } },
    asked: true,
    says: 'https://git.example/deploy/pulls/7',
  },
  { code: 'marked_good', facts: { known: ledger({ standing: 'good', by: 'ada' }) }, asked: false, says: 'ada marked' },
  { code: 'suspect_revision', facts: { known: ledger({ standing: 'suspect' }) }, asked: false, says: 'did not help before' },
  {
    code: 'last_rollback_did_not_help',
    facts: { past: { ...guardFacts().past, unhelpful: 'rb-0' } },
    asked: true,
    says: 'rb-0',
  },
  { code: 'too_old', facts: { liveSince: NOW - 25 * HOUR }, asked: false, says: 'live since 1d1h and guards.maxAge is 1d' },
  {
    code: 'loop',
    facts: { past: { ...guardFacts().past, sameContent: [NOW - 2 * HOUR, NOW - 5 * HOUR] } },
    asked: true,
    says: 'taken out 2 times before',
  },
  {
    code: 'cool_down',
    facts: { past: { ...guardFacts().past, sameContent: [NOW - 59 * MINUTE] } },
    asked: false,
    says: 'guards.coolDown is 1h',
  },
  {
    code: 'newer_commits',
    facts: { notJudged: [commitFacts({ sha: 'e'.repeat(40), subject: 'price list' })] },
    asked: true,
    says: '1 commit that was not part of what was judged (eeeeeeeeee price list)',
  },
  {
    code: 'destructive_prune',
    facts: { plan: { ...PLAN, prunes: ['PersistentVolumeClaim shop/data'] } },
    asked: true,
    says: 'PersistentVolumeClaim shop/data',
  },
  {
    code: 'shared_paths',
    facts: { sharing: ['shop-eu', 'shop-us'] },
    asked: true,
    says: 'shop-eu, shop-us deploy the same paths',
  },
  {
    code: 'approval_needed',
    facts: { plan: { ...PLAN, changed: ['apps/shop/migrations/0001.sql'] } },
    asked: true,
    says: 'apps/shop/migrations/0001.sql',
  },
  {
    code: 'limit_per_day',
    facts: { past: { ...guardFacts().past, today: { application: 3, repository: 3, everywhere: 3 } } },
    asked: true,
    says: '3 rollbacks of shop',
  },
  {
    code: 'limit_per_day_repository',
    facts: { past: { ...guardFacts().past, today: { application: 0, repository: 10, everywhere: 10 } } },
    asked: true,
    says: 'in repository deploy were pushed in the last 24 hours and repositories.deploy.maxPerDay is 10',
  },
  {
    code: 'limit_per_day_everywhere',
    facts: { past: { ...guardFacts().past, today: { application: 0, repository: 0, everywhere: 30 } } },
    asked: true,
    says: 'rollbacks.maxPerDay is 30',
  },
];
const NEVER_RELEASED = ['stopped_globally', 'stopped_repository', 'stopped_application', 'revert_refused'];

describe('guards', () => {
  it('let an ordinary bad commit pass', () => {
    expect(heldBy(guardFacts())).toBeNull();
    expect(allHolding(guardFacts())).toEqual([]);
  });

  it.each([
    'Revert "shop 1.1.0" (#7)',
    'revert(shop): shop 1.1.0',
    'Merge pull request #5 from acme/davylamp/rb-1f0a\n\nReverts the release',
    'Merge pull request #5 from acme/undo\n\nRevert "shop 1.1.0"',
    "Merge branch 'davylamp/rb-1f0a' into 'main'\n\nSee merge request acme/shop!5",
    'Merge pull request \'Revert "shop 1.1.0"\' (#5) from undo into main',
  ])('5.5 never revert a revert, merged ones included: %j', (message) => {
    const bad = commitFacts({ message, subject: message.split('\n')[0] ?? '' });
    expect(codeOf({ bad })).toBe('reverts_a_revert');
  });

  it('say what else an approval would release: nobody deletes data without having seen it', () => {
    const plan = { ...PLAN, prunes: ['PersistentVolumeClaim shop/data (a/pvc.yaml)'] };
    const held = heldBy(guardFacts({ plan, running: { kind: 'syncing', revision: 'b'.repeat(40) } }));
    expect(held?.sentence).toContain('an approval releases these, too: destructive_prune');
    expect(heldBy(guardFacts({ plan, stopped: [stop] }))?.sentence).not.toContain('releases these');
  });

  it.each(CASES)('hold with $code, and say why: $says', ({ code, facts, says }) => {
    const held = heldBy(guardFacts(facts));
    expect(held?.code).toBe(code);
    expect(held?.sentence).toContain(says);
    expect(allHolding(guardFacts(facts)).map((one) => one.code)).toEqual([code]);
  });

  it.each(CASES)('$code holds what a person asked for: $asked', ({ code, facts, asked }) => {
    expect(codeOf({ ...facts, rollback: rollbackOf({ trigger: 'manual', requestedBy: 'ada' }) })).toBe(asked ? code : null);
  });

  it.each(CASES)('$code is released by an approval of this plan, kill switches and a human no aside', ({ code, facts }) => {
    const held = heldBy(guardFacts(facts));
    expect(held?.approvable).toBe(!NEVER_RELEASED.includes(code));
    expect(codeOf({ ...facts, rollback: rollbackOf({ approvals: [approval('bob')] }) })).toBe(
      NEVER_RELEASED.includes(code) ? code : null,
    );
  });

  it('name every one that holds, for whoever asks before', () => {
    const facts = guardFacts({ stopped: [stop], liveSince: NOW - 25 * HOUR, plan: { ...PLAN, prunes: ['a volume'] } });
    expect(allHolding(facts).map(({ code }) => code)).toEqual(['stopped_globally', 'too_old', 'destructive_prune']);
  });

  it('are all in docs/guards.md, in their order', () => {
    const page = readFileSync(new URL('../../../docs/guards.md', import.meta.url), 'utf8');
    const rows = [...page.matchAll(/^\| `([a-z_]+)` +\|.*\| (yes|no) +\|/gm)].map(([, code, asked]) => `${code} ${asked}`);
    const known = new Set(CASES.map(({ code, asked }) => `${code} ${asked ? 'yes' : 'no'}`));
    // Not from a guard of one rollback: another plan than was approved, what holds many, and the remote itself.
    const others = ['plan_changed', 'fleet_breaker', 'git_push_refused'];
    expect(rows.filter((row) => !others.includes(row.split(' ')[0] ?? ''))).toEqual([...known]);
    expect(rows).toContain('fleet_breaker no');
  });

  it('leave what they hold in the record, final only for a human no', () => {
    const held = heldIn(rollbackOf(), { code: 'x', sentence: 'why', approvable: true, incident: 'fleet-1' }, NOW);
    expect(held).toMatchObject({ state: 'held', code: 'x', sentence: 'why', incident: 'fleet-1' });
    expect(heldIn(rollbackOf(), { code: 'x', sentence: 'why', approvable: false, isFinal: true }, NOW)).toMatchObject({
      state: 'refused',
    });
  });
});

describe('an approval', () => {
  const prune = { ...PLAN, prunes: ['PersistentVolumeClaim shop/data'] };
  const withApprovals = (...approvals: ReturnType<typeof approval>[]) => ({ plan: prune, rollback: rollbackOf({ approvals }) });

  it('counts for the plan that was seen only; for another one both are told', () => {
    const held = heldBy(guardFacts(withApprovals(approval('bob', OTHER_HASH, { about: 'plan 9b74: revert of 4f2c' }))));
    expect(held?.code).toBe('plan_changed');
    expect(held?.sentence).toContain('plan 9b74: revert of 4f2c');
    expect(held?.sentence).toContain(`plan ${HASH.slice(0, 12)}: revert of ${BAD.slice(0, 10)}, 1 path: apps/shop/rollout.yaml`);
    expect(held?.sentence).toContain('PersistentVolumeClaim');
  });

  it('of another plan is not missed where nothing holds this one', () => {
    expect(codeOf({ rollback: rollbackOf({ approvals: [approval('bob', OTHER_HASH)] }) })).toBeNull();
  });

  it('expires', () => {
    const expired = approval('bob', HASH, { expiresAt: new Date(NOW).toISOString() });
    expect(codeOf(withApprovals(expired))).toBe('destructive_prune');
  });

  it('of two people is needed where the application says so, the same one twice counts once', () => {
    const policy = { ...POLICY, approvals: 2 };
    expect(codeOf({ ...withApprovals(approval('bob')), policy })).toBe('destructive_prune');
    expect(codeOf({ ...withApprovals(approval('bob'), approval('bob')), policy })).toBe('destructive_prune');
    expect(codeOf({ ...withApprovals(approval('bob'), approval('eve', OTHER_HASH)), policy })).toBe('destructive_prune');
    expect(codeOf({ ...withApprovals(approval('bob'), approval('eve')), policy })).toBeNull();
  });

  it('of who asked for it is none of the two', () => {
    const rollback = rollbackOf({ trigger: 'manual', requestedBy: 'bob', approvals: [approval('bob'), approval('eve')] });
    expect(codeOf({ plan: prune, rollback, policy: { ...POLICY, approvals: 2 } })).toBe('destructive_prune');
    expect(codeOf({ plan: prune, rollback })).toBeNull();
  });
});

describe('the rules of the design that guards keep', () => {
  it('5.4 a commit that was not part of what was judged is never undone without a person', () => {
    expect(codeOf({ notJudged: [commitFacts({ sha: 'e'.repeat(40) })] })).toBe('newer_commits');
  });

  it.each([
    ['our own', { subject: 'Revert "shop 1.2.0"', message: 'Revert "shop 1.2.0"\n\nDavylamp-Rollback: rb-1\n' }],
    ["git's", { subject: 'take it back', message: `take it back\n\nThis reverts commit ${'a'.repeat(40)}.\n` }],
    ['a trailer', { subject: 'x', message: 'x\n\nReverts: abc1234\n' }],
    [
      'one that was merged',
      { subject: 'Merge pull request #7 from x', message: 'Merge pull request #7 from x\n\nReapply "shop v2"\n' },
    ],
  ])('5.5 a revert is never reverted: %s', (_, message) => {
    expect(codeOf({ bad: commitFacts(message) })).toBe('reverts_a_revert');
  });

  it('5.5 a loop is stopped after one repeat', () => {
    const past = (sameContent: number[]) => ({ past: { ...guardFacts().past, sameContent } });
    expect(codeOf(past([NOW - 2 * HOUR]))).toBeNull();
    expect(codeOf(past([NOW - 2 * HOUR, NOW - 3 * HOUR]))).toBe('loop');
  });

  it('5.5 after a rollback that did not help the next one waits', () => {
    expect(codeOf({ past: { ...guardFacts().past, unhelpful: 'rb-0' } })).toBe('last_rollback_did_not_help');
  });

  it('5.7 a verdict about one revision acts on no other', () => {
    expect(codeOf({ running: { kind: 'other', revision: 'b'.repeat(40), how: 'by now' } })).toBe('another_revision_runs');
  });

  it('5.10 what would delete data needs an approval', () => {
    expect(codeOf({ plan: { ...PLAN, prunes: ['StatefulSet shop/db'] } })).toBe('destructive_prune');
  });

  it.each<[string, { confounded: boolean; undeployable?: boolean }, Partial<typeof POLICY>, string]>([
    ['5.2 without a live baseline it proposes', { confounded: true }, {}, 'propose'],
    ['5.2 unless the application opted in', { confounded: true }, { onConfounded: 'rollback' }, 'rollback'],
    ['5.12 shadow stays shadow', { confounded: true }, { mode: 'shadow' }, 'shadow'],
    ['5.2 with a live baseline it rolls back', { confounded: false }, {}, 'rollback'],
    ['5.1 a release that does not live is proposed', { confounded: false, undeployable: true }, {}, 'propose'],
    [
      '5.1 unless the application opted in',
      { confounded: false, undeployable: true },
      { onUndeployable: 'rollback' },
      'rollback',
    ],
  ])('%s', (_, cause, change, mode) => {
    expect(modeFor({ ...POLICY, ...change }, cause)).toBe(mode);
  });
});

describe('an opt-out', () => {
  it.each([
    ['shop 1.2.0\n\nSigned-off-by: Ada\nRollback: never\n', true],
    ['shop 1.2.0\n\n  rollback:  Never  \n', true],
    ['shop 1.2.0\n\nNOAUTOREVERT=true\n', true],
    ['shop 1.2.0, see NOAUTOREVERT = true below\n', true],
    ['shop 1.2.0\n\nRollback: never mind\n', false],
    ['shop 1.2.0\n\nNo Rollback: never\n', false],
    ['shop 1.2.0\n\nNOAUTOREVERT=false\n', false],
  ])('in %j: %s', (message, optsOut) => {
    expect(codeOf({ bad: commitFacts({ message }) })).toBe(optsOut ? 'opted_out' : null);
  });

  it('of any commit that would be undone counts', () => {
    const undone = [commitFacts(), commitFacts({ sha: 'e'.repeat(40), message: 'schema 7\n\nRollback: never\n' })];
    expect(heldBy(guardFacts({ undone }))?.sentence).toContain('eeeeeeeeee');
  });
});

describe('a proposal to revert the same commit', () => {
  const by = (...proposals: Proposed[]) => ({ reverts: { own: null, byOthers: [], proposals } });

  it.each<[string, Proposed, string | null]>([
    ['of ours that is open is this one', proposal({ branch: 'davylamp/rb-1' }), null],
    [
      'of ours that somebody closed is a no',
      proposal({ branch: 'davylamp/rb-1', state: 'closed', endedBy: 'bob' }),
      'revert_refused',
    ],
    ['of ours that nobody else closed is none', proposal({ branch: 'davylamp/rb-1', state: 'closed' }), null],
    [
      'of another application is not about this one',
      proposal({ branch: 'davylamp/rb-2', state: 'closed', endedBy: 'bob' }),
      null,
    ],
    ['that was closed without saying by whom is a no', proposal({ state: 'closed' }), 'revert_refused'],
    ['that was merged is told by the content', proposal({ state: 'merged', endedBy: 'bob' }), null],
  ])('%s', (_, one, code) => {
    expect(codeOf(by(one))).toBe(code);
  });
});

describe('the age of a revision', () => {
  it('counts from its first moment live, and not where nobody knows that', () => {
    expect(codeOf({ liveSince: NOW - 24 * HOUR })).toBeNull();
    expect(codeOf({ liveSince: NOW - 24 * HOUR - 1 })).toBe('too_old');
    expect(codeOf({ liveSince: null })).toBeNull();
  });
});

describe('what an analysis proved good', () => {
  it('may fail later; what a person marked good waits for one', () => {
    expect(codeOf({ known: ledger({ standing: 'good', by: 'analysis' }) })).toBeNull();
    expect(codeOf({ known: ledger({ standing: 'good', by: 'ada' }) })).toBe('marked_good');
    expect(codeOf({ known: ledger({ standing: 'bad', by: 'ada' }) })).toBeNull();
  });
});

describe('limits', () => {
  it('let pass below, and one of 0 always holds', () => {
    const past = { ...guardFacts().past, today: { application: 2, repository: 9, everywhere: 29 } };
    expect(codeOf({ past })).toBeNull();
    expect(codeOf({ policy: { ...POLICY, maxPerDay: 0 } })).toBe('limit_per_day');
  });
});

describe('5.5 what came back', () => {
  const reverts = { own: 'c'.repeat(40), byOthers: [], proposals: [] };

  it('is not released by the approval of a push whose answer was lost', () => {
    const approvals = [approval('bob')];
    expect(codeOf({ reverts, rollback: rollbackOf({ approvals }) })).toBeNull();
    const again = rollbackOf({ approvals, pushStarted: new Date(NOW).toISOString() });
    expect(codeOf({ reverts, rollback: again })).toBe('came_back');
    expect(heldIn(again, { code: 'came_back', sentence: 'it is back', approvable: false }, NOW).approvals).toEqual([]);
  });
});

describe('the same content', () => {
  it('is told by the lines, wherever they stand by now', () => {
    const moved = PLAN.diff.replace('@@ -1 +1 @@', '@@ -7 +7 @@\n # more above');
    expect(sameLines(PLAN.diff, moved)).toBe(true);
    expect(sameLines(PLAN.diff, PLAN.diff.replace('version: 2', 'version: 3'))).toBe(false);
    expect(sameLines(PLAN.diff, PLAN.diff.replaceAll('rollout.yaml', 'other.yaml'))).toBe(false);
    expect(sameLines('', '')).toBe(false);
  });
});
