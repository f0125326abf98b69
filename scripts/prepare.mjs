// Builds after `npm ci`. npx runs `prepare` of the package that it is called in, too, before its first use: there the
// build is made already, doing it again would double the time to the answer, and a failure would leave npx's cache
// broken for good.
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import process from 'node:process';

if (process.env['npm_command'] !== 'exec') {
  const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
  execFileSync(process.execPath, [compiler, '-b', 'src', 'examples', 'bench'], { stdio: 'inherit' });
}
