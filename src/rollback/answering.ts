import { CodedError } from '../errors.ts';
import type { CommitFacts } from '../git/port.ts';
import { proposesVersions } from '../manifests/automation.ts';
import { repositoryOf, type ExecutorContext } from './context.ts';
import type { Rollback } from './record.ts';
import { short } from './transitions.ts';

/** Branches of the bots, as the merge commits of forges name them. */
const OF_BOT = /^Merge pull request (?:'.*' \()?#(?:\d+)\)? from (?:[^\s/]+\/)?(?:renovate|dependabot)\//;
const RULES = {
  renovate: 'a rule with `allowedVersions` in `packageRules` of its configuration',
  dependabot: 'an entry with `versions` under `ignore` in `dependabot.yml`',
} as const;

/**
 * Where Renovate or Dependabot brought the bad version, says so on their pull request: they will propose it again, and whoever
 * looks there is told how to keep them from it. Nothing is commanded, because a command acts in the name of a person.
 *
 * @returns what was done, or why it could not be, for the record; null where no bot brought it
 */
export async function answerBot(context: ExecutorContext, rollback: Rollback, signal: AbortSignal): Promise<string | null> {
  const forge = context.forgeOf(rollback.repository);
  if (forge?.can.propose !== true) return null;
  const { plan, badCommit, branch, application, revertCommit } = rollback;
  try {
    const commit = await repositoryOf(context, rollback).commit(plan?.undoes[0] ?? badCommit, signal);
    const number = proposalOf(forge.type, commit);
    const isBot = proposesVersions(commit.author) || OF_BOT.test(commit.subject);
    if (!isBot || number === null) return null;
    const bot = /dependabot/i.test(`${commit.author.name} ${commit.author.email} ${commit.subject}`) ? 'dependabot' : 'renovate';
    const url = context.urlOf(rollback);
    const text = `davylamp took this version out of \`${branch}\` again (${short(revertCommit ?? '')}): it was found bad for \`${application}\`. It will be proposed again; ${RULES[bot]} keeps it away until a better one is there.${url === null ? '' : ` Why: <${url}>`}`;
    await forge.comment(number, text, signal);
    return `said on pull request ${number}, where a bot proposed it`;
  } catch (error) {
    if (!(error instanceof CodedError) || signal.aborted) throw error;
    return `the pull request of the bot could not be commented on (${error.code})`;
  }
}

/** The pull request that a commit came from, as its forge writes it into what it merges; null when it does not say. */
function proposalOf(forge: string, { subject, message }: Pick<CommitFacts, 'subject' | 'message'>): number | null {
  const found =
    forge === 'gitlab'
      ? /^See merge request \S*!(\d{1,9})$/m.exec(message)
      : (/^Merge pull request (?:'.*' \()?#(\d{1,9})\b/.exec(subject) ?? / \(#(\d{1,9})\)$/.exec(subject));
  return found?.[1] === undefined ? null : Number(found[1]);
}
