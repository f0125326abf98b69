import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { appendVisits, firstServerError, type Visit } from './traffic-log.ts';

const visit = (at: number, status: number, version: string): Visit => ({
  at,
  status,
  side: 'canary',
  version,
  method: 'GET',
  path: '/products/lamp',
  ms: 12.34,
});

describe('the traffic log', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'traffic-log-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('finds the first 5xx of one version and no other', async () => {
    const file = join(folder, 'traffic.log');
    await appendVisits(file, [visit(1_000, 200, '1.2.0'), visit(2_000, 500, '1.1.0'), visit(3_000, 404, '1.2.0')]);
    await appendVisits(file, [visit(4_000, 503, '1.2.0'), visit(5_000, 500, '1.2.0')]);
    expect(await firstServerError(file, '1.2.0')).toBe(4_000);
    expect(await firstServerError(file, '1.1.0')).toBe(2_000);
    expect(await firstServerError(file, '9.9.9')).toBeNull();
  });

  it('does not take a request that nobody answered for an answer of a release', async () => {
    const file = join(folder, 'traffic.log');
    await appendVisits(file, [
      { ...visit(1_000, 0, ''), side: '-' },
      { ...visit(1_500, 502, ''), side: 'canary' },
    ]);
    expect(await firstServerError(file, '1.2.0')).toBeNull();
  });

  it('starts anew when it has grown large, so that a demo that stays up does not fill the disk', async () => {
    const file = join(folder, 'traffic.log');
    await writeFile(file, 'x'.repeat(20_000_000));
    await appendVisits(file, [visit(1_000, 200, '1.2.0')]);
    await appendVisits(file, [visit(2_000, 500, '1.2.0')]);
    expect(await firstServerError(file, '1.2.0')).toBe(2_000);
  });
});
