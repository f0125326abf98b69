import { describe, expect, it } from 'vitest';
import type { ForgeConfig } from '../forge/schema.ts';
import { check } from './check.ts';
import { resolveDefaults } from './defaults.ts';
import { configNode } from './schema.ts';

const withForge = (forge: unknown) => ({ repositories: { deploy: { url: 'https://github.com/acme/deploy.git', forge } } });
const problems = (forge: unknown) =>
  check(configNode, withForge(forge)).map(({ path, message, hint }) =>
    `${path.slice(2).join('.')}: ${message} ${hint ?? ''}`.trim(),
  );

describe('forge of a repository', () => {
  it.each([
    'none',
    'github',
    { type: 'github', app: { id: 'Iv23', installation: '77', privateKeyFile: 'key' } },
    { type: 'gitlab', reviewers: ['robin', 'acme/platform'], labels: [], autoMerge: true },
    { type: 'gitea', url: 'https://gitea.example/api/v1', project: 'acme/deploy', reviewers: 'none', webhookSecretFile: 'hook' },
  ])('is a word or the settings in full: %j', (forge) => {
    expect(problems(forge)).toEqual([]);
  });

  it('has its defaults', () => {
    const { repositories } = resolveDefaults(
      withForge({ type: 'github' }) as { repositories: Record<string, { url: string; forge: ForgeConfig }> },
    );
    expect(repositories['deploy']?.forge).toEqual({
      type: 'github',
      labels: ['davylamp'],
      autoMerge: false,
      reviewers: 'codeowners',
      timeout: '10s',
    });
  });

  it.each([
    ['gitlb', /did you mean gitlab/],
    [{ type: 'bitbucket' }, /forge\.type: expected one of github, gitlab, gitea/],
    [{ type: 'gitea', reviewers: 'robin' }, /expected one of codeowners, none/],
    [{ type: 'gitea', reviewers: [5] }, /forge\.reviewers\.0: /],
    [{ type: 'github', app: { id: '1', installation: '2' } }, /privateKeyFile: is required/],
    [{ type: 'github', labels: ['a,b'] }, /forge\.labels\.0: /],
    [{ typ: 'github' }, /did you mean type/],
  ])('says what does not fit: %j', (forge, expected) => {
    expect(problems(forge).join('\n')).toMatch(expected);
  });
});
