import { spawn } from 'node:child_process';
import { on, once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** A whole davylamp as a process, and the metrics page of a healthy shop, for benches that let releases pass by. */
const MAIN = fileURLToPath(new URL('../src/main.js', import.meta.url));
const PROBE = new URL('./heap-probe.js', import.meta.url);
const REQUESTS_PER_MS = 20;

/** A page whose counters grow with the clock; it can be made to take requests and never answer. */
export async function startPage() {
  let hangs = false;
  let reads = 0;
  const server = createServer((_, response) => {
    reads += 1;
    if (hangs) return;
    const requests = Date.now() * REQUESTS_PER_MS;
    const errors = Math.floor(requests / 100);
    const of = (code: string, count: number) => `http_requests_total{service="shop",code="${code}"} ${count}\n`;
    response.end(of('200', requests - errors) + of('500', errors));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the page has no port');
  return {
    url: `http://127.0.0.1:${address.port}/metrics`,
    reads: () => reads,
    hang: (on: boolean) => void (hangs = on),
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Writes a configuration with applications (one, `shop`, by default) whose releases are only judged. JSON is YAML. */
export async function writeConfig(
  folder: string,
  settings: {
    page: string;
    storage: object;
    template: { every: string; for: string };
    applications?: readonly string[];
    more?: object;
  },
): Promise<string> {
  const { page, storage, template, applications = ['shop'], more = {} } = settings;
  const counter = (codes: string) => ({ counter: `http_requests_total{service="\${service}"${codes}}` });
  const config = {
    server: { listen: '127.0.0.1:0' },
    storage,
    log: { level: 'warn' },
    workers: { ticks: 64 },
    sources: {
      pages: { type: 'scrape', targets: ['canary', 'stable'].map((track) => ({ url: page, labels: { track } })) },
    },
    // Nothing listens there, and nothing needs it: no release fails.
    repositories: { deploy: { url: 'https://127.0.0.1:1/deploy.git', refreshEvery: '1h' } },
    applications: Object.fromEntries(
      applications.map((name) => [
        name,
        {
          repository: 'deploy',
          paths: [`apps/${name}`],
          delivery: { type: 'none' },
          template: 'shop',
          arguments: { service: 'shop' },
        },
      ]),
    ),
    templates: {
      shop: {
        ...template,
        canary: { track: 'canary' },
        baseline: { track: 'stable' },
        metrics: {
          errors: { type: 'proportion', source: 'pages', total: counter(''), events: counter(',code=~"5.."'), limit: '20%' },
        },
      },
    },
    ...more,
  };
  const file = join(folder, 'davylamp.yaml');
  await writeFile(file, JSON.stringify(config));
  return file;
}

/** @param probed whether `alive` can be asked */
export async function startDavylamp(config: string, { probed = false }: { probed?: boolean } = {}) {
  const environment = { ...process.env, DAVYLAMP__LOG__LEVEL: 'info' };
  const preload = probed ? ['--expose-gc', '--import', PROBE.href] : [];
  const child = spawn(process.execPath, [...preload, MAIN, 'serve', '--config', config], {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit', probed ? 'pipe' : 'ignore'],
  });
  // A bench that fails leaves no process behind.
  process.once('exit', () => child.kill('SIGKILL'));
  const probe = child.stdio[3] instanceof Socket ? child.stdio[3] : null;
  const answers = probe && on(createInterface({ input: probe }), 'line');
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  const { stdout } = child;
  if (stdout === null) throw new Error('the output of davylamp is not read');
  const address = await new Promise<string>((done, fail) => {
    createInterface({ input: stdout }).on('line', (line) => {
      const entry = JSON.parse(line) as { msg: string; address?: string };
      if (entry.msg === 'ready' && entry.address !== undefined) done(entry.address);
    });
    void exited.then(() => fail(new Error('davylamp ended before it was ready')));
  });
  const call = async <T>(path: string, body?: object): Promise<T> => {
    const init =
      body === undefined ? {} : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
    const answer = await fetch(`${address}${path}`, init);
    if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`);
    return (await answer.json()) as T;
  };
  return {
    call,
    metrics: async () => (await fetch(`${address}/metrics`)).text(),
    signal: (name: NodeJS.Signals) => void child.kill(name),
    exited,
    /** Megabytes that are alive in the heap, once all garbage is collected. */
    async alive(): Promise<number> {
      if (probe === null || answers === null) throw new Error('it was started without the probe');
      probe.write('\n');
      const { value } = (await answers.next()) as { value: [string] };
      return (JSON.parse(value[0]) as { heapMb: number }).heapMb;
    },
    /** Linux only: reads /proc. */
    async resources(): Promise<{ residentMb: number; handles: number }> {
      const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
      const handles = (await readdir(`/proc/${child.pid}/fd`)).length;
      return { residentMb: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1_024, handles };
    },
  };
}

/** `--name value` of the command line. */
export function option(name: string): string | undefined {
  const at = process.argv.indexOf(`--${name}`);
  return at === -1 ? undefined : process.argv[at + 1];
}

export function storageOption(url = option('redis')): object {
  return url === undefined
    ? { kind: 'embedded', path: './data' }
    : { kind: 'redis', url, prefix: `bench-${process.pid}`, path: './data' };
}
