import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** Maven Central has the HTTP module of this version; it does not have that of every version. */
const VERSION = '8.19.21';
const FETCH_TIMEOUT_MS = 600_000;
const READY_TIMEOUT_MS = 180_000;
const END_TIMEOUT_MS = 30_000;
const root = fileURLToPath(new URL('../../..', import.meta.url));
const run = promisify(execFile);

export interface ElasticsearchNode {
  url: string;
  close(): Promise<void>;
}

/**
 * A real Elasticsearch of one node on loopback, for tests only: its jars come from Maven Central into
 * `.cache/elasticsearch` and stay under the licence of Elastic. Needs JDK 17 (java, javac), Maven and about 1 GB of
 * memory. What Maven Central does not have is missing: GET /, ES|QL, scripts, security.
 */
export async function startElasticsearch(): Promise<ElasticsearchNode> {
  const program = join(root, '.cache', 'elasticsearch', VERSION);
  if (!existsSync(program)) await fetchProgram(program);
  const home = await mkdtemp(join(tmpdir(), 'davylamp-elasticsearch-'));
  const modules = join(home, 'modules', 'transport-netty4');
  for (const folder of [join(home, 'config'), modules, join(home, 'plugins'), join(home, 'lib')])
    await mkdir(folder, { recursive: true });
  for (const file of await readdir(join(program, 'module'))) await copyFile(join(program, 'module', file), join(modules, file));
  await writeFile(
    join(home, 'config', 'log4j2.properties'),
    'status = error\nappender.console.type = Console\nappender.console.name = console\nappender.console.layout.type = PatternLayout\nappender.console.layout.pattern = [%p][%c{1.}] %m%n\nrootLogger.level = info\nrootLogger.appenderRef.console.ref = console\n',
  );
  const [port, transport] = [await freePort(), await freePort()];
  const classPath = [join(program, 'classes'), join(program, 'lib', '*')].join(delimiter);
  const child = spawn('java', ['-Xms512m', '-Xmx512m', '-cp', classPath, 'SearchNode', home, String(port), String(transport)], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let output = '';
  const ended = once(child, 'exit');
  const ready = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`Elasticsearch was not ready in time:\n${output}`)), READY_TIMEOUT_MS);
    const look = (piece: Buffer) => {
      output = (output + piece.toString()).slice(-20_000);
      if (!output.includes('READY')) return;
      clearTimeout(timer);
      resolve();
    };
    child.stdout.on('data', look);
    child.stderr.on('data', look);
    child.once('exit', () => reject(new Error(`Elasticsearch ended before it was ready:\n${output}`)));
  });
  const close = async () => {
    child.stdin.end();
    const timer = setTimeout(() => child.kill('SIGKILL'), END_TIMEOUT_MS);
    if (child.exitCode === null && child.signalCode === null) await ended;
    clearTimeout(timer);
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    await ready;
  } catch (error) {
    await close();
    throw error;
  }
  return { url: `http://127.0.0.1:${port}`, close };
}

/** Fetches the jars and compiles the launcher. The folder appears complete or not at all. */
async function fetchProgram(program: string): Promise<void> {
  const draft = `${program}.new-${process.pid}`;
  await rm(draft, { recursive: true, force: true });
  for (const folder of ['lib', 'module', 'classes']) await mkdir(join(draft, folder), { recursive: true });
  const server = await jarsOf(draft, 'org.elasticsearch', 'elasticsearch', 'lib');
  const netty = await jarsOf(draft, 'org.elasticsearch.plugin', 'transport-netty4', 'netty');
  for (const jar of netty) if (!server.includes(jar)) await copyFile(join(draft, 'netty', jar), join(draft, 'module', jar));
  const plugin = join(draft, 'netty', `transport-netty4-${VERSION}.jar`);
  await run('jar', ['xf', plugin, 'META-INF/es-plugins/transport-netty4/plugin-descriptor.properties'], { cwd: draft });
  const descriptor = await readFile(join(draft, 'META-INF/es-plugins/transport-netty4/plugin-descriptor.properties'), 'utf8');
  // Without modulename the module is loaded by a plain class loader, which is what a server on the class path needs.
  const lines = descriptor.split('\n').filter((line) => !line.startsWith('#') && !line.startsWith('modulename'));
  await writeFile(join(draft, 'module', 'plugin-descriptor.properties'), lines.join('\n'));
  await run('javac', [
    '-cp',
    join(draft, 'lib', '*'),
    '-d',
    join(draft, 'classes'),
    fileURLToPath(new URL('SearchNode.java', import.meta.url)),
  ]);
  for (const folder of ['netty', 'META-INF']) await rm(join(draft, folder), { recursive: true, force: true });
  await rename(draft, program);
}

async function jarsOf(draft: string, group: string, artifact: string, into: string): Promise<string[]> {
  const model = join(draft, `${into}.xml`);
  const dependency = `<groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${VERSION}</version>`;
  await writeFile(
    model,
    `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>test</groupId><artifactId>${artifact}-jars</artifactId><version>1</version><dependencies><dependency>${dependency}</dependency></dependencies></project>`,
  );
  const goal = ['dependency:copy-dependencies', `-DoutputDirectory=${join(draft, into)}`, '-DincludeScope=runtime'];
  await run('mvn', ['-q', '-B', '-f', model, ...goal], { timeout: FETCH_TIMEOUT_MS, maxBuffer: 10_000_000 });
  await rm(model);
  return readdir(join(draft, into));
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}
