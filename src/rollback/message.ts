import type { CommitFacts } from '../git/port.ts';

export interface RevertMessage {
  /** The guilty commit. */
  bad: Pick<CommitFacts, 'sha' | 'parents' | 'subject' | 'message' | 'author' | 'at'>;
  /** What of it is taken back; a whole revert when left out. */
  how?: { kind: 'revert' | 'narrow' | 'restore'; good: string | null; undoes: readonly string[]; notes: readonly string[] };
  /** Id of the rollback. */
  rollback: string;
  application: string;
  /** Why, in one sentence. */
  verdictSentence: string;
  /** Hash of the journal entry of the decision; null when there is none. */
  evidence: string | null;
  /** Address of the repository without credentials; null where it is not to be named. */
  repositoryUrl?: string | null;
}

const SUBJECT_LIMIT = 120;
const SENTENCE_LIMIT = 1_000;
const LISTED_COMMITS = 20;
const QUOTED_LINES = 40;
const QUOTED_LINE_LIMIT = 300;
const VALUE_LIMIT = 300;

const PLACEHOLDER = '[…]';
/**
 * Markers by which CI systems leave a commit out: a revert has to be built and deployed. [skip ci], [ci skip], [no ci],
 * [skip actions], [actions skip] (GitHub, GitLab, CircleCI), ***NO_CI*** (Azure Pipelines), and their likes with a hyphen.
 */
const SKIP_CI = /\[\s*(?:(?:skip|no)[\s_-]+[\w-]{1,30}|[\w-]{1,30}[\s_-]+skip)\s*\]|\*{3}\s*NO_CI\s*\*{3}/gi;
/** The trailer form of the same (GitHub Actions). */
const SKIP_CHECKS = /^\s*skip-checks\s*:/i;
/** A forge would close the issue that the reverted commit named, by number or by address; a space keeps it a text. */
const ISSUE = /#(?=\w)|\bGH-(?=\d)|:(?=\/\/\S+\/(?:issues|work_items|merge_requests|pulls?)\/\d)/gi;
/** … and call whoever it names. */
const MENTION = /(?<![\w.+-])@(?=\w)/g;
/** Control, format (bidirectional overrides among them) and separator characters; joiners are part of ordinary text. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const JOINERS = new Set(['\u200c', '\u200d']);

function visible(text: string): string {
  return text.replaceAll(UNSEEN, (character) => {
    if (JOINERS.has(character)) return character;
    return `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;
  });
}

function shortened(text: string, limit: number): string {
  // The cut must not leave half of a surrogate pair.
  return text.length <= limit ? text : `${text.slice(0, limit - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}

/** Foreign text as one harmless line. */
function line(text: string, limit: number): string {
  const single = visible(text.replaceAll(/\s+/g, ' ').trim());
  return shortened(single.replaceAll(SKIP_CI, PLACEHOLDER), limit);
}

/** The original message as a quotation: no line of it can be a trailer, a divider or a marker. */
function quoted(message: string): string[] {
  const kept = message
    .split(/\r\n|\r|\n/)
    .filter((text) => !SKIP_CHECKS.test(text))
    .map((text) => visible(text.replaceAll('\t', '  ').trimEnd()).replaceAll(SKIP_CI, PLACEHOLDER))
    // Shortened first: hostile lines are long.
    .map((text) => (text === '' ? '>' : `> ${neutral(shortened(text, QUOTED_LINE_LIMIT))}`));
  return kept.length <= QUOTED_LINES ? kept : [...kept.slice(0, QUOTED_LINES), '> …'];
}

/** Text that closes no issue and calls nobody. */
function neutral(text: string): string {
  return text.replaceAll(ISSUE, '$& ').replaceAll(MENTION, '@ ');
}

/** Git's own sentence where the whole commit is reverted: tools read it. Nothing that looks like it where less, or more, is. */
function done({ bad, application, how }: RevertMessage): string {
  if (how?.kind === 'narrow')
    return `Sets back what commit ${bad.sha} did to the version of ${line(application, VALUE_LIMIT)}, and nothing else.`;
  if (how?.kind === 'restore') {
    const undone = how.undoes.slice(0, LISTED_COMMITS).map((commit) => `  ${commit}`);
    const more = how.undoes.length - undone.length;
    const list = [...undone, ...(more > 0 ? [`  and ${more} more`] : [])].join('\n');
    return `Restores ${line(application, VALUE_LIMIT)} as it was at commit ${how.good ?? ''}.\nThis takes back:\n${list}`;
  }
  const [mainline, merged] = bad.parents;
  const reversed = mainline !== undefined && merged !== undefined ? `, reversing\nchanges made to ${mainline}` : '';
  return `This reverts commit ${bad.sha}${reversed}.`;
}

/**
 * The message of a revert commit: git's own first two lines (git-revert(1)), the verdict, the reverted message as a quotation,
 * and our trailers (git-interpret-trailers(1)) as the last paragraph. Foreign text cannot add a trailer, hide characters,
 * switch the CI off or close an issue.
 */
export function revertMessage(order: RevertMessage): string {
  const { bad } = order;
  const { repositoryUrl = null } = order;
  const trailers = [
    ['Davylamp-Rollback', order.rollback],
    ['Davylamp-Application', order.application],
    ['Reverts', bad.sha],
    ...(order.evidence === null ? [] : [['Davylamp-Evidence', order.evidence]]),
    // What Argo CD and GitOps Promoter show beside a commit (Argo CD, user guide, source hydrator): the one it answers to.
    ['Argocd-reference-commit-author', `${bad.author.name} <${bad.author.email}>`],
    ['Argocd-reference-commit-sha', bad.sha],
    ['Argocd-reference-commit-subject', neutral(line(bad.subject, SUBJECT_LIMIT))],
    ['Argocd-reference-commit-date', new Date(bad.at).toISOString().replace('.000Z', 'Z')],
    ...(repositoryUrl === null ? [] : [['Argocd-reference-commit-repourl', repositoryUrl]]),
  ];
  // A line of dashes would end the message for `git interpret-trailers`.
  const sentence = neutral(line(order.verdictSentence, SENTENCE_LIMIT)).replace(/^[-\s]+/, '');
  return [
    `Revert "${line(bad.subject, SUBJECT_LIMIT).replaceAll(ISSUE, '$& ')}"`,
    done(order),
    sentence,
    (order.how?.notes ?? []).map((note) => neutral(line(note, SENTENCE_LIMIT)).replace(/^[-\s]+/, '')).join('\n'),
    quoted(bad.message).join('\n'),
    trailers.map(([key = '', value = '']) => `${key}: ${line(value, VALUE_LIMIT)}`).join('\n'),
  ]
    .filter((paragraph) => paragraph !== '')
    .join('\n\n')
    .concat('\n');
}
