import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { access, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '../../examples/demo/free-port.ts';
import { programPath } from './programs.ts';

const DEADLINE_MS = 60_000;
/** Where Debian's Alertmanager looks for its templates. */
const INSTALLED = '/usr/share/prometheus/alertmanager';

/**
 * A real Prometheus that reads the pages of the pretended shop and a real Alertmanager that tells the webhook. The one
 * alert fires while more than a twentieth of the canary's requests fail.
 */
export async function startAlertingStack(options: { folder: string; pages: string; webhook: string }) {
  const { folder, pages, webhook } = options;
  const [prometheusPort, alertmanagerPort] = [await freePort(), await freePort()];
  const place = join(folder, 'alerting');
  await mkdir(place, { recursive: true });
  const at = (name: string) => join(place, name);
  const target = new URL(pages).host;
  const job = (track: string) =>
    `  - { job_name: ${track}, metrics_path: /${track}, static_configs: [{ targets: ['${target}'], labels: { track: ${track} } }] }`;
  await writeFile(
    at('prometheus.yaml'),
    `global: { scrape_interval: 300ms, evaluation_interval: 300ms }
rule_files: [${at('rules.yaml')}]
alerting: { alertmanagers: [{ static_configs: [{ targets: ['127.0.0.1:${alertmanagerPort}'] }] }] }
scrape_configs:
${job('canary')}
${job('stable')}
`,
  );
  await writeFile(
    at('rules.yaml'),
    `groups:
  - name: shop
    rules:
      - alert: CanaryErrors
        expr: sum by (service) (rate(http_requests_total{track="canary",code="500"}[2s])) / sum by (service) (rate(http_requests_total{track="canary"}[2s])) > 0.05
        labels: { severity: critical }
        annotations: { summary: 'the canary fails' }
`,
  );
  await writeFile(
    at('alertmanager.yaml'),
    `route: { receiver: davylamp, group_by: [service], group_wait: 0s, group_interval: 500ms, repeat_interval: 1s }
receivers:
  - name: davylamp
    webhook_configs: [{ url: '${webhook}', send_resolved: true, max_alerts: 0 }]
`,
  );
  const children = [
    await start(await alertmanagerIn(place), place, `http://127.0.0.1:${alertmanagerPort}/-/ready`, [
      `--config.file=${at('alertmanager.yaml')}`,
      `--storage.path=${at('alertmanager')}`,
      `--web.listen-address=127.0.0.1:${alertmanagerPort}`,
      '--cluster.listen-address=',
    ]),
    await start(await programPath('prometheus'), place, `http://127.0.0.1:${prometheusPort}/-/ready`, [
      `--config.file=${at('prometheus.yaml')}`,
      `--storage.tsdb.path=${at('prometheus')}`,
      `--web.listen-address=127.0.0.1:${prometheusPort}`,
    ]),
  ];
  return {
    async close() {
      await Promise.all(
        children.map(async (child) => {
          if (child.exitCode !== null || child.signalCode !== null) return;
          child.kill('SIGTERM');
          await once(child, 'exit');
        }),
      );
    },
  };
}

async function start(program: string, folder: string, ready: string, parameters: string[]): Promise<ChildProcess> {
  const child = spawn(program, parameters, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said = `${said}${chunk.toString()}`.slice(-4_000)));
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const isReady = await fetch(ready).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isReady) return child;
    if (child.exitCode !== null || Date.now() > end) {
      child.kill('SIGKILL');
      throw new Error(`${program} did not start: ${said}`);
    }
    await pause(50);
  }
}

/**
 * The Alertmanager, runnable from a folder. One that was unpacked and not installed has the folder of its templates in the
 * program: a copy of it looks into its working folder instead, by a path of the same length.
 */
async function alertmanagerIn(folder: string): Promise<string> {
  const program = await programPath('alertmanager');
  const isInstalled = await access(join(INSTALLED, 'default.tmpl')).then(
    () => true,
    () => false,
  );
  const unpacked = join(dirname(dirname(program)), 'usr');
  const original = await readFile(join(unpacked, 'bin', 'prometheus-alertmanager')).catch(() => null);
  if (isInstalled || original === null) return program;
  for (const name of ['default.tmpl', 'email.tmpl']) {
    await copyFile(join(unpacked, 'share', 'prometheus', 'alertmanager', name), join(folder, name));
  }
  const here = `.${'/'.repeat(INSTALLED.length - 1)}`;
  for (let at = original.indexOf(INSTALLED); at !== -1; at = original.indexOf(INSTALLED, at)) original.write(here, at, 'latin1');
  const copy = join(folder, 'prometheus-alertmanager');
  await writeFile(copy, original, { mode: 0o755 });
  return copy;
}
