import type { MetricJudgement } from '../judges/judge.ts';
import type { Rollback } from '../rollback/record.ts';
import { codeSpan, escapedLine, plainLine } from './text.ts';

/** What the text of a pull request is made from. */
export interface ProposalFacts {
  rollback: Rollback;
  /** The guilty commit. */
  bad: { sha: string; subject: string };
  /** Everything that is taken back, newest first; left out where that is the guilty commit alone. */
  undone?: readonly { sha: string; subject: string }[];
  /** Of the analysis that failed; none where a person asked. */
  metrics: readonly MetricJudgement[];
  /** Address of the evidence; null where none is configured. */
  url: string | null;
}

const SUBJECT_LIMIT = 120;
const SENTENCE_LIMIT = 1_000;
const NAME_LIMIT = 100;
const PATH_LIMIT = 200;
const MOST_METRICS = 30;
const MOST_COMMITS = 20;
const MOST_PATHS = 50;
/** GitHub takes 65,536 characters; GitLab and Gitea take more. */
const BODY_LIMIT = 60_000;

/** Git's own subject of a revert, by which people and bots know one. */
export function proposalTitle({ bad }: Pick<ProposalFacts, 'bad'>): string {
  return `Revert "${plainLine(bad.subject, SUBJECT_LIMIT)}"`;
}

/**
 * The text of a pull request in the Markdown that GitHub, GitLab and Gitea share: why, on what evidence, what is taken back,
 * how to refuse. Foreign words in it call nobody, close nothing, and are neither Markdown nor HTML; label values and log lines
 * are not in it at all.
 */
export function proposalBody(facts: ProposalFacts): string {
  const parts = [verdict(facts), evidence(facts), takenBack(facts), guards(facts), howTo(facts)];
  const text = parts.filter((part) => part !== '').join('\n\n');
  // A cut could end within a table or a code span; the last parts go as a whole.
  return text.length <= BODY_LIMIT ? text : [verdict(facts), howTo(facts)].join('\n\n');
}

function verdict({ rollback, bad, url }: ProposalFacts): string {
  const { application, verdictSentence, evidence: hash, id } = rollback;
  const lines = [
    `davylamp proposes to take commit \`${bad.sha}\` out of ${codeSpan(rollback.branch, NAME_LIMIT)}, for application ${codeSpan(application, NAME_LIMIT)}.`,
    '',
    `> ${escapedLine(verdictSentence, SENTENCE_LIMIT)}`,
    '',
    `- Rollback: ${codeSpan(id, NAME_LIMIT)}`,
    ...(hash === null
      ? []
      : [`- Evidence: ${codeSpan(hash, NAME_LIMIT)} (hash of the entry of the journal, also in the commit)`]),
    ...(url === null ? [] : [`- Details: <${url}>`]),
  ];
  return lines.join('\n');
}

function evidence({ metrics }: ProposalFacts): string {
  if (metrics.length === 0) return '';
  const rows = metrics.slice(0, MOST_METRICS).map(({ name, verdict: said, code, effect, eValue, traffic }) => {
    const against = `${figure(effect.estimate)} (${figure(effect.low)} to ${figure(effect.high)})`;
    const strength = `${figure(eValue.value)} of ${figure(eValue.needed)}`;
    const seen = `${figure(traffic.canary.total)} / ${figure(traffic.baseline.total)}`;
    return `| ${codeSpan(name, NAME_LIMIT)} | ${said} | ${codeSpan(code, NAME_LIMIT)} | ${against} | ${strength} | ${seen} |`;
  });
  const more = metrics.length - rows.length;
  return [
    '### Evidence',
    '',
    '| Metric | Verdict | Reason | Canary against baseline (interval) | Evidence of needed | Traffic canary / baseline |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
    ...(more > 0 ? ['', `and ${more} more metrics`] : []),
  ].join('\n');
}

function takenBack({ rollback, bad, undone }: ProposalFacts): string {
  const { plan } = rollback;
  const commits = undone ?? [bad];
  const listed = commits.slice(0, MOST_COMMITS).map(({ sha, subject }) => `- \`${sha}\` ${codeSpan(subject, SUBJECT_LIMIT)}`);
  const kinds = {
    revert: 'The whole commit is reverted:',
    narrow: 'Only the declared version is set back, as it was before:',
    restore: 'The paths of the application are restored as they were at the last good revision, which takes back:',
  };
  const paths = (plan?.changed ?? []).slice(0, MOST_PATHS).map((path) => `- ${codeSpan(path, PATH_LIMIT)}`);
  return [
    '### What is taken back',
    '',
    kinds[plan?.kind ?? 'revert'],
    '',
    ...listed,
    ...more(commits.length - listed.length, 'commits'),
    ...(paths.length === 0
      ? []
      : ['', 'Files that change:', '', ...paths, ...more((plan?.changed.length ?? 0) - paths.length, 'files')]),
    ...list('Files that keep their present content (neverRestore):', plan?.kept ?? []),
    ...list('Objects that hold data and would be deleted:', plan?.prunes ?? []),
    ...list('Done in the same commit, so that no bot brings the bad version back:', plan?.automation ?? []),
    ...list('Other applications that change with it:', plan?.joint ?? []),
  ].join('\n');
}

/** Why it is proposed and not pushed, and who released it. */
function guards({ rollback }: ProposalFacts): string {
  const held = rollback.history.filter(({ step }) => step !== 'decided' && step !== 'proposed').slice(-10);
  const lines = held.map(({ step, sentence }) => `- ${codeSpan(step, NAME_LIMIT)}: ${escapedLine(sentence, SENTENCE_LIMIT)}`);
  const by = rollback.approvals.map((one) => `- approved by ${codeSpan(one.by, NAME_LIMIT)}`);
  return lines.length + by.length === 0 ? '' : ['### How it came here', '', ...lines, ...by].join('\n');
}

function howTo({ rollback }: ProposalFacts): string {
  return [
    '### What to do',
    '',
    '- **Merge** it, by any method: davylamp sees that the content is gone, tells the delivery and watches whether the metrics come back.',
    `- **Close** it without a merge to refuse: it is not proposed again. \`davylamp refuse ${rollback.id.replaceAll('`', '')}\` does the same.`,
  ].join('\n');
}

function list(title: string, entries: readonly string[]): string[] {
  if (entries.length === 0) return [];
  const shown = entries.slice(0, MOST_PATHS).map((entry) => `- ${codeSpan(entry, PATH_LIMIT)}`);
  return ['', title, '', ...shown, ...more(entries.length - shown.length, 'more')];
}

function more(count: number, what: string): string[] {
  return count > 0 ? [`- and ${count} ${what === 'more' ? 'more' : `more ${what}`}`] : [];
}

function figure(value: number | null): string {
  if (value === null) return '–';
  const size = Math.abs(value);
  return size !== 0 && (size >= 1e6 || size < 1e-3) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}
