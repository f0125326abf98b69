import type { LocalGit } from './deltas.ts';
import { isRollbackId, type Identity } from './names.ts';
import type { CommitFacts, OwnRollback, Reverter } from './port.ts';

/** Names the rollback that a commit of ours belongs to. */
const TRAILER = 'Davylamp-Rollback';
/** What a revert commit of ours says of itself, in the order in which it is read. */
const OWN_TRAILERS = [TRAILER, 'Davylamp-Application', 'Reverts'];
const FULL_COMMIT_ID = /^([0-9a-f]{40}|[0-9a-f]{64})$/;
const MESSAGE_LIMIT = 64 * 1024;
const UTF8_BYTES_PER_CHARACTER = 4;
const REVERTERS = 50;
/** Shortest id that a sentence or trailer may name a commit by. */
const ABBREVIATION = 7;

/** Against the first parent, so that a merge counts as what it brought to the branch. */
const FACTS = ['-z', '-m', '--first-parent', '--full-diff', '--name-only', '--no-renames', '--no-show-signature'];
const FACT_FIELDS = ['%H', '%P', '%an', '%ae', '%ct', '%s', '%B'];
const PATCH = ['-1', '-p', '-m', '--first-parent', '--format=', '--no-color', '--no-ext-diff', '--no-textconv', '--no-renames'];

export type Facts = Omit<CommitFacts, 'onBranch'>;

/**
 * Facts of commits, newest first.
 *
 * @param range what git-rev-list(1) takes: ids, `from..to`, nothing of which comes from outside unchecked
 * @param paths only commits that change one of these; all when it is empty
 */
export async function factsOf(git: LocalGit, range: string, limit: number, paths: readonly string[] = []): Promise<Facts[]> {
  const format = `--format=format:%x00${FACT_FIELDS.join('%x00')}%x00`;
  const { stdout } = await git({
    subcommand: 'log',
    args: [...FACTS, format, `--max-count=${Math.max(0, Math.floor(limit))}`, '--end-of-options', range, '--', ...paths],
  });
  return readFacts(stdout.split('\0'));
}

/** An empty field before each commit, its fields, then its paths, the first of them after a line feed. */
function readFacts(fields: readonly string[]): Facts[] {
  const found: Facts[] = [];
  let at = 0;
  const skipEmpty = (): void => {
    while (at < fields.length && fields[at] === '') at += 1;
  };
  skipEmpty();
  while (at + FACT_FIELDS.length <= fields.length) {
    const [sha = '', parents = '', name = '', email = '', seconds = '', subject = '', message = ''] = fields.slice(at);
    at += FACT_FIELDS.length;
    const paths: string[] = [];
    for (; at < fields.length && fields[at] !== ''; at += 1) {
      const path = fields[at] ?? '';
      paths.push(paths.length === 0 ? path.replace(/^\n/, '') : path);
    }
    skipEmpty();
    found.push({
      sha,
      parents: parents.split(' ').filter((parent) => parent !== ''),
      subject,
      message: message.trimEnd().slice(0, MESSAGE_LIMIT),
      paths,
      author: { name, email },
      at: Number(seconds) * 1_000,
    });
  }
  return found;
}

/** Rows of a log, one for each commit, with as many fields as were asked for. */
async function rows(git: LocalGit, fields: readonly string[], args: readonly string[]): Promise<string[][]> {
  const { stdout } = await git({ subcommand: 'log', args: [`--format=${fields.join('%x00')}%x00`, ...args, '--'] });
  const values = stdout.split('\0').map((value) => value.trim());
  const found: string[][] = [];
  for (let index = 0; index + fields.length <= values.length; index += fields.length) {
    found.push(values.slice(index, index + fields.length));
  }
  return found;
}

const trailer = (key: string): string => `%(trailers:key=${key},valueonly,unfold)`;

/** See `Repository.ownCommits`. */
export async function ownCommits(git: LocalGit, range: string, rollback: string, us: Identity): Promise<string[]> {
  const found = await rows(
    git,
    ['%H', '%ce', trailer(TRAILER)],
    ['--fixed-strings', `--grep=${TRAILER}: ${rollback}`, '--end-of-options', range],
  );
  return found
    .filter(([, email, values = '']) => email === us.email && values.split('\n').includes(rollback))
    .map(([sha = '']) => sha);
}

/** The rollback that one commit is for; null where it is not by us, or names none. */
export async function rollbackOf(git: LocalGit, commit: string, us: Identity): Promise<string | null> {
  const [found = []] = await rows(git, ['%ce', '%ae', trailer(TRAILER)], ['-1', '--end-of-options', commit]);
  const [committer, author, rollback = ''] = found;
  return committer === us.email && author === us.email && isRollbackId(rollback) ? rollback : null;
}

/** See `Repository.ownRollbacks`. */
export async function ownRollbacks(git: LocalGit, head: string, limit: number, us: Identity): Promise<OwnRollback[]> {
  const found = await rows(
    git,
    ['%H', '%ct', '%ce', ...OWN_TRAILERS.map(trailer)],
    [`--max-count=${Math.max(1, Math.floor(limit))}`, '--fixed-strings', `--grep=${TRAILER}: `, '--end-of-options', head],
  );
  return found
    .filter(([, , email, rollback = '', , reverts = '']) => {
      return email === us.email && isRollbackId(rollback) && FULL_COMMIT_ID.test(reverts);
    })
    .map(([commit = '', seconds = '', , rollback = '', application = '', reverts = '']) => {
      return { commit, at: Number(seconds) * 1_000, rollback, application, reverts };
    });
}

/**
 * See `Repository.reverters`. git's own sentence is the one of git-revert(1); squashed reverts keep the subject that a forge
 * proposes, with the number of the pull request behind it (GitHub `(#1)`, GitLab `(!1)`), or `revert: …` of the
 * Conventional Commits.
 */
export async function reverters(
  git: LocalGit,
  bad: Pick<Facts, 'sha' | 'subject'>,
  head: string,
  us: Identity,
): Promise<Reverter[]> {
  const short = bad.sha.slice(0, ABBREVIATION);
  const subjects = [bad.subject, bad.subject.replace(/ \([#!]\d+\)$/, '')].filter((subject) => subject !== '');
  const greps = [`This reverts commit ${short}`, `Reverts: ${short}`, ...subjects];
  const found = await rows(
    git,
    ['%H', '%ct', '%ce', '%an', '%ae', '%s', trailer(TRAILER), trailer('Reverts'), '%B'],
    [
      '--fixed-strings',
      '--regexp-ignore-case',
      ...greps.map((text) => `--grep=${text}`),
      '--end-of-options',
      `${bad.sha}..${head}`,
    ],
  );
  const names = (id: string): boolean => id.length >= ABBREVIATION && bad.sha.startsWith(id.toLowerCase());
  const answer: Reverter[] = [];
  for (const [
    commit = '',
    seconds = '',
    committer,
    name = '',
    email = '',
    subject = '',
    rollback = '',
    ids = '',
    body = '',
  ] of found) {
    const named = ids.split('\n').some((id) => names(id.trim()));
    const said = [...body.matchAll(/^This reverts commit ([0-9a-f]+)\b/gim)].some(([, id = '']) => names(id));
    if (!named && !said && !subjects.some((text) => isRevertOf(subject, text))) continue;
    const ours = named && committer === us.email && email === us.email && isRollbackId(rollback);
    answer.push({ commit, by: ours ? 'us' : 'other', author: { name, email }, at: Number(seconds) * 1_000, subject });
    if (answer.length === REVERTERS) break;
  }
  return answer;
}

function isRevertOf(subject: string, reverted: string): boolean {
  const bare = subject.replace(/ \([#!]\d+\)$/, '');
  if (bare === `Revert "${reverted}"` || bare === `Revert ${reverted}` || subject === `Revert "${reverted}"`) return true;
  const conventional = /^revert(?:\([^)]*\))?!?: (.+)$/i.exec(bare);
  return conventional?.[1] === reverted;
}

/** See `Repository.diff`. */
export async function diffOf(git: LocalGit, commit: string, limit: number): Promise<string> {
  const { stdout } = await git({
    subcommand: 'log',
    args: [...PATCH, '--end-of-options', commit, '--'],
    maxBytes: limit * UTF8_BYTES_PER_CHARACTER,
    overflow: 'cut',
  });
  const text = stdout.trimStart();
  return text.length <= limit ? text : `${text.slice(0, Math.max(0, limit - 1))}…`;
}
