// Builds after `npm ci`. npx runs `prepare` of the package that it is called in, too, before every first use: there the
// build is made already, and doing it again would double the time to the first answer.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import process from 'node:process';

const built = existsSync(new URL('../dist/src/main.js', import.meta.url));
if (process.env['npm_command'] !== 'exec' || !built) {
  const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
  execFileSync(process.execPath, [compiler, '-b', 'src', 'examples', 'bench'], { stdio: 'inherit' });
}
