// Asks a running davylamp everything that its OpenAPI document allows and forbids, with Schemathesis
// (https://schemathesis.readthedocs.io): no 5xx, no status and no body that the document does not have, nothing invalid
// accepted. The service is the compiled one, with embedded storage, a real Git remote and no metrics; what is asked
// leads to analyses that stay inconclusive.
//
//   node bench/schemathesis.mjs [--examples 60] [--seed 1]
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const requirements = fileURLToPath(new URL('schemathesis.txt', import.meta.url));
const contents = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12);
const venv = join(root, '.cache', `schemathesis-${contents}`);
const { values } = parseArgs({
  options: { examples: { type: 'string', default: '60' }, seed: { type: 'string', default: '1' } },
});

/** Installed once into .cache; null, with the reason told, where that cannot be done. */
function schemathesis() {
  const program = join(venv, 'bin', 'schemathesis');
  if (existsSync(program)) return program;
  const steps = [
    ['python3', ['-m', 'venv', venv], 'python3 with its module venv (apt-get install python3-venv)'],
    [
      join(venv, 'bin', 'pip'),
      ['install', '--quiet', '--disable-pip-version-check', '-r', requirements],
      'a Python package index that pip can reach',
    ],
  ];
  for (const [command, parameters, needed] of steps) {
    const { status } = spawnSync(command, parameters, { stdio: ['ignore', 'inherit', 'inherit'] });
    if (status !== 0) {
      console.log(`not run: Schemathesis: it needs ${needed}`);
      return null;
    }
  }
  return program;
}

async function startService(folder, token) {
  const { startGitServer } = await import('../dist/examples/demo/git-server.js');
  const git = await startGitServer({ folder: join(folder, 'remote'), token: null });
  // Not spawnSync: the remote answers in this process.
  const run = async (...parameters) => {
    const [status] = await once(spawn('git', parameters, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] }), 'exit');
    if (status !== 0) throw new Error(`git ${parameters[0]} ended with ${status}`);
  };
  const identity = ['-c', 'user.name=somebody', '-c', 'user.email=somebody@localhost', '-c', 'init.defaultBranch=main'];
  await run(...identity, 'init', '--quiet', 'work');
  for (const version of ['1', '2']) {
    await writeFile(join(folder, 'work', 'shop.yaml'), `version: ${version}\n`);
    await run('-C', 'work', 'add', 'shop.yaml');
    await run('-C', 'work', ...identity, 'commit', '--quiet', '-m', `shop ${version}`);
  }
  await run('-C', 'work', 'push', '--quiet', git.url, 'HEAD:refs/heads/main');
  const revision = spawnSync('git', ['-C', join(folder, 'work'), 'rev-parse', 'HEAD'], { encoding: 'utf8' }).stdout.trim();
  const config = join(folder, 'davylamp.yaml');
  const digest = createHash('sha256').update(token).digest('hex');
  await writeFile(
    config,
    `
server:
  listen: 127.0.0.1:0
  tokens: [{ name: schemathesis, sha256: ${digest}, scopes: [admin] }]
  rates: { reads: 0, writes: 0, judgements: 0 }
log: { level: error }
sources: { pages: { type: scrape, targets: [{ url: 'http://127.0.0.1:9/metrics' }] } }
repositories: { deploy: { url: '${git.url}' } }
applications:
  shop: { repository: deploy, paths: [shop.yaml], delivery: { type: none }, template: quick }
templates:
  quick:
    every: 1s
    for: 2s
    canary: {}
    metrics: { load: { type: gauge, source: pages, value: { gauge: load }, limit: 1 } }
`,
  );
  const main = join(root, 'dist', 'src', 'main.js');
  const child = spawn(process.execPath, [main, 'serve', '--config', config], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, DAVYLAMP__LOG__LEVEL: 'info' },
  });
  const faults = [];
  const ready = new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the service ended with ${code} before it was ready`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const entry = JSON.parse(line);
      if (entry.msg === 'ready') resolve(entry.address);
      // What an answer hides is in the log.
      if (entry.code === 'internal') faults.push(line);
    });
  });
  return {
    address: await ready,
    revision,
    faults,
    async stop() {
      child.removeAllListeners('exit');
      if (child.exitCode === null) {
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
      await git.close();
    },
  };
}

async function main() {
  const program = schemathesis();
  if (program === null) {
    console.log('0 passed, 0 failed, 1 skipped');
    return 0;
  }
  const folder = await mkdtemp(join(tmpdir(), 'davylamp-schemathesis-'));
  const token = randomBytes(24).toString('hex');
  try {
    const service = await startService(folder, token);
    try {
      const limits = [
        '--max-examples',
        values.examples,
        '--seed',
        values.seed,
        '--request-timeout',
        '15',
        '--max-response-time',
        '5',
      ];
      const phases = [
        '--phases',
        'examples,coverage,fuzzing,stateful',
        '--continue-on-failure',
        '--suppress-health-check',
        'all',
      ];
      const authorization = ['--header', `Authorization: Bearer ${token}`];
      const document = `${service.address}/openapi.json`;
      const junit = join(folder, 'operations.xml');
      const reports = ['--report', 'junit', '--report-junit-path', junit];
      const parameters = [
        'run',
        document,
        '--url',
        service.address,
        ...authorization,
        ...phases,
        ...limits,
        ...reports,
        '--no-color',
      ];
      await writeFile(join(folder, 'schemathesis.toml'), settings(await seed(service, token)));
      const child = spawn(program, parameters, { cwd: folder, stdio: 'inherit' });
      const [status] = await once(child, 'exit');
      for (const fault of service.faults.slice(0, 10)) console.log(`fault in the log: ${fault}`);
      const { tests, failed } = await operations(junit);
      const mistaken = failed + (service.faults.length > 0 ? 1 : 0);
      console.log(`${tests - failed} passed, ${mistaken} failed, 0 skipped`);
      return status === 0 && mistaken === 0 && tests > 0 ? 0 : 1;
    } finally {
      await service.stop();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** How many operations of the API were asked, and how many of them did not keep what the document says. */
async function operations(junit) {
  const sum = (text, name) =>
    [...text.matchAll(new RegExp(`<testsuite [^>]*\\b${name}="(\\d+)"`, 'g'))].reduce((all, [, count]) => all + Number(count), 0);
  const text = await readFile(junit, 'utf8').catch(() => '');
  return { tests: sum(text, 'tests'), failed: sum(text, 'failures') + sum(text, 'errors') };
}

/** One analysis and one rollback, so that what needs an id reaches more than 404. */
async function seed({ address, revision }, token) {
  const ask = async (path, body) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const answer = await fetch(`${address}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`);
    return (await answer.json()).id;
  };
  return {
    analysis: await ask('/api/v1/analyses', { application: 'shop', revision }),
    rollback: await ask('/api/v1/rollbacks', { application: 'shop', revision, reason: 'to have one' }),
  };
}

/**
 * Well-formed is not the same as possible: what does not exist or cannot be done now is 404, 409 or 422. Two kinds of
 * request can be well-formed by the schema and wrong all the same, with 400: a cursor that nobody was given, and rows of
 * measurements that do not fit each other. A body beyond the limit is 413 before anybody looks at its schema.
 */
const settings = ({ analysis, rollback }) => `
[checks]
positive_data_acceptance.expected-statuses = ["2xx", 404, 409, 422]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 409, 413, 415, 422]

[[operations]]
include-operation-id = ["listAnalyses", "listRollbacks", "listLedger", "judge"]
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 404]

[[operations]]
include-operation-id = ["getAnalysis", "getMeasurements", "cancelAnalysis"]
parameters = { id = "${analysis}" }

# A stream of events is a text in OpenAPI 3.1; Schemathesis looks at each event as an object.
[[operations]]
include-operation-id = ["followAnalysis"]
parameters = { id = "${analysis}" }
checks.response_schema_conformance.enabled = false

[[operations]]
include-operation-id = ["getRollback", "getRollbackJournal", "approveRollback", "refuseRollback"]
parameters = { id = "${rollback}" }
`;

process.exitCode = await main();
