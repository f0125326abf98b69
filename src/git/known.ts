/** So many commits are not looked up again. */
const KNOWN_COMMITS = 1_000;
/** So many times it is not asked again whether one commit is an ancestor of another one. */
const KNOWN_ANCESTORS = 2_000;
/** Of what was computed the last ones are kept on disk for sure: four folders of some 500 objects each hold more. */
const MADE_COMMITS = 100;

/** What a mirror was found to hold, and holds until it is thrown away; all by full ids. */
export class Known {
  readonly #onBranch = new Set<string>();
  readonly #ancestors = new Map<string, boolean>();
  readonly #made = new Set<string>();

  /** A commit that was seen on the branch: it is in the mirror itself, and not only among what was computed. */
  noteOnBranch(commit: string): void {
    if (this.#onBranch.size >= KNOWN_COMMITS) this.#onBranch.clear();
    this.#onBranch.add(commit);
  }

  /** Whether it need not be looked for. */
  isHere(commit: string): boolean {
    return this.#onBranch.has(commit) || this.#made.has(commit);
  }

  /** A commit that was computed just now, on top of another one. */
  noteMade(commit: string, parent: string): void {
    const [oldest] = this.#made;
    if (this.#made.size >= MADE_COMMITS && oldest !== undefined) this.#made.delete(oldest);
    this.#made.delete(commit);
    this.#made.add(commit);
    this.noteAncestor(parent, commit, true);
  }

  /** Undefined when it has to be asked for. */
  isAncestor(ancestor: string, descendant: string): boolean | undefined {
    return ancestor === descendant ? true : this.#ancestors.get(`${ancestor} ${descendant}`);
  }

  /** What is below a commit of the branch is on the branch, too. */
  noteAncestor(ancestor: string, descendant: string, isSo: boolean): void {
    if (this.#ancestors.size >= KNOWN_ANCESTORS) this.#ancestors.clear();
    this.#ancestors.set(`${ancestor} ${descendant}`, isSo);
    if (isSo && this.#onBranch.has(descendant)) this.noteOnBranch(ancestor);
  }

  clear(): void {
    this.#onBranch.clear();
    this.#ancestors.clear();
    this.#made.clear();
  }
}
