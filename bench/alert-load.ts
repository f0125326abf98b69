import { spawn, type ChildProcess } from 'node:child_process';
import { Agent, request } from 'node:http';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ServiceSettings, Usage } from './webhook-service.ts';

const TICK_MS = 5;
export const TOKEN = 'bench-token-6f1d20';

const CHILD = fileURLToPath(new URL('./alert-service.js', import.meta.url));

/** The bench's service in a process of its own. */
export class Service {
  readonly port: number;
  readonly agent: Agent;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess, lines: AsyncIterator<string>, port: number, connections: number) {
    this.#child = child;
    this.#lines = lines;
    this.port = port;
    this.agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  static async start(settings: ServiceSettings, connections: number): Promise<Service> {
    const child = spawn(process.execPath, [CHILD, JSON.stringify(settings)], { stdio: ['pipe', 'pipe', 'inherit'] });
    const { stdout } = child;
    if (stdout === null) throw new Error('the child has no output');
    const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
    const first = await lines.next();
    if (first.done === true) throw new Error('the service did not start');
    return new Service(child, lines, (JSON.parse(first.value) as { port: number }).port, connections);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  async usage(): Promise<Usage> {
    this.#child.stdin?.write('usage\n');
    const line = await this.#lines.next();
    if (line.done === true) throw new Error('the service ended');
    return JSON.parse(line.value) as Usage;
  }

  /** @returns status, answer and how long it took, in milliseconds */
  post(body: string): Promise<{ status: number; text: string; ms: number }> {
    return new Promise((resolve, reject) => {
      const began = performance.now();
      const headers = {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        authorization: `Bearer ${TOKEN}`,
      };
      const options = {
        host: '127.0.0.1',
        port: this.port,
        path: '/webhooks/alertmanager',
        method: 'POST',
        headers,
        agent: this.agent,
      };
      const asked = request(options, (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk: string) => (text += chunk));
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text, ms: performance.now() - began }));
      });
      asked.on('error', reject);
      asked.end(body);
    });
  }

  async end(): Promise<void> {
    this.agent.destroy();
    const gone = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.#child.stdin?.end('end\n');
    await gone;
  }
}

/** Keeps so many requests under way until all have been answered. */
export async function inLanes<T>(items: readonly T[], lanes: number, task: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < items.length) {
      const item = items[next++];
      if (item !== undefined) await task(item);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

/** Begins so many a second, whatever the answers take. */
export async function atRate<T>(items: readonly T[], perSecond: number, task: (item: T) => Promise<void>): Promise<void> {
  const began = performance.now();
  const under: Promise<void>[] = [];
  while (under.length < items.length) {
    const due = Math.min(items.length, Math.floor(((performance.now() - began) * perSecond) / 1_000));
    for (const item of items.slice(under.length, due)) under.push(task(item));
    await sleep(TICK_MS);
  }
  await Promise.all(under);
}

/** An alert as an Alertmanager sends it, about 620 bytes. */
export function benchAlert(group: number, at: number, startsAt: string): Record<string, unknown> {
  return {
    status: 'firing',
    labels: {
      alertname: 'CanaryHighErrorRate',
      cluster: 'eu-1',
      namespace: 'shop',
      pod: `checkout-canary-${group}-${at}`,
      rollout: `app-${group % 50}`,
      severity: 'critical',
      track: 'canary',
    },
    annotations: { commit: '8f2c1d0', summary: `Canary checkout-canary-${at} error rate 16.67% above 5%` },
    startsAt,
    endsAt: '0001-01-01T00:00:00Z',
    generatorURL:
      'http://prometheus.example:9090/graph?g0.expr=sum+by+%28app%29+%28rate%28http_requests_total%5B10s%5D%29%29&g0.tab=1',
    fingerprint: (group * 1_000_003 + at).toString(16).padStart(16, '0'),
  };
}

export function benchWebhook(alerts: readonly unknown[], group: string, from: string): string {
  return JSON.stringify({
    receiver: 'davylamp',
    status: 'firing',
    alerts,
    groupLabels: { namespace: 'shop' },
    commonLabels: { cluster: 'eu-1', namespace: 'shop', track: 'canary' },
    commonAnnotations: {},
    externalURL: from,
    version: '4',
    groupKey: group,
    truncatedAlerts: 0,
  });
}
