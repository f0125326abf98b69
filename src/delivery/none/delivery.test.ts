import { describeDelivery } from '../../../test/conformance/delivery.ts';
import { createNoDelivery } from './delivery.ts';

describeDelivery('none', () =>
  Promise.resolve({
    delivery: createNoDelivery(),
    timeoutMs: 0,
    secrets: [],
    run: () => Promise.resolve(),
    deeds: () => Promise.resolve({ aborted: [], annotations: {}, synced: [] }),
    fail: null,
    called: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }),
);
