import { describe, expect, it } from 'vitest';
import type { HttpClient } from '../net/client.ts';
import { createDelivery } from './registry.ts';

const http: HttpClient = { request: () => Promise.reject(new Error('not called')), close: () => Promise.resolve() };
const deps = { http, readSecret: () => Promise.reject(new Error('not read')) };

describe('the registry of deliveries', () => {
  it.each([{ type: 'none' } as const, { type: 'http', url: 'http://127.0.0.1:1/r', tokenFile: 'token' } as const])(
    'opens type $type without calling anything or reading its token',
    async (config) => expect((await createDelivery('shop', config, deps)).type).toBe(config.type),
  );

  it.each(['argo-rollouts', 'flagger', 'deployment'] as const)(
    'says of type %s that it comes later, and what there is',
    async (type) => {
      await expect(createDelivery('shop', { type, namespace: 'shop', name: 'shop' }, deps)).rejects.toMatchObject({
        code: 'adapter_not_available',
        message: `applications.shop.delivery: type ${type} comes with a later release; this version has: http, none`,
      });
    },
  );
});
