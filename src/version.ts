import { readFile } from 'node:fs/promises';

/** The version of the package that this file belongs to; the sources and the compiled code lie at different depths. */
export async function readVersion(): Promise<string> {
  for (const place of ['../package.json', '../../package.json']) {
    const manifest = await readManifest(new URL(place, import.meta.url));
    if (manifest !== undefined) return manifest;
  }
  throw new Error('the package.json of davylamp is not where it should be; install the package again');
}

async function readManifest(file: URL): Promise<string | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  const manifest: unknown = JSON.parse(text);
  if (typeof manifest !== 'object' || manifest === null) return undefined;
  if (!('name' in manifest && manifest.name === 'davylamp' && 'version' in manifest)) return undefined;
  return typeof manifest.version === 'string' ? manifest.version : undefined;
}
