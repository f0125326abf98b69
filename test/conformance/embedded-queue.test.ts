import { embeddedPlace } from './embedded-place.ts';
import { describeQueue } from './queue.ts';

describeQueue('embedded', async () => {
  const { child, remove, openQueue } = await embeddedPlace();
  return { child, remove, open: openQueue };
});
