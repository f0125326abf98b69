import { setTimeout as pause } from 'node:timers/promises';
import { Writable } from 'node:stream';
import type { Analysis } from '../../src/analysis/record.ts';
import { buildApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config/load.ts';
import { createLogger } from '../../src/observability/logger.ts';
import type { Rollback } from '../../src/rollback/record.ts';

const POLL_MS = 20;
const DEADLINE_MS = 15_000;

/** The service in this process, spoken to over HTTP as everybody does. */
export async function startService(config: string) {
  const lines: string[] = [];
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  const logger = createLogger({ level: 'info', destination });
  const app = await buildApp(await loadConfig({ file: config, environment: {} }), { crashAt: undefined, logger });
  const { address } = await app.start();
  return {
    ...client(address),
    log: lines,
    /** Waits until the lines of the log are as wanted. */
    async untilLogged(wanted: (lines: readonly string[]) => boolean): Promise<void> {
      for (const end = Date.now() + DEADLINE_MS; !wanted(lines); await pause(POLL_MS)) {
        if (Date.now() > end) throw new Error(`it was not logged within ${DEADLINE_MS} ms:\n${lines.slice(-10).join('')}`);
      }
    },
    close: () => app.close(),
  };
}

/** Calls of the API, and waiting for a state with a deadline that names what was seen last. */
export function client(address: string) {
  async function call<T>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; body: T; headers: Headers }> {
    const init: RequestInit = {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    };
    if (body !== undefined) init.body = JSON.stringify(body);
    const answer = await fetch(`${address}${path}`, init);
    const text = await answer.text();
    return { status: answer.status, body: (text === '' ? null : JSON.parse(text)) as T, headers: answer.headers };
  }
  async function until<T>(path: string, done: (value: T) => boolean, deadlineMs = DEADLINE_MS): Promise<T> {
    const end = Date.now() + deadlineMs;
    for (;;) {
      const { body } = await call<T>('GET', path);
      if (done(body)) return body;
      if (Date.now() > end)
        throw new Error(`${path} did not get there within ${deadlineMs} ms; last seen: ${JSON.stringify(body).slice(0, 2_000)}`);
      await pause(POLL_MS);
    }
  }
  const analyze = async (revision: string) =>
    (await call<Analysis>('POST', '/api/v1/analyses', { application: 'shop', revision })).body;
  return {
    address,
    call,
    until,
    analyze,
    /** Starts an analysis and waits for its end. */
    async analyzed(revision: string): Promise<Analysis> {
      const { id } = await analyze(revision);
      return until<Analysis>(`/api/v1/analyses/${id}`, ({ endedAt }) => endedAt !== null);
    },
    /** Waits until the only rollback is in one of the states. */
    async rollback(...states: string[]): Promise<Rollback> {
      const { items } = await until<{ items: Rollback[] }>('/api/v1/rollbacks', (page) =>
        states.includes(page.items[0]?.state ?? ''),
      );
      const [first] = items;
      if (first === undefined || items.length !== 1) throw new Error(`there are ${items.length} rollbacks`);
      return first;
    },
  };
}
