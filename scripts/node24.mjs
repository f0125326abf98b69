// Runs the tests on Node 24. The runtime comes from npm, into a folder of its own: as a dependency it would replace the
// Node that runs every other script.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const VERSION = '24.21.0';
const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, '.cache', 'node24', VERSION);
const bin = join(folder, 'node_modules', 'node', 'bin');
const node = join(bin, process.platform === 'win32' ? 'node.exe' : 'node');

if (!existsSync(node)) {
  mkdirSync(folder, { recursive: true });
  // A package of its own, or npm would install into the project around it.
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
  run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--prefix', folder, `node@${VERSION}`], process.env);
}

const environment = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ''}` };
run(node, ['--version'], environment);
run(node, [join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...process.argv.slice(2)], environment);

function run(command, args, env) {
  const { status, error } = spawnSync(command, args, { cwd: root, env, stdio: 'inherit' });
  if (error !== undefined) {
    console.error(`cannot run ${command}: ${error.message}`);
    process.exit(1);
  }
  if (status !== 0) process.exit(status ?? 1);
}
