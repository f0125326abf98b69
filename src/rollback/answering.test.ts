import { describe, expect, it } from 'vitest';
import { CodedError } from '../errors.ts';
import type { Forge } from '../forge/port.ts';
import type { CommitFacts, Repository } from '../git/port.ts';
import { EXAMPLES } from '../http/examples.ts';
import { answerBot } from './answering.ts';
import type { ExecutorContext } from './context.ts';
import type { Policy } from './policy.ts';
import type { Rollback } from './record.ts';

const BAD = 'b'.repeat(40);
const never = new AbortController().signal;
const renovate = { name: 'renovate[bot]', email: '29139614+renovate[bot]@users.noreply.github.com' };
const dependabot = { name: 'dependabot[bot]', email: 'support@github.com' };
const person = { name: 'Robin', email: 'robin@acme.example' };

async function answered(commit: Partial<CommitFacts>, { type = 'github', fault }: { type?: string; fault?: CodedError } = {}) {
  const comments: { number: number; text: string }[] = [];
  const forge: Partial<Forge> = {
    type,
    can: { propose: true, autoMerge: true, status: true, webhook: true },
    comment(number, text) {
      comments.push({ number, text });
      return fault === undefined ? Promise.resolve() : Promise.reject(fault);
    },
  };
  const facts = { sha: BAD, subject: '', message: commit.subject ?? '', author: person, ...commit } as Partial<CommitFacts>;
  const repository: Partial<Repository> = { commit: () => Promise.resolve(facts as CommitFacts) };
  const context: Partial<ExecutorContext> = {
    forgeOf: () => forge as Forge,
    policies: new Map([['shop', { application: 'shop', repository: 'deploy', branch: 'main' } as Partial<Policy> as Policy]]),
    repositories: new Map([['deploy', repository as Repository]]),
    urlOf: () => null,
  };
  const example = EXAMPLES['Rollback'] as Rollback;
  const rollback = { ...example, application: 'shop', repository: 'deploy', branch: 'main', revertCommit: 'a'.repeat(40) };
  return { said: await answerBot(context as ExecutorContext, rollback, never), comments };
}

describe('a bot that brought the bad version', () => {
  it.each<[string, Partial<CommitFacts>, string, number]>([
    ['github', { author: renovate, subject: 'Update shop to 1.2.0 (#12)' }, 'allowedVersions', 12],
    ['github', { author: dependabot, subject: 'Bump shop from 1.1.0 to 1.2.0 (#7)' }, 'dependabot.yml', 7],
    ['github', { subject: 'Merge pull request #12 from acme/renovate/shop-1.x' }, 'allowedVersions', 12],
    ['github', { subject: 'Merge pull request #13 from acme/dependabot/docker/shop-1.2.0' }, 'dependabot.yml', 13],
    ['gitea', { subject: "Merge pull request 'Update shop' (#5) from renovate/shop into main" }, 'allowedVersions', 5],
    [
      'gitlab',
      { author: renovate, subject: 'Update shop (#3)', message: 'Update shop (#3)\n\nSee merge request acme/deploy!31' },
      'allowedVersions',
      31,
    ],
  ])('is answered on its pull request: %s, %j', async (type, commit, rule, number) => {
    const { said, comments } = await answered(commit, { type });
    expect(comments).toEqual([{ number, text: expect.stringContaining(rule) }]);
    expect(comments[0]?.text).not.toContain('@');
    expect(said).toContain(String(number));
  });

  it.each<[string, Partial<CommitFacts>]>([
    ['github', { subject: 'Update shop to 1.2.0 (#12)' }],
    ['github', { subject: 'Merge pull request #12 from acme/feature' }],
    ['github', { author: renovate, subject: 'Update shop to 1.2.0' }],
    ['gitlab', { author: renovate, subject: 'Update shop (#3)' }],
  ])('is not looked for where nothing names it: %s, %j', async (type, commit) => {
    expect(await answered(commit, { type })).toEqual({ said: null, comments: [] });
  });

  it('holds nothing up where it cannot be answered', async () => {
    const fault = new CodedError('forge_forbidden', 'no');
    const { said } = await answered({ author: renovate, subject: 'Update shop (#12)' }, { fault });
    expect(said).toContain('forge_forbidden');
  });
});
