import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock as clock } from '../../src/clock.ts';
import { createEmbeddedArchive } from '../../src/store/embedded/archive.ts';
import { openEmbedded } from '../../src/store/embedded/database.ts';
import { createEmbeddedStore } from '../../src/store/embedded/store.ts';
import { describeArchive } from './archive.ts';

describeArchive('embedded', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'davylamp-archive-'));
  const open = async (restoring: boolean) => {
    const database = await openEmbedded({ folder, clock, restoring });
    const store = createEmbeddedStore(database);
    return { store, archive: createEmbeddedArchive(database, { clock }), close: () => database.close() };
  };
  return { open: () => open(false), openToRestore: () => open(true), remove: () => rm(folder, { recursive: true }) };
});
