/**
 * What reading a large answer of Prometheus costs, beside `JSON.parse` into arrays: `node dist/bench/parse.js`.
 *
 * 50 series of 11,000 points, as a range query gives them, in pieces as they come from a socket. The time is that of a
 * process that has read one before, as a service has; the memory that of a fresh process for each way. Both have to give
 * the same bits. Exits with 1 when a goal is missed.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, createReadStream, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { createHttpClient } from '../src/net/client.ts';
import { createAnswerDecoder } from '../src/sources/prometheus/answer.ts';

const SERIES = 50;
const POINTS = 11_000;
const PIECE_BYTES = 65_536;
const ROUNDS = 5;
const GOAL_RATIO = 0.25;
const GOAL_LOOP_MS = 20;
const RESOLUTION_MS = 1;

interface Arrays {
  times: Float64Array;
  values: Float64Array;
}
interface Memory {
  /** Greatest resident memory, above what the process had before. */
  peakMb: number;
  bits: string;
}

/** Counters and ratios in turn: short numbers, and numbers of 17 digits. */
function writeBody(file: string): void {
  const series = Array.from({ length: SERIES }, (_, index) => {
    const values = Array.from({ length: POINTS }, (__, point) => {
      const value = index % 5 === 4 ? ((point % 977) + 1) / 979 : point * (index + 1) * 3;
      return [1_795_419_201.535 + point * 15, String(value)];
    });
    return { metric: { __name__: 'http_requests_total', pod: `shop-${index}`, code: '200' }, values };
  });
  const body = JSON.stringify({ status: 'success', data: { resultType: 'matrix', result: series } });
  writeFileSync(file, body);
}

function* pieces(file: string): Generator<Buffer> {
  const handle = openSync(file, 'r');
  try {
    for (;;) {
      const piece = Buffer.allocUnsafe(PIECE_BYTES);
      const bytes = readSync(handle, piece);
      if (bytes === 0) return;
      yield piece.subarray(0, bytes);
    }
  } finally {
    closeSync(handle);
  }
}

const WAYS: Readonly<Record<string, (body: Iterable<Buffer>) => readonly Arrays[]>> = {
  decoder(body) {
    const decoder = createAnswerDecoder();
    for (const piece of body) decoder.push(piece);
    return decoder.end().series;
  },
  'JSON.parse'(body) {
    const text = Buffer.concat([...body]).toString('utf8');
    const { data } = JSON.parse(text) as { data: { result: { values: [number, string][] }[] } };
    return data.result.map(({ values }) => ({
      times: Float64Array.from(values, ([time]) => time),
      values: Float64Array.from(values, ([, value]) => Number(value)),
    }));
  },
};

function cpuOf(way: string, body: Iterable<Buffer>): number {
  const before = process.cpuUsage();
  WAYS[way]?.(body);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

function memoryOf(way: string, file: string): Memory {
  const before = process.resourceUsage().maxRSS;
  const read = WAYS[way]?.(pieces(file)) ?? [];
  const after = process.resourceUsage().maxRSS;
  const hash = createHash('sha256');
  for (const { times, values } of read) hash.update(new Uint8Array(times.buffer)).update(new Uint8Array(values.buffer));
  return { peakMb: (after - before) / 1_024, bits: hash.digest('hex') };
}

/** The greatest memory of a process counts from that of its parent, so the parent does nothing large before. */
function inOwnProcess(way: string, file: string): string {
  const { stdout, stderr, status } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), way, file], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${way} failed: ${stderr}`);
  return stdout;
}

/** Delay of the event loop of a process that fetches and reads the answer by the HTTP client, milliseconds. */
async function loopDelay(file: string): Promise<number> {
  const server = spawn(process.execPath, [fileURLToPath(import.meta.url), 'serve', file], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [address] = (await once(server.stdout, 'data')) as [Buffer];
  const http = createHttpClient();
  const fetchOnce = async () => {
    const decoder = createAnswerDecoder();
    await http.request(
      {
        method: 'GET',
        url: address.toString().trim(),
        timeoutMs: 60_000,
        maxBodyBytes: 100_000_000,
        receive: () => (piece) => decoder.push(piece),
      },
      new AbortController().signal,
    );
    return decoder.end();
  };
  await fetchOnce();
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  for (let round = 0; round < ROUNDS; round++) await fetchOnce();
  delay.disable();
  await http.close();
  server.stdin.end();
  await once(server, 'exit');
  // The histogram counts the interval itself, too.
  return Math.max(0, delay.percentile(99) / 1e6 - RESOLUTION_MS);
}

function serve(file: string): void {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    createReadStream(file).pipe(response);
  });
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    if (address !== null && typeof address !== 'string') process.stdout.write(`http://127.0.0.1:${address.port}/\n`);
  });
  process.stdin.on('end', () => process.exit(0)).resume();
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

async function compare(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'davylamp-bench-'));
  try {
    const file = join(folder, 'answer.json');
    inOwnProcess('write', file);
    const runs = new Map(Object.keys(WAYS).map((way) => [way, { cpu: [] as number[], memory: [] as Memory[] }]));
    for (let round = 0; round < ROUNDS; round++) {
      for (const [way, { memory }] of runs) memory.push(JSON.parse(inOwnProcess(way, file)) as Memory);
    }
    const body = [...pieces(file)];
    const bytes = body.reduce((sum, piece) => sum + piece.length, 0);
    for (const way of runs.keys()) cpuOf(way, body);
    for (let round = 0; round < ROUNDS; round++) for (const [way, { cpu }] of runs) cpu.push(cpuOf(way, body));
    console.log(`${SERIES} series x ${POINTS} points, ${(bytes / 1e6).toFixed(1)} MB, median of ${ROUNDS} rounds`);
    const cpuMs = (way: string) => median(runs.get(way)?.cpu ?? []);
    const peakMb = (way: string) => median((runs.get(way)?.memory ?? []).map((one) => one.peakMb));
    for (const way of runs.keys()) {
      console.log(`${way.padEnd(12)} ${cpuMs(way).toFixed(0).padStart(6)} ms CPU ${peakMb(way).toFixed(1).padStart(8)} MB peak`);
    }
    const cpu = cpuMs('decoder') / cpuMs('JSON.parse');
    const memory = peakMb('decoder') / peakMb('JSON.parse');
    const loop = await loopDelay(file);
    const same = new Set([...runs.values()].flatMap((run) => run.memory.map(({ bits }) => bits))).size === 1;
    console.log(`ratio        ${cpu.toFixed(3)} of the CPU, ${memory.toFixed(3)} of the memory (goal: both <= ${GOAL_RATIO})`);
    console.log(`loop delay   p99 ${loop.toFixed(1)} ms while it is fetched and read (goal: <= ${GOAL_LOOP_MS})`);
    console.log(`bits         ${same ? 'identical' : 'DIFFERENT'}`);
    if (cpu > GOAL_RATIO || memory > GOAL_RATIO || loop > GOAL_LOOP_MS || !same) process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const [way, file] = process.argv.slice(2);
if (way === undefined || file === undefined) await compare();
else if (way === 'write') writeBody(file);
else if (way === 'serve') serve(file);
else console.log(JSON.stringify(memoryOf(way, file)));
