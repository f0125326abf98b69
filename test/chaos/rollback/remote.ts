import type { Rollback } from '../../../src/rollback/record.ts';
import { Finding } from './finding.ts';
import type { Keys } from './keys.ts';
import type { Cell } from './matrix.ts';
import { FILE, type Stage } from './stages.ts';

/**
 * Looks at the remote itself, and at the forge: exactly one commit of ours, the one that the record names, on the only
 * branch where it belongs, with the content back, signed as configured, in a repository that git finds sound.
 *
 * @throws Finding what is not so
 */
export async function demandOnce(
  stage: Stage,
  { mode, signing }: Cell,
  keys: Keys,
  before: string,
  rollback: Rollback,
): Promise<void> {
  const { world, hub } = stage;
  const { repository } = world.git;
  const git = (...args: string[]) => world.colleague.git('--git-dir', repository, ...args);
  const { id, revertCommit } = rollback;
  const own = (await world.commits('--all')).filter((commit) => commit.rollback !== '');
  const listed = own.map(({ sha, rollback: of }) => `${sha} (${of})`).join(', ');
  if (own.length === 0) throw new Finding('lost', `no commit of ${id} is on the remote; the record says ${rollback.state}`);
  if (own.length > 1) throw new Finding('double', `the remote has ${listed}`);
  const [commit] = own;
  if (commit?.sha !== revertCommit || commit.rollback !== id) {
    throw new Finding('wrong', `the remote has ${listed}, the record ${String(revertCommit)} (${id})`);
  }
  const isProposal = mode === 'propose';
  const branch = isProposal ? `davylamp/${id}` : 'main';
  const refs = (await git('for-each-ref', '--format=%(refname:short)')).split('\n');
  const expected = isProposal ? [branch, 'main'] : ['main'];
  if (refs.toSorted().join(' ') !== expected.join(' '))
    throw new Finding('double', `the remote has the branches ${refs.join(', ')}`);
  if (isProposal && (await git('rev-parse', 'main')) !== before) throw new Finding('wrong', 'the proposal moved main');
  const added = (await git('rev-list', `${before}..${branch}`)).split('\n');
  if (added.length !== 1 || added[0] !== revertCommit) throw new Finding('double', `${branch} got ${added.join(', ')}`);
  const content = `${await git('show', `${branch}:${FILE}`)}\n`;
  if (content !== stage.content) throw new Finding('wrong', `${FILE} says ${JSON.stringify(content)}`);
  const changed = await git('diff', '--name-only', before, branch);
  if (changed !== FILE) throw new Finding('wrong', `it changes ${changed}`);
  await sound('fsck', () => git('fsck', '--strict', '--no-dangling'));
  await sound('signature', () => keys.verify(signing, repository, commit.sha));
  if (!isProposal) return;
  const asked = hub.proposals.map((proposal) => `${proposal.number} ${proposal.state} of ${proposal.branch}`);
  if (asked.length === 0) throw new Finding('lost', 'no pull request was opened');
  if (asked.length > 1) throw new Finding('double', `pull requests: ${asked.join(', ')}`);
  if (asked[0] !== `1 open of ${branch}`) throw new Finding('wrong', `the pull request is ${String(asked[0])}`);
}

async function sound(what: string, look: () => Promise<unknown>): Promise<void> {
  try {
    await look();
  } catch (error) {
    throw new Finding('wrong', `${what}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
