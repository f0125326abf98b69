import { describe, expect, it } from 'vitest';
import type { CommitFacts } from '../git/port.ts';
import { CodedError } from '../errors.ts';
import { EXAMPLES } from '../http/examples.ts';
import type { Rollback } from '../rollback/record.ts';
import { proposalOrder, type OrderingContext } from './ordering.ts';
import type { ForgeConfig } from './schema.ts';

const never = new AbortController().signal;
const [BAD, NEWER, HEAD] = ['b'.repeat(40), 'd'.repeat(40), 'e'.repeat(40)] as const;
const rollback: Rollback = {
  ...(EXAMPLES['Rollback'] as Rollback),
  id: 'rb-1',
  badCommit: BAD,
  revertRef: 'refs/heads/davylamp/rb-1',
  plan: {
    kind: 'restore',
    hash: 'h',
    head: HEAD,
    good: 'a'.repeat(40),
    undoes: [NEWER, BAD],
    changed: ['apps/shop/values.yaml', 'apps/shop/job.sql'],
    kept: [],
    joint: [],
    prunes: [],
    automation: [],
    diff: '',
  },
};

function context(forge: ForgeConfig, files: Record<string, string> = {}): OrderingContext {
  const commit = (sha: string): CommitFacts => ({
    sha,
    parents: [],
    subject: `Subject of ${sha.slice(0, 3)}`,
    message: '',
    paths: [],
    onBranch: true,
    author: { name: 'n', email: 'e' },
    at: 0,
  });
  return {
    forge,
    metrics: [],
    url: null,
    repository: {
      branch: 'main',
      commit: (sha) => (sha === BAD ? Promise.reject(new CodedError('commit_unknown', 'gone')) : Promise.resolve(commit(sha))),
      readFile: (at, path) => Promise.resolve(at === HEAD ? (files[path] ?? null) : null),
    },
  };
}

describe('the order for a pull request', () => {
  it('names the branch of the rollback, what is undone, and the label', async () => {
    const order = await proposalOrder(rollback, context('github'), never);
    expect(order).toMatchObject({
      branch: 'davylamp/rb-1',
      base: 'main',
      title: 'Revert "Subject of ddd"',
      labels: ['davylamp'],
      reviewers: [],
      autoMerge: false,
    });
    expect(order.body).toContain(`\`${BAD}\``);
    expect(await proposalOrder(rollback, context('github'), never)).toEqual(order);
  });

  it('asks the owners of what changes, by the file that the forge reads', async () => {
    const files = { 'docs/CODEOWNERS': '* @wrong', '.github/CODEOWNERS': '/apps/shop/ @shop\n*.sql @dba', CODEOWNERS: '* @root' };
    expect((await proposalOrder(rollback, context('github', files), never)).reviewers).toEqual(['shop', 'dba']);
    expect((await proposalOrder(rollback, context('gitlab', files), never)).reviewers).toEqual(['root']);
    // Gitea's file is another kind, which it reads itself.
    expect((await proposalOrder(rollback, context('gitea', files), never)).reviewers).toEqual([]);
  });

  it('asks whom the configuration names, or nobody', async () => {
    const files = { CODEOWNERS: '* @root' };
    const of = async (reviewers: 'none' | string[]) =>
      await proposalOrder(rollback, context({ type: 'gitlab', reviewers, labels: [], autoMerge: true }, files), never);
    expect(await of(['robin', 'acme/platform'])).toMatchObject({
      reviewers: ['robin', 'acme/platform'],
      labels: [],
      autoMerge: true,
    });
    expect((await of('none')).reviewers).toEqual([]);
  });
});
