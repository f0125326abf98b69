import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from '../../examples/demo/free-port.ts';
import { programPath } from './programs.ts';

const SCRAPE_MS = 15_000;
const READY_MS = 30_000;

/** What one set of pods served: requests a second and the share of errors, at a moment in milliseconds. */
export interface Served {
  labels: Readonly<Record<string, string>>;
  from: number;
  rate: (at: number) => number;
  errors: (at: number) => number;
}

/** A real Prometheus that remembers what was recorded, and scrapes nothing. */
export async function recordedPrometheus(folder: string, served: readonly Served[], span: { from: number; to: number }) {
  const file = join(folder, 'recorded.om');
  const data = join(folder, 'prometheus');
  await writeFile(file, openMetrics(served, span));
  await promisify(execFile)(await programPath('promtool'), ['tsdb', 'create-blocks-from', 'openmetrics', file, data]);
  const config = join(folder, 'prometheus.yml');
  await writeFile(config, 'global: { scrape_interval: 15s }\n');
  const port = await freePort();
  const child = spawn(
    await programPath('prometheus'),
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${data}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--storage.tsdb.retention.time=30d',
    ],
    { stdio: 'ignore' },
  );
  const url = `http://127.0.0.1:${port}`;
  const end = Date.now() + READY_MS;
  while (!(await answers(`${url}/-/ready`))) {
    if (Date.now() > end || child.exitCode !== null) throw new Error('the recorded Prometheus did not get ready');
    await pause(50);
  }
  return {
    url,
    async close() {
      if (child.exitCode === null) {
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
    },
  };
}

/** Counters as pods expose them, one sample every 15 s (OpenMetrics 1.0, times in seconds). */
function openMetrics(served: readonly Served[], { from, to }: { from: number; to: number }): string {
  const lines = ['# TYPE http_requests counter'];
  for (const { labels, from: born, rate, errors } of served) {
    const names = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
    const samples: Record<'200' | '500', string[]> = { '200': [], '500': [] };
    let good = 0;
    let bad = 0;
    for (let at = Math.max(from, born); at <= to; at += SCRAPE_MS) {
      const requests = (rate(at) * SCRAPE_MS) / 1_000;
      bad += Math.round(requests * errors(at));
      good += Math.round(requests * (1 - errors(at)));
      samples['200'].push(`${good} ${at / 1_000}`);
      samples['500'].push(`${bad} ${at / 1_000}`);
    }
    for (const code of ['200', '500'] as const) {
      const series = `http_requests_total{${[...names, `code="${code}"`].join(',')}}`;
      for (const sample of samples[code]) lines.push(`${series} ${sample}`);
    }
  }
  return `${lines.join('\n')}\n# EOF\n`;
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(1_000) })).ok;
  } catch {
    // It is not listening yet.
    return false;
  }
}
