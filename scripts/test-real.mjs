// Tests against programs that take a compiler or minutes of download. What is not run is named, with the reason: a
// silent skip would look like a pass.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import process from 'node:process';

const root = fileURLToPath(new URL('..', import.meta.url));
const PROGRAMS = [
  { name: 'a real Elasticsearch', tests: 'test/real/elasticsearch', why: 'this version has no source for it' },
  { name: 'a Kubernetes API server', tests: 'test/real/kubernetes', why: 'this version has no delivery for it' },
];

const present = PROGRAMS.filter(({ tests }) => existsSync(new URL(`../${tests}`, import.meta.url)));
for (const { name, why } of PROGRAMS.filter((program) => !present.includes(program))) console.log(`not run: ${name}: ${why}`);
if (present.length > 0) {
  const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));
  const { status } = spawnSync(process.execPath, [vitest, 'run', '--config', 'vitest.real.config.ts'], {
    cwd: root,
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
}
