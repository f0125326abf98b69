// Writes the files that come from the schemas, or with --check says which of them are stale.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const GENERATED = [
  { file: 'config/schema.json', command: 'config-schema' },
  { file: 'docs/reference/configuration.md', command: 'config-reference' },
  { file: 'openapi.yaml', command: 'openapi' },
];
const MAX_BYTES = 16 * 1_048_576;

const check = process.argv.includes('--check');
const stale = [];
for (const { file, command } of GENERATED) {
  const text = execFileSync(process.execPath, [join(root, 'dist/src/main.js'), command], {
    encoding: 'utf8',
    maxBuffer: MAX_BYTES,
    // Overrides of the caller's environment have no place in the documents.
    env: {},
  });
  if (!check) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  } else if (current(file) !== text) {
    stale.push(file);
  }
}
for (const file of stale) console.error(`${file} is stale; run npm run generate and commit it`);
if (stale.length > 0) process.exitCode = 1;

function current(file) {
  try {
    return readFileSync(join(root, file), 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}
