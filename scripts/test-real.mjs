// Tests against programs that take a compiler or minutes of download. What is not run is named, with the reason: a
// silent skip would look like a pass.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import process from 'node:process';

const root = fileURLToPath(new URL('..', import.meta.url));
const PROGRAMS = [
  {
    name: 'the steps of the Dockerfile',
    tests: 'test/real/image',
    why: 'its tests are not here',
    needs: [
      ['npm', '--version'],
      ['git', '--version'],
    ],
    missing: 'install npm and git',
  },
  {
    name: 'a real Elasticsearch',
    tests: 'test/real/elasticsearch',
    why: 'this version has no source for it',
    needs: [
      ['java', '-version'],
      ['javac', '-version'],
      ['mvn', '--version'],
    ],
    missing: 'install JDK 17 or newer and Maven (apt-get install openjdk-17-jdk-headless maven)',
  },
  {
    name: 'a real Gitea',
    tests: 'test/real/gitea',
    why: 'its tests are not here',
    needs: [
      ['go', 'version'],
      ['gcc', '--version'],
    ],
    missing: 'install Go 1.26 or newer and a C compiler',
  },
  {
    name: 'a Kubernetes API server',
    tests: 'test/real/kubernetes',
    why: 'its tests are not here',
    needs: [['go', 'version']],
    missing: 'install Go 1.24 or newer',
    // Its sources belong to the maintainers' test tools and stand beside the clone.
    folder: process.env.DAVYLAMP_KUBELITE ?? fileURLToPath(new URL('../../shared/kubelite', import.meta.url)),
    folderMissing: 'there is no folder with the sources of kubelite; set DAVYLAMP_KUBELITE to it',
  },
];

const works = ([command, ...args]) => spawnSync(command, args, { stdio: 'ignore' }).status === 0;
const reasonNotToRun = ({ tests, why, needs = [], missing, folder, folderMissing }) => {
  if (!existsSync(new URL(`../${tests}`, import.meta.url))) return why;
  if (folder !== undefined && !existsSync(folder)) return folderMissing;
  const absent = needs.filter((line) => !works(line)).map(([command]) => command);
  return absent.length === 0 ? null : `${absent.join(', ')} cannot be run here; ${missing}`;
};
const present = PROGRAMS.filter((program) => {
  const reason = reasonNotToRun(program);
  if (reason !== null) console.log(`not run: ${program.name}: ${reason}`);
  return reason === null;
});
if (present.length > 0) {
  const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));
  const { status } = spawnSync(
    process.execPath,
    [vitest, 'run', '--config', 'vitest.real.config.ts', ...present.map(({ tests }) => tests)],
    {
      cwd: root,
      stdio: 'inherit',
    },
  );
  process.exitCode = status ?? 1;
}
