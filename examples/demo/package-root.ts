import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folder of davylamp's package.json, found from this file whether it runs compiled or as source. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('package.json of davylamp was not found above the demo; run the demo inside a clone.');
    folder = parent;
  }
  return folder;
}
