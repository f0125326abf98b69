import { MAX_RECORD_BYTES } from '../../src/store/limits.ts';
import { embeddedPlace } from './embedded-place.ts';
import { describeStore } from './store.ts';

describeStore('embedded', { maxRecordBytes: MAX_RECORD_BYTES }, async () => {
  const { child, remove, openStore } = await embeddedPlace();
  return { child, remove, open: openStore };
});
