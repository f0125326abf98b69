import { watch, type FSWatcher } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Editors and kubelets write in several steps; a change counts when it has been quiet for this long. */
const QUIET_MS = 250;
/** Some file systems (network mounts, files mounted one by one) report nothing, so that one looks now and then, too. */
const LOOK_MS = 15_000;

export interface WatchTimes {
  quietMs: number;
  lookMs: number;
}

/**
 * Tells when one of some files has changed, whatever way: written in place, replaced by a rename, or, as Kubernetes
 * does with mounted ConfigMaps and Secrets, by turning the symlink `..data` of its folder to another one. So folders
 * are watched, and what counts is where each file leads to and what stands there.
 *
 * @param options.files absolute paths; asked anew at every look, because a reload may name others
 * @returns a function that ends the watch; from then on, what changes is told
 */
export async function watchFiles(options: {
  files: () => readonly string[];
  onChange: () => void;
  onError: (error: unknown) => void;
  times?: Partial<WatchTimes>;
}): Promise<() => void> {
  const { files, onChange, onError } = options;
  const { quietMs = QUIET_MS, lookMs = LOOK_MS } = options.times ?? {};
  const watchers = new Map<string, FSWatcher>();
  /** Folders that cannot be watched, told once each. */
  const unwatchable = new Set<string>();
  let known: string | null = null;
  let ended = false;
  let quiet: NodeJS.Timeout | undefined;

  function watchFolders(): void {
    const folders = new Set(files().map((file) => dirname(file)));
    for (const [folder, watcher] of watchers) {
      if (folders.has(folder)) continue;
      watcher.close();
      watchers.delete(folder);
    }
    for (const folder of folders) {
      if (watchers.has(folder)) continue;
      try {
        const watcher = watch(folder, { persistent: false }, soon);
        watcher.on('error', (error) => {
          watcher.close();
          watchers.delete(folder);
          onError(error);
        });
        watchers.set(folder, watcher);
        unwatchable.delete(folder);
      } catch (error) {
        // Without notice from this folder there is still the look now and then.
        if (!unwatchable.has(folder)) onError(error);
        unwatchable.add(folder);
      }
    }
  }

  function soon(): void {
    clearTimeout(quiet);
    if (!ended) quiet = setTimeout(() => void look(), quietMs).unref();
  }

  async function look(): Promise<void> {
    const found = (await Promise.all(files().map(fingerprint))).join('\n');
    if (ended) return;
    const changed = known !== null && known !== found;
    known = found;
    watchFolders();
    if (changed) onChange();
  }

  const timer = setInterval(() => void look(), lookMs).unref();
  await look();
  return () => {
    ended = true;
    clearTimeout(quiet);
    clearInterval(timer);
    for (const watcher of watchers.values()) watcher.close();
  };
}

/** Where the file leads to and which state of it that is; never its content. */
async function fingerprint(file: string): Promise<string> {
  try {
    const target = await realpath(file);
    const { ino, size, mtimeMs, ctimeMs } = await stat(target);
    return [file, target, ino, size, mtimeMs, ctimeMs].join(' ');
  } catch (error) {
    return `${file} ${error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'}`;
  }
}
