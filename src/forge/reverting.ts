/** What is looked at of a proposal by anybody. */
export interface Titled {
  title: string;
  body: string | null;
}

/** Forges shorten titles; a shorter common beginning than this says nothing. */
const SHORTEST_CUT = 30;
const LONGEST_BODY = 65_536;
const MOST_LINES = 2_000;

/**
 * Whether a proposal says of itself that it takes a commit out: by the title that git and the forges' own buttons write
 * (`Revert "subject"`; git-revert(1)), or by a line of its text that speaks of reverting and names the commit, as git's
 * `This reverts commit <sha>.` does. What takes a revert back (`Reapply "…"`, `Revert "Revert "…""`) is none.
 */
export function saysItReverts({ title, body }: Titled, commit: { sha: string; subject: string }): boolean {
  const subject = oneLine(commit.subject);
  const plain = oneLine(title);
  if (revertTitles(subject).some((expected) => isTitle(plain, expected))) return true;
  if (/^(Reapply "|Revert "Revert ")/i.test(plain)) return false;
  const lines = (body ?? '').slice(0, LONGEST_BODY).split('\n', MOST_LINES);
  // A quotation is somebody else's words: the text of the commit that is reverted, say.
  return lines.some((line) => !/^\s*>/.test(line) && namesAsReverted(line, commit));
}

/** GitHub's button takes the title of the pull request, to which a squash merge has added its number. */
function revertTitles(subject: string): string[] {
  const withoutNumber = subject.replace(/ \(#\d+\)$/, '');
  return [...new Set([subject, withoutNumber])].filter((text) => text !== '').map((text) => `Revert "${text}"`);
}

function isTitle(title: string, expected: string): boolean {
  if (title === expected || title.replace(/ \(#\d+\)$/, '') === expected) return true;
  const cut = title.replace(/(…|\.\.\.)"?$/, '');
  return cut !== title && cut.length >= SHORTEST_CUT && expected.startsWith(cut);
}

function namesAsReverted(line: string, { sha, subject }: { sha: string; subject: string }): boolean {
  if (!/\brevert(s|ed|ing)?\b/i.test(line)) return false;
  const named = line.match(/\b[0-9a-f]{7,64}\b/gi) ?? [];
  if (named.some((id) => sha.toLowerCase().startsWith(id.toLowerCase()))) return true;
  // GitHub's button: `Reverts owner/name#12`.
  const number = / \(#(\d+)\)$/.exec(oneLine(subject))?.[1] ?? /^Merge pull request #(\d+) /.exec(subject)?.[1];
  return number !== undefined && new RegExp(`^\\s*Reverts\\s+[\\w.-]*/?[\\w.-]*#${number}\\b`, 'i').test(line);
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
