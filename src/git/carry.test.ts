import { setMaxListeners } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Content } from '../../test/git/colleague.ts';
import { gitWorld, type GitWorld } from '../../test/git/world.ts';

const signal = new AbortController().signal;
setMaxListeners(0, signal);

let world: GitWorld;
beforeAll(async () => {
  world = await gitWorld();
});
afterAll(() => world.close());

let round = 0;
/** A revert that was made on one head, carried over to a later one, and computed anew there. */
async function carried(later: Readonly<Record<string, Content>>, bad: Readonly<Record<string, Content>> = {}) {
  const { colleague, repository } = world;
  const app = `app-${(round += 1)}`;
  const within = (files: Readonly<Record<string, Content>>) =>
    Object.fromEntries(Object.entries(files).map(([path, content]) => [path.replace('app/', `${app}/`), content]));
  await colleague.commit('good', within({ 'app/f': 'good\n', 'app/g': 'other\n', 'app/.gitattributes': '* text\n' }));
  const badCommit = await colleague.commit('bad', within({ 'app/f': 'bad\n', ...bad }));
  await colleague.push();
  const { head } = await repository.refresh(signal);
  const order = { message: `Revert "bad ${round}"\n`, at: 1_700_000_000_000, paths: [app] };
  const first = await repository.revert({ ...order, badCommit, onto: head }, signal);
  if (first.kind !== 'commit') throw new Error(first.kind);
  await colleague.commit('later', within(later));
  await colleague.push();
  const { head: onto } = await repository.refresh(signal);
  const { paths: touched } = await repository.commit(badCommit, signal);
  const again = await repository.carry({ ...order, onto }, { commit: first.commit, head, touched }, signal);
  return { again, anew: await repository.revert({ ...order, badCommit, onto }, signal) };
}

describe('a revert that is carried over to another head', () => {
  it.each<{ what: string; later: Readonly<Record<string, Content>> }>([
    { what: 'something outside', later: { 'notes.txt': 'note\n' } },
    { what: 'another file of the application', later: { 'app/g': 'changed\n' } },
  ])('is, byte for byte, what would be computed there, after $what changed', async ({ later }) => {
    const { again, anew } = await carried(later);
    expect(again).toMatchObject({ kind: 'commit' });
    expect(again).toEqual(anew);
  });

  it.each<{ what: string; later: Readonly<Record<string, Content>>; bad?: Readonly<Record<string, Content>> }>([
    { what: 'the same file changed', later: { 'app/f': 'bad\nand more\n' } },
    { what: 'the same file was reverted by somebody else', later: { 'app/f': 'good\n' } },
    { what: 'the same file changed its mode', later: { 'app/f': { program: 'bad\n' } } },
    { what: 'a file of the application was renamed', later: { 'app/g': null, 'app/h': 'other\n' } },
    { what: 'attributes changed', later: { 'app/.gitattributes': '* -text\n' } },
    { what: 'it takes a new file away', later: { 'notes.txt': 'more\n' }, bad: { 'app/new': 'new\n' } },
  ])('is computed anew where $what', async ({ later, bad }) => {
    expect((await carried(later, bad)).again).toBeNull();
  });

  it('is computed anew where the branch was rewritten', async () => {
    const { colleague, repository } = world;
    await colleague.commit('good', { 'apps/f': 'good\n' });
    const badCommit = await colleague.commit('bad', { 'apps/f': 'bad\n' });
    const head = await colleague.commit('on top', { 'notes.txt': 'top\n' });
    await colleague.push();
    await repository.refresh(signal);
    const order = { message: 'Revert "bad"\n', at: 1_700_000_000_000, paths: ['apps'] };
    const first = await repository.revert({ ...order, badCommit, onto: head }, signal);
    if (first.kind !== 'commit') throw new Error(first.kind);
    const known = { commit: first.commit, head, touched: ['apps/f'] };
    expect(await repository.carry({ ...order, onto: badCommit }, known, signal)).toBeNull();
  });
});
