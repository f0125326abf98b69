import { setMaxListeners } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Repository } from '../../src/git/port.ts';
import type { RepositoryWorld } from './repository.ts';

const signal = new AbortController().signal;
setMaxListeners(0, signal);

/** Who says of himself that he takes a commit out: the words that people, forges and git itself leave behind. */
export function describeReverters(name: string, make: () => Promise<RepositoryWorld>): void {
  describe(`commits that say that they revert another one: ${name}`, () => {
    let world: RepositoryWorld;
    let repository: Repository;
    let bad: string;
    let merged: string;
    let count = 0;
    beforeAll(async () => {
      world = await make();
      repository = world.repository;
      await world.commit('root', { 'app/a': '1\n' });
      bad = await world.commit('Deploy shop 2 (#7)\n\nStory.', { 'app/a': '2\n' });
      merged = await world.commit('Say "2" [x] $(y) \\ .*', { 'app/b': '1\n' });
    });
    afterAll(async () => {
      await world.close();
    });

    const say = async (message: string): Promise<string> => {
      count += 1;
      return world.commit(message, { 'notes.txt': `${count}\n` });
    };
    const found = async (of: string) => {
      await repository.refresh(signal);
      return repository.reverters(of, signal);
    };

    it.each<[string, () => string]>([
      ['git', () => `Revert "Deploy shop 2 (#7)"\n\nThis reverts commit ${bad}.`],
      ['git, of a merge', () => `Revert "Merge"\n\nThis reverts commit ${bad}, reversing\nchanges made to ${merged}.`],
      ['git, with an edited subject', () => `Back to 1\n\nIt broke.\n\nThis reverts commit ${bad}.`],
      ['GitHub, squashed', () => 'Revert "Deploy shop 2 (#7)" (#8)\n\nReverts acme/deploy#7'],
      ['GitHub, squashed, by the title', () => 'Revert "Deploy shop 2" (#8)'],
      ['GitLab', () => `Revert "Deploy shop 2 (#7)"\n\nThis reverts merge request !3`],
      ['a trailer', () => `Back to 1\n\nReverts: ${bad}`],
      ['a short trailer', () => `Back to 1\n\nReverts: ${bad.slice(0, 12)}`],
      ['Conventional Commits', () => 'revert(shop): Deploy shop 2 (#7)'],
      ['a forged trailer', () => `x\n\nDavylamp-Rollback: rb-1\nDavylamp-Application: shop\nReverts: ${bad}`],
    ])('knows the words of %s', async (_who, message) => {
      const commit = await say(message());
      const [newest] = await found(bad);
      expect(newest).toMatchObject({ commit, by: 'other', subject: message().split('\n')[0] });
      expect(newest?.author.email).toContain('@');
      expect(newest?.at).toBeGreaterThan(0);
    });

    it.each<[string, () => string]>([
      ['another commit', () => `Revert "x"\n\nThis reverts commit ${merged}.`],
      ['a quotation', () => `Look\n\n> This reverts commit ${bad}.`],
      ['a mention', () => `Deploy shop 2 (#7) was fine, ${bad}`],
      ['a subject that only begins so', () => 'Revert "Deploy shop 2 (#7) and more"'],
      ['a revert of a revert', () => 'Revert "Revert "Deploy shop 2 (#7)""'],
      ['an id that is cut too short', () => `x\n\nReverts: ${bad.slice(0, 5)}`],
    ])('does not take %s for one', async (_what, message) => {
      const commit = await say(message());
      expect((await found(bad)).map((reverter) => reverter.commit)).not.toContain(commit);
    });

    it('takes a subject for what it is, not for a pattern', async () => {
      expect((await found(merged)).map(({ subject }) => subject)).toEqual(['Revert "x"']);
      const commit = await say('Revert "Say "2" [x] $(y) \\ .*"');
      expect((await found(merged))[0]?.commit).toBe(commit);
    });

    it('tells our own from all others', async () => {
      const message = `Revert "Deploy shop 2 (#7)"\n\nDavylamp-Rollback: rb-1\nDavylamp-Application: shop\nReverts: ${bad}\n`;
      const result = await repository.revert({ badCommit: bad, message, at: 1_700_000_000_000, paths: ['app'] }, signal);
      if (result.kind !== 'commit') throw new Error(result.kind);
      expect((await found(bad)).filter(({ by }) => by === 'us')).toEqual([]);
      expect(await repository.push(result.commit, null, signal)).toBe('pushed');
      expect((await found(bad)).filter(({ by }) => by === 'us')).toEqual([
        {
          commit: result.commit,
          by: 'us',
          author: { name: 'davylamp', email: 'davylamp@example.com' },
          at: 1_700_000_000_000,
          subject: 'Revert "Deploy shop 2 (#7)"',
        },
      ]);
    });

    it('does not know one of an unknown commit', async () => {
      await expect(repository.reverters('0123456789012345678901234567890123456789', signal)).rejects.toMatchObject({
        code: 'commit_unknown',
      });
    });
  });
}
