import type { CommitFacts, FileEdit, Repository } from '../git/port.ts';
import {
  ignoreTag,
  isByImageUpdater,
  markedLines,
  narrowPolicy,
  proposesVersions,
  suspendAutomation,
  tagsOfImageUpdater,
  type Marked,
  type Setting,
} from '../manifests/automation.ts';
import { deliveryOf, policyOf, repositoryOf, type ExecutorContext } from './context.ts';
import { matchesGlob } from './glob.ts';
import type { Rollback } from './record.ts';

/** What keeps bots from bringing the bad version back. */
export interface Tamed {
  edits: FileEdit[];
  /** For a person; empty when no bot was found. */
  did: string[];
  /** A bot would bring it back and could not be stopped: a revert is proposed at most. Null: none. */
  propose: { code: string; sentence: string } | null;
}

const NOTHING: Tamed = { edits: [], did: [], propose: null };
const MOST_FILES = 50_000;
/** Settings files that are looked through. */
const MOST_SETTINGS = 200;
const YAML = /\.ya?ml$/i;

export interface AboutPlan {
  head: string;
  /** The commit of the plan, in the mirror. */
  commit: string;
  bad: CommitFacts;
  changed: readonly string[];
}

/**
 * Looks for programs that write versions into Git and would undo the revert with their next run: Flux's image automation,
 * Argo CD Image Updater, Kargo. Where their settings lie in `automationPaths`, they are narrowed in the same commit; a
 * patch in the cluster would be undone by whoever applies the settings from Git.
 */
export async function automationFor(
  context: ExecutorContext,
  rollback: Rollback,
  about: AboutPlan,
  signal: AbortSignal,
): Promise<Tamed> {
  const repository = repositoryOf(context, rollback);
  const marked = await markedBy(repository, about, signal);
  const updater = isByImageUpdater(about.bad);
  const people = proposesVersions(about.bad.author)
    ? [`${about.bad.author.name} will propose this version again; close its pull request or add an ignore rule`]
    : [];
  const cluster = await fromCluster(context, rollback, signal);
  if (cluster !== null) return { ...NOTHING, did: people, propose: cluster };
  if (marked.length === 0 && !updater) return { ...NOTHING, did: people };
  const settings = new Settings(repository, about.head, policyOf(context, rollback).automationPaths, signal);
  const did = [...people];
  for (const one of marked) {
    const done =
      (await settings.change((text) => narrowPolicy(text, one))) ??
      (await settings.change((text) => suspendAutomation(text, one.namespace)));
    if (done === null)
      return { ...NOTHING, did: people, propose: wouldReturn(`Flux image automation (${one.namespace}/${one.policy})`) };
    did.push(done);
  }
  if (updater) {
    const tags = tagsOfImageUpdater(about.bad.message);
    if (tags.length === 0) return { ...NOTHING, did: people, propose: wouldReturn('Argo CD Image Updater') };
    for (const tag of tags) {
      const done = await settings.change((text) => ignoreTag(text, tag));
      if (done === null) return { ...NOTHING, did: people, propose: wouldReturn('Argo CD Image Updater') };
      did.push(done);
    }
  }
  return { edits: settings.edits, did, propose: null };
}

function wouldReturn(who: string): Tamed['propose'] {
  const sentence = `${who} wrote this version and would write it again after a revert, and its settings were not found in automationPaths; the revert is proposed: stop it there first, then merge`;
  return { code: 'automation_would_undo', sentence };
}

/** Markers on lines that the plan sets back, one for each policy. */
async function markedBy(repository: Repository, { head, commit, changed }: AboutPlan, signal: AbortSignal): Promise<Marked[]> {
  const found = new Map<string, Marked>();
  for (const path of changed.filter((one) => YAML.test(one)).slice(0, MOST_SETTINGS)) {
    const text = await repository.readFile(head, path, signal);
    if (text === null || !text.includes('$imagepolicy')) continue;
    for (const one of markedLines(text, (await repository.readFile(commit, path, signal)) ?? '')) {
      found.set(`${one.namespace}/${one.policy}/${one.tag}`, one);
    }
  }
  return [...found.values()];
}

/** What the cluster shows is asked for once, when the plan is made; a raced push has no time for it. */
async function fromCluster(context: ExecutorContext, rollback: Rollback, signal: AbortSignal): Promise<Tamed['propose']> {
  const delivery = deliveryOf(context, rollback);
  if (rollback.plan !== null || delivery.automations === undefined) return null;
  const found = await delivery.automations(signal);
  const past = found.find(({ pastGit }) => pastGit);
  if (past !== undefined) {
    const sentence = `${past.name} (${past.type}) writes the version past Git, so a revert changes nothing there; set it back where it is kept`;
    return { code: 'written_past_git', sentence };
  }
  const kargo = found.find(({ type }) => type === 'kargo');
  if (kargo === undefined) return null;
  const sentence = `${kargo.name} promotes versions by itself and would overwrite a revert; promote the previous Freight there, or merge the proposal`;
  return { code: 'automation_would_undo', sentence };
}

/** Settings files of bots at one head, with what was changed in them so far. */
class Settings {
  readonly #repository: Repository;
  readonly #head: string;
  readonly #globs: readonly string[];
  readonly #signal: AbortSignal;
  #texts: Map<string, string> | null = null;
  readonly #changed = new Set<string>();

  constructor(repository: Repository, head: string, globs: readonly string[], signal: AbortSignal) {
    this.#repository = repository;
    this.#head = head;
    this.#globs = globs;
    this.#signal = signal;
  }

  get edits(): FileEdit[] {
    return [...this.#changed].sort().map((path) => ({ path, content: this.#texts?.get(path) ?? null }));
  }

  /**
   * Changes the file in which there is something to change; null when there is none, and when there are several: to guess
   * which one is meant would change another team's settings, and leave the right ones as they are.
   */
  async change(edit: (text: string) => Setting | null): Promise<string | null> {
    this.#texts ??= await this.#read();
    const found = [...this.#texts].flatMap(([path, text]) => {
      const next = edit(text);
      return next === null ? [] : [{ path, text, next }];
    });
    const [only] = found;
    if (only === undefined || found.length > 1) return null;
    const { path, text, next } = only;
    this.#texts.set(path, next.text);
    if (next.text !== text) this.#changed.add(path);
    return `${next.did} (${path})`;
  }

  async #read(): Promise<Map<string, string>> {
    const texts = new Map<string, string>();
    if (this.#globs.length === 0) return texts;
    const files = await this.#repository.filesAt(this.#head, ['.'], MOST_FILES, this.#signal);
    const wanted = files.filter((path) => YAML.test(path) && this.#globs.some((glob) => matchesGlob(path, glob)));
    for (const path of wanted.slice(0, MOST_SETTINGS)) {
      const text = await this.#repository.readFile(this.#head, path, this.#signal);
      if (text !== null) texts.set(path, text);
    }
    return texts;
  }
}
