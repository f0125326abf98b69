import { createHash } from 'node:crypto';

/** The files of a commit: path to content. */
export type Tree = Readonly<Record<string, string>>;

export interface Commit {
  sha: string;
  parents: string[];
  tree: Tree;
  /** Changed against the first parent. */
  paths: string[];
  message: string;
  subject: string;
  author: { name: string; email: string };
  at: number;
  ancestors: ReadonlySet<string>;
}

export interface NewCommit {
  parents: readonly string[];
  tree: Tree;
  message: string;
  author: { name: string; email: string };
  at: number;
}

export const US = { name: 'davylamp', email: 'davylamp@example.com' };
export const MAIN = 'main';

/** What was pushed to a branch by a plain push. */
export interface Moved {
  branch: string;
  from: string | null;
  to: string;
  by: 'us' | 'people';
}

/** A Git server with one repository, in the few words that matter here: commits are whole trees, conflicts are whole files. */
export class Remote {
  readonly commits = new Map<string, Commit>();
  readonly branches = new Map<string, string>();
  /** Every move of a branch, oldest first. */
  readonly moves: Moved[] = [];
  isProtected = false;
  hookRefuses = false;
  /** Signatures that differ at each signing make the same order another commit. */
  readonly #isSigned: boolean;
  #signatures = 0;

  constructor(isSigned: boolean) {
    this.#isSigned = isSigned;
  }

  get head(): string {
    return this.branches.get(MAIN) ?? '';
  }

  commit(sha: string): Commit {
    const found = this.commits.get(sha);
    if (found === undefined) throw new Error(`the simulation has no commit ${sha}`);
    return found;
  }

  find(revision: string): Commit | undefined {
    const exact = this.commits.get(revision);
    if (exact !== undefined || revision.length >= 40) return exact;
    return [...this.commits.values()].find(({ sha }) => sha.startsWith(revision));
  }

  isAncestor(ancestor: string, descendant: string): boolean {
    return ancestor === descendant || this.commit(descendant).ancestors.has(ancestor);
  }

  make({ parents, tree, message, author, at }: NewCommit): Commit {
    const files = Object.keys(tree).sort();
    if (this.#isSigned && author.email === US.email) this.#signatures += 1;
    const text = JSON.stringify([parents, files.map((path) => [path, tree[path]]), message, author, at, this.#signatures]);
    const sha = createHash('sha1').update(text).digest('hex');
    const known = this.commits.get(sha);
    if (known !== undefined) return known;
    const [first] = parents;
    const before = first === undefined ? {} : this.commit(first).tree;
    const ancestors = new Set<string>(parents);
    for (const parent of parents) for (const one of this.commit(parent).ancestors) ancestors.add(one);
    const [subject = ''] = message.split('\n');
    const paths = changedBetween(before, tree);
    const commit: Commit = { sha, parents: [...parents], tree, paths, message, subject, author, at, ancestors };
    this.commits.set(sha, commit);
    return commit;
  }

  /** A plain push: never anything but forward. */
  push(branch: string, to: string, by: 'us' | 'people'): 'pushed' | 'up_to_date' | 'race' {
    const from = this.branches.get(branch) ?? null;
    if (from === to) return 'up_to_date';
    if (from !== null && !this.isAncestor(from, to)) return 'race';
    this.branches.set(branch, to);
    this.moves.push({ branch, from, to, by });
    return 'pushed';
  }

  /** Commits that a move of a branch brought along its first parents, oldest first. */
  brought({ from, to }: Moved): Commit[] {
    const found: Commit[] = [];
    for (let at: string | undefined = to; at !== undefined && at !== from; at = this.commit(at).parents[0]) {
      if (from !== null && this.isAncestor(at, from)) break;
      if (from === null && found.length > 0 && this.isAncestor(at, this.head)) break;
      found.unshift(this.commit(at));
    }
    return found;
  }
}

export function changedBetween(before: Tree, after: Tree): string[] {
  const found: string[] = [];
  for (const path of Object.keys(after)) if (after[path] !== before[path]) found.push(path);
  for (const path of Object.keys(before)) if (!(path in after)) found.push(path);
  return found.sort();
}

/** A tree with other contents of some files; undefined takes a file away. */
export function withFiles(tree: Tree, changes: Iterable<readonly [string, string | undefined]>): Tree {
  const next: Record<string, string> = { ...tree };
  for (const [path, content] of changes) {
    if (content === undefined) delete next[path];
    else next[path] = content;
  }
  return next;
}

/** The change of one commit undone on a tree, file by file, as `git revert` does it. */
export function undone(
  onto: Tree,
  bad: Tree,
  parent: Tree,
): { touched: string[]; wanted: [string, string | undefined][]; conflicts: string[] } {
  const touched = changedBetween(parent, bad);
  const wanted: [string, string | undefined][] = [];
  const conflicts: string[] = [];
  for (const path of touched) {
    if (onto[path] === parent[path]) continue;
    if (onto[path] === bad[path]) wanted.push([path, parent[path]]);
    else conflicts.push(path);
  }
  return { touched, wanted, conflicts };
}

/** The value of a trailer of ours; null for a commit that has none, or that is not by us. */
export function ownTrailer(commit: Commit, key: string): string | null {
  if (commit.author.email !== US.email) return null;
  return trailerOf(commit, key);
}

export function trailerOf({ message }: Commit, key: string): string | null {
  const found = message.split('\n').findLast((line) => line.startsWith(`${key}: `));
  return found === undefined ? null : found.slice(key.length + 2);
}
