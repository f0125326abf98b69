import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Type } from 'typebox';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { callService } from '../app/calling.ts';
import { apiCommand, plain, table } from './api.ts';
import type { Surroundings } from './command-line.ts';

interface Asked {
  method: string | undefined;
  url: string | undefined;
  authorization: string | undefined;
  body: string;
}

let folder: string;
let server: Server;
let url: string;
let asked: Asked[];
let answer: (asked: Asked) => { status: number; body: string };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'davylamp-api-'));
  asked = [];
  answer = () => ({ status: 200, body: '{"name":"shop"}' });
  server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const one = {
        method: request.method,
        url: request.url,
        authorization: request.headers.authorization,
        body: Buffer.concat(pieces).toString(),
      };
      asked.push(one);
      const { status, body } = answer(one);
      response.writeHead(status, { 'content-type': 'application/json' }).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true });
});

const Thing = Type.Object({ name: Type.String() }, { additionalProperties: false });
const show = apiCommand(callService, { positionals: ['NAME'], flags: ['json'] }, async ({ api, positionals, write }) => {
  write((await api.get(`/api/v1/things/${encodeURIComponent(positionals[0] ?? '')}`, Thing)).name);
});
const change = apiCommand(callService, {}, async ({ api, write }) => write((await api.post('/api/v1/x', { a: 1 }, Thing)).name));
const all = apiCommand(callService, {}, async ({ api, write }) => {
  write(JSON.stringify(await api.list('/api/v1/things', Thing, { most: 150, query: { application: 'a&b', state: undefined } })));
});

async function run(command: typeof show, args: string[], environment: Surroundings['environment'] = {}) {
  let written = '';
  let complained = '';
  const code = await command(args, {
    environment,
    write: (text) => (written += text),
    complain: (text) => (complained += text),
    stop: new AbortController().signal,
    onHangup: () => undefined,
  });
  return { code, written, complained };
}

describe('a command that calls a running service', () => {
  it('finds it by --server before DAVYLAMP_SERVER, below a path, too', async () => {
    expect(await run(show, ['x/y', '--server', `${url}/lamp/`], { DAVYLAMP_SERVER: 'http://127.0.0.1:1' })).toEqual({
      code: 0,
      written: 'shop',
      complained: '',
    });
    expect(await run(show, ['x'], { DAVYLAMP_SERVER: url })).toMatchObject({ code: 0 });
    expect(asked.map((one) => one.url)).toEqual(['/lamp/api/v1/things/x%2Fy', '/api/v1/things/x']);
  });

  it('shows the token of the file of --token-file, of DAVYLAMP_TOKEN_FILE, or DAVYLAMP_TOKEN, in this order', async () => {
    const [one, other] = [join(folder, 'one'), join(folder, 'other')];
    await writeFile(one, 'first\n');
    await writeFile(other, 'second\n');
    const environment = { DAVYLAMP_TOKEN: 'third', DAVYLAMP_TOKEN_FILE: other };
    await run(show, ['x', '--server', url, '--token-file', one], environment);
    await run(show, ['x', '--server', url], environment);
    await run(show, ['x', '--server', url], { DAVYLAMP_TOKEN: 'third', DAVYLAMP_TOKEN_FILE: '' });
    await run(show, ['x', '--server', url]);
    expect(asked.map(({ authorization }) => authorization)).toEqual(['Bearer first', 'Bearer second', 'Bearer third', undefined]);
  });

  it('sends a body as JSON', async () => {
    expect(await run(change, ['--server', url])).toMatchObject({ code: 0, written: 'shop' });
    expect(asked).toMatchObject([{ method: 'POST', body: '{"a":1}' }]);
  });

  it('says in words what the service refuses, with its code, and ends with 1', async () => {
    const problem = { code: 'rollback_final', detail: 'it is pushed already;\u001b[2J revert its commit in Git' };
    answer = () => ({ status: 409, body: JSON.stringify(problem) });
    expect(await run(show, ['x', '--server', url])).toEqual({
      code: 1,
      written: '',
      complained: 'davylamp: it is pushed already; [2J revert its commit in Git (rollback_final)\n',
    });
  });

  it('says where nobody answers, and how another service is named', async () => {
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const nobody = `http://127.0.0.1:${(closed.address() as AddressInfo).port}`;
    await new Promise((resolve) => closed.close(resolve));
    const { code, complained } = await run(show, ['x', '--server', nobody]);
    expect(code).toBe(1);
    expect(complained).toBe(
      `davylamp: no davylamp answers at ${nobody}; start it, or name it with --server or DAVYLAMP_SERVER (connect_failed)\n`,
    );
  });

  it('takes no answer of something else for an answer, and one of a newer davylamp with more keys', async () => {
    for (const body of ['<html>', '{"names":[]}', '']) {
      answer = () => ({ status: 200, body });
      expect(await run(show, ['x', '--server', url])).toMatchObject({
        code: 1,
        complained: expect.stringContaining('answer_unexpected'),
      });
    }
    answer = () => ({ status: 502, body: 'Bad gateway' });
    expect(await run(show, ['x', '--server', url])).toMatchObject({
      code: 1,
      complained: expect.stringContaining('answered 502'),
    });
    answer = () => ({ status: 200, body: '{"name":"shop","newer":true}' });
    expect(await run(show, ['x', '--server', url])).toMatchObject({ code: 0, written: 'shop' });
  });

  it('reads a listing page by page up to a bound', async () => {
    answer = ({ url: path = '' }) => {
      const query = new URL(path, url).searchParams;
      const limit = Number(query.get('limit'));
      const items = Array.from({ length: limit }, (_, at) => ({ name: `${query.get('cursor') ?? 'first'}-${at}` }));
      return { status: 200, body: JSON.stringify({ items, next: 'second' }) };
    };
    const { written } = await run(all, ['--server', url]);
    const listed = JSON.parse(written) as { items: { name: string }[]; more: boolean };
    expect(listed.items).toHaveLength(150);
    expect(listed.items.at(-1)).toEqual({ name: 'second-49' });
    expect(listed.more).toBe(true);
    expect(asked.map((one) => one.url)).toEqual([
      '/api/v1/things?application=a%26b&limit=100',
      '/api/v1/things?application=a%26b&limit=50&cursor=second',
    ]);
  });

  it.each([['shop'], ['ftp://shop'], ['http://u:p@shop'], ['http://shop/?a=b']])('refuses %s as an address', async (address) => {
    await expect(run(show, ['x', '--server', address])).rejects.toMatchObject({ code: 'usage' });
  });

  it('ends with 2 where the token cannot be read', async () => {
    const { code, complained } = await run(show, ['x', '--server', url, '--token-file', join(folder, 'none')]);
    expect(code).toBe(2);
    expect(complained).toContain('secret_unreadable');
    expect(asked).toEqual([]);
  });
});

describe('what a command prints', () => {
  it('holds nothing that steers a terminal, whoever wrote it', () => {
    expect(plain('a\n\u001b]0;title\u0007b\u202Ec')).toBe('a ]0;title b c');
  });

  it('stands in columns', () => {
    expect(
      table([
        ['A', 'BB', 'C'],
        ['aaa', 'b', 'c\nc'],
      ]),
    ).toBe('A    BB  C\naaa  b   c c\n');
  });
});
