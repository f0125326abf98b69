import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** Compiles what worker threads and child processes of the tests run, so that they run what the tests test. */
export default function build(): void {
  const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
  try {
    execFileSync(process.execPath, [compiler, '-b', 'src', 'examples', 'test/conformance/children'], { stdio: 'inherit' });
  } catch (error) {
    // While somebody else's room does not compile, one's own tests can still be run; never in the integration.
    if (process.env['DAVYLAMP_TEST_BUILD'] !== 'lenient') throw error;
  }
}
