/** Control, format (bidirectional overrides among them), separator characters and halves of pairs. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
/** A squash merge takes title and text into its message, where a CI system looks for these. */
const SKIP_CI = /\[\s*(?:(?:skip|no)[\s_-]+[\w-]{1,30}|[\w-]{1,30}[\s_-]+skip)\s*\]|\*{3}\s*NO_CI\s*\*{3}|\bskip-checks\s*:/gi;
/**
 * What forges make links, messages and acts of: users and groups (@), issues (#, GH-), merge requests (!), milestones (%),
 * labels (~), snippets ($), epics (&), alerts (^) before a word, HTML, and addresses. A space behind the sign keeps it a text.
 */
const SIGNS = /[@#!%~$&^](?=[\w[({])|\bGH-(?=\d)|<(?=[\w!/?])/gi;
const ADDRESS = /:\/\//g;

/** Foreign text as one line that calls nobody, closes nothing and links nowhere. Not yet safe as Markdown. */
export function plainLine(text: string, limit: number): string {
  const line = text
    .slice(0, limit * 4)
    .replaceAll(/\s+/g, ' ')
    .replaceAll(UNSEEN, '\u{fffd}')
    .replaceAll(SKIP_CI, '[…]')
    .replaceAll(SIGNS, '$& ')
    .replaceAll(ADDRESS, ': //')
    .trim();
  if (line.length <= limit) return line;
  // The cut must not leave half of a pair.
  return `${line.slice(0, limit - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}

/** Foreign text as a code span (CommonMark section 6.1): nothing in it is Markdown or HTML, in a table neither. */
export function codeSpan(text: string, limit: number): string {
  const line = plainLine(text, limit).replaceAll('|', '\u{2502}');
  const longest = Math.max(0, ...(line.match(/`+/g) ?? []).map((run) => run.length));
  const fence = '`'.repeat(longest + 1);
  // A space at each end keeps a backtick at the edge from joining the fence; CommonMark takes one of each off.
  const padded = longest > 0 || line === '' ? ` ${line} ` : line;
  return `${fence}${padded}${fence}`;
}

/** A sentence of ours that quotes foreign words: every sign of Markdown and HTML is escaped (CommonMark section 2.4). */
export function escapedLine(text: string, limit: number): string {
  return plainLine(text, limit).replaceAll(/[\\`*_{}[\]<>()#+\-.!|~&"':/]/g, (sign) =>
    /[.:'"()/]/.test(sign) ? sign : `\\${sign}`,
  );
}
