import { describe, expect, it } from 'vitest';
import { systemClock } from '../clock.ts';
import type { HttpClient } from '../net/client.ts';
import { createClusters } from './kubernetes/clusters.ts';
import { createDelivery } from './registry.ts';

const http: HttpClient = { request: () => Promise.reject(new Error('not called')), close: () => Promise.resolve() };
const deps = { http, readSecret: () => Promise.reject(new Error('not read')) };

describe('the registry of deliveries', () => {
  it.each([{ type: 'none' } as const, { type: 'http', url: 'http://127.0.0.1:1/r', tokenFile: 'token' } as const])(
    'opens type $type without calling anything or reading its token',
    async (config) => expect((await createDelivery('shop', config, deps)).type).toBe(config.type),
  );

  it.each(['argo-rollouts', 'flagger', 'deployment'] as const)(
    'opens type %s without calling its cluster or reading a credential',
    async (type) => {
      const config = { type, namespace: 'shop', name: 'shop', cluster: 'far' };
      const clusters = createClusters({ far: { url: 'https://far', tokenFile: 'token' } }, { ...deps, folder: '/' });
      const kubernetes = { clusters, clock: systemClock, report: () => undefined };
      expect((await createDelivery('shop', config, { ...deps, kubernetes })).type).toBe(type);
      await expect(createDelivery('shop', { ...config, cluster: 'near' }, { ...deps, kubernetes })).rejects.toMatchObject({
        code: 'cluster_invalid',
      });
      await expect(createDelivery('shop', config, deps)).rejects.toMatchObject({ code: 'adapter_not_available' });
    },
  );
});
