import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { gitWorld, type GitWorld } from '../../test/git/world.ts';
import { POLICY, rollbackOf } from '../../test/support/guard-facts.ts';
import type { Delivery } from '../delivery/port.ts';
import type { ExecutorContext } from './context.ts';
import { draftOf } from './drafting.ts';
import type { Policy } from './policy.ts';

const NEVER = new AbortController().signal;
const MAIL: Policy = { ...POLICY, application: 'mail', paths: ['apps/mail'], jointPlans: true };
let git: GitWorld;

beforeEach(async () => {
  git = await gitWorld();
});
afterEach(() => git.close());

async function draft(badCommit: string, ...policies: Policy[]) {
  const { head } = await git.repository.refresh(NEVER);
  const context = {
    policies: new Map(policies.map((policy) => [policy.application, policy])),
    repositories: new Map([['deploy', git.repository]]),
    deliveries: new Map([['shop', { type: 'stub', can: {} } as Partial<Delivery> as Delivery]]),
  } as Partial<ExecutorContext> as ExecutorContext;
  const drafted = await draftOf(context, rollbackOf({ badCommit, plan: null }), head, NEVER);
  if (drafted.kind === 'done') throw new Error(drafted.to.sentence);
  return drafted;
}

describe('a joint plan', () => {
  it('5.4 leaves alone what the other owner never wants back', async () => {
    await git.commit('good', {
      'apps/shop/a.yaml': 'v: 1\n',
      'apps/mail/a.yaml': 'v: 1\n',
      'apps/mail/sealed.yaml': 'key: old\n',
    });
    const bad = await git.commit('bad', {
      'apps/shop/a.yaml': 'v: 2\n',
      'apps/mail/a.yaml': 'v: 2\n',
      'apps/mail/sealed.yaml': 'key: new\n',
    });
    const mail = { ...MAIL, neverRestore: ['**/sealed.yaml'] };
    const { kind, draft: made } = await draft(bad, { ...POLICY, jointPlans: true }, mail);
    expect(kind).toBe('draft');
    expect(made.plan).toMatchObject({ joint: ['mail'], kept: ['apps/mail/sealed.yaml'] });
    expect(made.plan.changed.toSorted()).toEqual(['apps/mail/a.yaml', 'apps/shop/a.yaml']);
    expect(await git.repository.readFile(made.commit, 'apps/mail/sealed.yaml', NEVER)).toBe('key: new\n');
  });
});

describe('what a plan would delete', () => {
  it('5.10 counts a manifest that cannot be read for what may be in it', async () => {
    await git.commit('good', { 'apps/shop/a.yaml': 'v: 1\n' });
    const crds = `# ${'x'.repeat(1_100_000)}\nkind: CustomResourceDefinition\nmetadata:\n  name: shops.example.com\n`;
    const bad = await git.commit('bad', { 'apps/shop/crds.yaml': crds, 'apps/shop/a.yaml': 'v: 2\n' });
    const { draft: made } = await draft(bad, POLICY);
    expect(made.plan.prunes).toEqual(['what apps/shop/crds.yaml declares (it cannot be read; look through the diff)']);
  });
});
