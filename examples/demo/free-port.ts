import { createServer } from 'node:net';

/** Below the range from which systems take the local ports of outgoing connections, so that none of those takes it. */
const RANGE = { from: 20_000, to: 32_000 };
const ATTEMPTS = 50;

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** A port of 127.0.0.1 that nobody listens on now, for a process that stops and starts again at the same address. */
export async function freePort(taken: readonly number[] = []): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const port = RANGE.from + Math.floor(Math.random() * (RANGE.to - RANGE.from));
    if (!taken.includes(port) && (await isFree(port))) return port;
  }
  throw new Error(`No free port found on 127.0.0.1 between ${String(RANGE.from)} and ${String(RANGE.to)}.`);
}
