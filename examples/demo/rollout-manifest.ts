import { parse } from 'yaml';

/** Where the manifest stands in the deployment repository, and the folder that is the application. */
export const APPLICATION_FOLDER = 'apps/shop';
export const MANIFEST = `${APPLICATION_FOLDER}/rollout.yaml`;

/** What Git declares: this version, shown to `canaryWeight` percent of the customers first. */
export interface RolloutManifest {
  version: string;
  canaryWeight: number;
}

/** @throws Error that names what is wrong, for a person who edited the file. */
export function parseManifest(text: string): RolloutManifest {
  const content: unknown = parse(text);
  if (typeof content !== 'object' || content === null)
    throw new Error(`${MANIFEST} must be a mapping with version and canaryWeight`);
  const version = 'version' in content ? content.version : undefined;
  const canaryWeight = 'canaryWeight' in content ? content.canaryWeight : undefined;
  if (typeof version !== 'string' || version === '') throw new Error(`${MANIFEST}: version must be a text such as "1.2.0"`);
  if (typeof canaryWeight !== 'number' || !(canaryWeight >= 0 && canaryWeight <= 100)) {
    throw new Error(`${MANIFEST}: canaryWeight must be a number from 0 to 100`);
  }
  return { version, canaryWeight };
}

export function formatManifest(manifest: RolloutManifest): string {
  return [
    '# What runs. The GitOps loop follows this file; a new version is first shown to canaryWeight percent of the customers.',
    'service: shop',
    `version: "${manifest.version}"`,
    `canaryWeight: ${String(manifest.canaryWeight)}`,
    '',
  ].join('\n');
}
