/** GitHub and GitLab read the same file differently; Gitea and Forgejo have their own, and ask its reviewers themselves. */
export type CodeownersDialect = 'github' | 'gitlab';

/** Where each looks for the file; the first that is there counts. */
export const CODEOWNERS_PATHS: Readonly<Record<CodeownersDialect, readonly string[]>> = {
  github: ['.github/CODEOWNERS', 'CODEOWNERS', 'docs/CODEOWNERS'],
  gitlab: ['CODEOWNERS', 'docs/CODEOWNERS', '.gitlab/CODEOWNERS'],
};

interface Rule {
  matches(path: readonly string[]): boolean;
  /** None: nobody owns it, whatever an earlier rule says. */
  owners: readonly string[];
}

/** Each section gives owners of its own; GitHub has one. */
export type Codeowners = readonly (readonly Rule[])[];

const MOST_RULES = 3_000;
const MOST_LINE = 2_000;
const MOST_OWNERS = 50;
const MOST_PATHS = 200;

/**
 * Reads a CODEOWNERS file. GitHub ("About code owners"): gitignore's patterns without `!`, `[ ]` and `\#`; a pattern without
 * owners takes ownership away; a line that cannot be read is skipped. GitLab ("Code Owners syntax"): sections with default
 * owners, `\#` and `\ `, `!pattern`, and patterns of Ruby's fnmatch, which without a leading slash match at any depth.
 */
export function parseCodeowners(text: string, dialect: CodeownersDialect): Codeowners {
  const sections = new Map<string, { defaults: readonly string[]; rules: Rule[] }>();
  let section = { defaults: [] as readonly string[], rules: [] as Rule[] };
  sections.set('', section);
  let rules = 0;
  for (const raw of text.split(/\r\n|\r|\n/)) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#') || line.length > MOST_LINE || rules >= MOST_RULES) continue;
    const head = dialect === 'gitlab' ? /^\^?\[([^\]]+)\](?:\[\d+\])?(?:\s+(.*))?$/.exec(line) : null;
    if (head !== null) {
      const name = (head[1] ?? '').toLowerCase();
      const defaults = ownersIn(words(head[2] ?? ''), dialect);
      section = sections.get(name) ?? { defaults, rules: [] };
      sections.set(name, section);
      continue;
    }
    const rule = ruleOf(words(line), dialect, section.defaults);
    if (rule === null) continue;
    rules += 1;
    section.rules.push(rule);
  }
  return [...sections.values()].map((one) => one.rules);
}

/**
 * Everybody who owns one of the paths, without the `@`, in the order of the paths: the last rule of each section that matches
 * a path decides alone.
 */
export function ownersOf(codeowners: Codeowners, paths: readonly string[]): string[] {
  const owners = new Set<string>();
  for (const path of paths.slice(0, MOST_PATHS)) {
    const segments = path.split('/');
    for (const rules of codeowners) {
      const last = rules.findLast((rule) => rule.matches(segments));
      for (const owner of last?.owners ?? []) if (owners.size < MOST_OWNERS) owners.add(owner);
    }
  }
  return [...owners];
}

/** A backslash keeps a space in a word; a `#` after a space begins a comment. */
function words(line: string): string[] {
  const found: string[] = [];
  for (const [word] of line.matchAll(/(?:\\.|[^\s\\]|\\$)+/g)) {
    if (found.length > 0 && word.startsWith('#')) break;
    found.push(word);
  }
  return found;
}

function ownersIn(given: readonly string[], dialect: CodeownersDialect): string[] {
  return given.flatMap((word) => {
    // GitLab's roles (@@maintainers) are nobody who can be asked by name.
    if (dialect === 'gitlab' && word.startsWith('@@')) return [];
    if (/^@[A-Za-z0-9_][\w.-]*(\/[\w.-]+)*$/.test(word)) return [word.slice(1)];
    return /^[^@\s]+@[^@\s]+\.[^@\s]+$/.test(word) ? [word] : [];
  });
}

function ruleOf([pattern = '', ...rest]: string[], dialect: CodeownersDialect, defaults: readonly string[]): Rule | null {
  if (dialect === 'github') {
    if (/^!|[[\]]|^\\#/.test(pattern)) return null;
    const owners = ownersIn(rest, dialect);
    // A line with a word that is no owner is one that GitHub cannot read.
    if (owners.length !== rest.length) return null;
    return { matches: githubPattern(unescaped(pattern)), owners };
  }
  if (pattern.startsWith('!')) return { matches: gitlabPattern(pattern.slice(1)), owners: [] };
  const owners = ownersIn(rest, dialect);
  return { matches: gitlabPattern(pattern), owners: rest.length === 0 ? defaults : owners };
}

function unescaped(pattern: string): string {
  return pattern.replaceAll(/\\(.)/g, '$1');
}

function githubPattern(pattern: string): Rule['matches'] {
  const isFolder = pattern.endsWith('/');
  const body = pattern.replace(/^\//, '').replace(/\/$/, '');
  const glob = body.split('/');
  // gitignore(5): a slash at the beginning or in the middle anchors the pattern at the root.
  const anchored = pattern.startsWith('/') || glob.length > 1 ? glob : ['**', ...glob];
  const below = [...anchored, '**'];
  // `docs/*` is what lies directly in docs, and nothing deeper.
  const isShallow = glob.length > 1 && glob.at(-1) === '*';
  return (path) => {
    if (!isFolder && segmentsMatch(path, anchored)) return true;
    // What a pattern names may be a folder, which is then owned with all that is in it.
    return !isShallow && path.length > 1 && segmentsMatch(path, below);
  };
}

function gitlabPattern(given: string): Rule['matches'] {
  const plain = given.replace(/^\\#/, '#').replaceAll(/\\(\s)/g, '$1');
  if (plain === '*') return () => true;
  const rooted = plain.startsWith('/') ? plain.slice(1) : `**/${plain}`;
  const glob = (rooted.endsWith('/') ? `${rooted}**/*` : rooted).split('/');
  return (path) => segmentsMatch(path, glob);
}

/**
 * `**` stands for any number of folders, and as the last part for what lies below, one name at least. By dynamic programming,
 * so that no pattern makes it slow.
 */
function segmentsMatch(path: readonly string[], glob: readonly string[]): boolean {
  let reachable = [true, ...path.map(() => false)];
  for (const [at, part] of glob.entries()) {
    const next = [false, ...path.map(() => false)];
    let seen = false;
    for (let i = 0; i <= path.length; i += 1) {
      if (part !== '**') next[i] = i > 0 && reachable[i - 1] === true && nameMatches(path[i - 1] ?? '', part);
      else if (at === glob.length - 1) next[i] = seen;
      else next[i] = seen || reachable[i] === true;
      seen ||= reachable[i] === true;
    }
    if (!next.includes(true)) return false;
    reachable = next;
  }
  return reachable[path.length] === true;
}

/** `*`, `?` and GitLab's `[a-z]` within one name; everything else is literal. */
function nameMatches(name: string, pattern: string): boolean {
  if (!/[*?[]/.test(pattern)) return name === pattern;
  let reachable = [true, ...Array.from(name, () => false)];
  for (const sign of pattern.match(/\[[^\]]+\]|[^]/g) ?? []) {
    const next: boolean[] = [sign === '*' && reachable[0] === true];
    for (let i = 1; i <= name.length; i += 1) {
      next[i] =
        sign === '*'
          ? reachable[i] === true || next[i - 1] === true
          : reachable[i - 1] === true && signMatches(name[i - 1] ?? '', sign);
    }
    reachable = next;
  }
  return reachable[name.length] === true;
}

function signMatches(letter: string, sign: string): boolean {
  if (sign.length === 1) return sign === '?' || sign === letter;
  const isNot = /^\[[!^]/.test(sign);
  const members = sign.slice(isNot ? 2 : 1, -1);
  let within = false;
  for (let i = 0; i < members.length; i += 1) {
    const to = members[i + 1] === '-' && i + 2 < members.length ? (members[i + 2] ?? '') : null;
    const from = members[i] ?? '';
    within ||= to === null ? letter === from : letter >= from && letter <= to;
    if (to !== null) i += 2;
  }
  return within !== isNot;
}
