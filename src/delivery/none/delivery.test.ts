import { describeDelivery } from '../../../test/conformance/delivery.ts';
import { createNoDelivery } from './delivery.ts';

const unused = {
  http: { request: () => Promise.reject(new Error('not called')) },
  readSecret: () => Promise.reject(new Error('not read')),
};

describeDelivery('none', () =>
  Promise.resolve({
    delivery: createNoDelivery({ type: 'none' }, unused),
    timeoutMs: 0,
    secrets: [],
    run: () => Promise.resolve(),
    deeds: () => Promise.resolve({ aborted: [], annotations: {}, synced: [] }),
    fail: null,
    called: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }),
);
