import { describe, it } from 'vitest';
import { systemClock } from '../clock.ts';
import type { HttpClient } from '../net/client.ts';
import { createSource } from './registry.ts';

const http: HttpClient = { request: () => Promise.reject(new Error('not called')), close: () => Promise.resolve() };
const deps = { http, clock: systemClock, readSecret: () => Promise.reject(new Error('not called')) };

describe('the registry of sources', () => {
  it('opens a scrape source without calling anything', async () => {
    const source = await createSource('pages', { type: 'scrape', targets: [{ url: 'http://127.0.0.1:1/metrics' }] }, deps);
    await source.close();
  });

  it('opens a source of documents without calling anything', async () => {
    const source = await createSource('logs', { type: 'elasticsearch', url: 'http://elasticsearch:9200' }, deps);
    await source.close();
  });

  it('opens a source of series without calling anything', async () => {
    const source = await createSource('prom', { type: 'prometheus', url: 'http://prometheus:9090' }, deps);
    await source.close();
  });
});
