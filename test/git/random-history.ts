import { execFile } from 'node:child_process';

/** A file, a program, a symbolic link, or the link of a submodule. */
type Node = { mode: '100644' | '100755' | '120000'; text: string } | { mode: '160000'; text: string };
type Tree = Map<string, Node>;

export interface RandomHistory {
  /** Ids, oldest first. */
  commits: string[];
  /** What each commit did, in words, for a failing test. */
  story: string[];
}

/** Numbers from 0 to 1 that depend on the seed alone (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const FOLDERS = ['', 'd/', 'd/e/', 'k/', 'k/l/', 'm/'];
const NAMES = ['a', 'b', 'c', 'd', 'e', 'run.sh', 'ü x', '"q"'];
const LINES = 14;

/**
 * A history that likes to be awkward: files and whole folders move, become folders, links, programs or submodules, come
 * and go, are taken back by hand, beside one line changed here and there.
 */
class Teller {
  readonly #random: () => number;
  tree: Tree = new Map();
  readonly #past: Tree[] = [];
  #counter = 0;

  constructor(seed: number) {
    this.#random = seeded(seed);
    for (let index = 0; index < 7; index += 1) this.#add();
  }

  /** Changes the tree. @returns what was done */
  step(): string {
    this.#past.push(new Map(this.tree));
    const done: string[] = [];
    for (let count = 1 + this.#below(3); count > 0; count -= 1) done.push(this.#change());
    return done.join(', ');
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #pick<T>(values: readonly T[]): T | undefined {
    return values[this.#below(values.length)];
  }

  #newPath(): string {
    return `${this.#pick(FOLDERS) ?? ''}${this.#pick(NAMES) ?? 'a'}`;
  }

  /** Whatever stands in the way of a path goes. */
  #put(path: string, node: Node): void {
    for (const other of this.tree.keys()) {
      if (other.startsWith(`${path}/`) || path.startsWith(`${other}/`)) this.tree.delete(other);
    }
    this.tree.set(path, node);
  }

  #add(): string {
    const path = this.#newPath();
    this.#counter += 1;
    const body = Array.from({ length: LINES }, (_, line) => `${path} ${this.#counter} line ${line}`);
    this.#put(path, { mode: '100644', text: `${body.join('\n')}\n` });
    return `add ${path}`;
  }

  #change(): string {
    const path = this.#pick([...this.tree.keys()]);
    const node = path === undefined ? undefined : this.tree.get(path);
    if (path === undefined || node === undefined) return this.#add();
    this.#counter += 1;
    switch (this.#below(14)) {
      case 0:
      case 1:
        return this.#add();
      case 2:
        this.tree.delete(path);
        return `delete ${path}`;
      case 3: {
        const to = this.#newPath();
        this.tree.delete(path);
        this.#put(to, node);
        return `move ${path} to ${to}`;
      }
      case 4:
        return this.#moveFolder();
      case 5:
        if (node.mode === '100644' || node.mode === '100755') {
          this.tree.set(path, { mode: node.mode === '100644' ? '100755' : '100644', text: node.text });
        }
        return `turn the mode of ${path}`;
      case 6:
        this.#put(path, { mode: '120000', text: this.#newPath() });
        return `link at ${path}`;
      case 7:
        this.#put(path, { mode: '160000', text: String(1 + this.#below(3)).repeat(40) });
        return `submodule at ${path}`;
      case 8: {
        const before = this.#pick(this.#past)?.get(path);
        if (before === undefined) this.tree.delete(path);
        else this.#put(path, before);
        return `take ${path} back by hand`;
      }
      case 9:
        this.#put(`${path}/${this.#pick(NAMES) ?? 'a'}`, node);
        return `folder at ${path}`;
      default: {
        if (node.mode === '160000' || node.mode === '120000') return this.#add();
        const lines = node.text.split('\n');
        const line = this.#below(LINES);
        lines[line] = `changed ${this.#counter}${this.#below(6) === 0 ? '\r' : ''}`;
        this.tree.set(path, { mode: node.mode, text: lines.join('\n') });
        return `line ${line} of ${path}`;
      }
    }
  }

  #moveFolder(): string {
    const from = this.#pick(FOLDERS.filter((folder) => folder !== '')) ?? 'd/';
    const to = this.#pick(['n/', 'o/p/', 'k/', 'd/']) ?? 'n/';
    if (to.startsWith(from) || from.startsWith(to)) return 'nothing';
    for (const [path, node] of this.tree) {
      if (!path.startsWith(from)) continue;
      this.tree.delete(path);
      this.#put(to + path.slice(from.length), node);
    }
    return `move ${from} to ${to}`;
  }
}

/** Writes a random history of `length` commits into a repository, without a work tree. */
export async function writeRandomHistory(gitDir: string, ref: string, seed: number, length: number): Promise<RandomHistory> {
  const teller = new Teller(seed);
  const stream: string[] = [];
  const data = (text: string): string => `data ${Buffer.byteLength(text)}\n${text}\n`;
  const story: string[] = [];
  for (let index = 1; index <= length; index += 1) {
    const what = index === 1 ? 'begin' : teller.step();
    story.push(what);
    stream.push(`commit ${ref}\nmark :${index}\ncommitter Ada <ada@example.com> ${1_600_000_000 + index} +0000\n${data(what)}`);
    if (index > 1) stream.push(`from :${index - 1}\n`);
    stream.push('deleteall\n');
    for (const [path, { mode, text }] of teller.tree) {
      const quoted = `"${path.replaceAll('"', '\\"')}"`;
      stream.push(mode === '160000' ? `M ${mode} ${text} ${quoted}\n` : `M ${mode} inline ${quoted}\n${data(text)}`);
    }
    stream.push(`get-mark :${index}\n`);
  }
  stream.push('done\n');
  const commits = await new Promise<string>((resolve, reject) => {
    const child = execFile('git', ['--git-dir', gitDir, 'fast-import', '--quiet', '--done', '--force'], (error, stdout) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`git fast-import: ${error.message}`));
    });
    child.stdin?.end(stream.join(''));
  });
  return { commits: commits.trim().split('\n'), story };
}
