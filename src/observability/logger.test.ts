import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { CodedError } from '../errors.ts';
import { createLogger, type LogLevel } from './logger.ts';

const SECRET = 'hunter2-canary';

function recording(level: LogLevel = 'info') {
  const lines: string[] = [];
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  return { lines, log: createLogger({ level, destination }) };
}

describe('the logger', () => {
  it('writes one JSON object a line with a time, a level by name, the fields and the message', () => {
    const { log, lines } = recording();
    log.info({ application: 'shop' }, 'analysis started');
    expect(lines).toHaveLength(1);
    const line: unknown = JSON.parse(lines[0] ?? '');
    expect(line).toMatchObject({ level: 'info', application: 'shop', msg: 'analysis started' });
    expect(line).toHaveProperty('time', expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/));
  });

  it('leaves out what is below its level', () => {
    const { log, lines } = recording('warn');
    log.info({}, 'quiet');
    log.warn({}, 'loud');
    expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(['loud']);
  });

  it.each(['authorization', 'Cookie', 'set-cookie', 'token', 'access_token', 'password', 'secret', 'apiKey', 'x-api-key'])(
    'redacts a field that is named %s, at any depth and in any list',
    (name) => {
      const { log, lines } = recording();
      log.info({ [name]: SECRET }, 'top');
      log.info({ a: { b: [{ c: { d: { [name]: SECRET } } }] } }, 'deep');
      log.info({ headers: new Map([[name, SECRET]]) }, 'map');
      log.child({ request: { [name]: SECRET } }).info({}, 'child');
      log
        .child({ job: 'a' })
        .child({ request: { [name]: SECRET } })
        .info({ [name]: SECRET }, 'grandchild');
      expect(lines).toHaveLength(5);
      for (const line of lines) {
        expect(line).not.toContain(SECRET);
        expect(line).toContain('[redacted]');
      }
    },
  );

  it('redacts credentials inside of texts: in addresses, in header values, in errors and their causes', () => {
    const { log, lines } = recording();
    const cause = new Error(`fatal: unable to access 'https://bot:${SECRET}@git.example/shop.git/': 403`);
    log.error({ err: new CodedError('git_refused', `sent Bearer ${SECRET}`, { cause, details: { token: SECRET } }) }, 'failed');
    log.info({ url: `https://${SECRET}@git.example/shop.git` }, 'fetch');
    expect(lines.join('')).not.toContain(SECRET);
    expect(lines[0]).toContain('git.example/shop.git');
    expect(lines[0]).toContain('git_refused');
    expect(lines[0]).toContain('"stack"');
  });

  it('keeps fields whose names only contain such a word', () => {
    const { log, lines } = recording();
    log.info({ tokens: 3, secretary: 'Ada', commit: 'abc' }, 'kept');
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ tokens: 3, secretary: 'Ada', commit: 'abc' });
  });

  it('survives loops, deep nests, long lists and long texts', () => {
    const { log, lines } = recording();
    const loop: Record<string, unknown> = {};
    loop['self'] = loop;
    log.info({ loop, list: Array.from({ length: 100_000 }, () => 1), text: 'x'.repeat(1_000_000) }, 'large');
    expect(lines[0]?.length).toBeLessThan(30_000);
  });
});
