import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { packageRoot } from './package-root.ts';
import { storageOf, type DemoRedis } from './redis-storage.ts';
import { APPLICATION_FOLDER } from './rollout-manifest.ts';

export interface DemoAddresses {
  davylampPort: number;
  canaryPort: number;
  stablePort: number;
  gitUrl: string;
  delivery: string;
}

export const TEMPLATE = join(packageRoot(), 'examples', 'demo', 'template.yaml');

/**
 * The configuration of davylamp for the demo; paths are relative to its file.
 * With `reportOnly` (a sabotage) its metrics are shown and never decide.
 */
export async function demoConfig(
  addresses: DemoAddresses,
  { reportOnly, redis }: { reportOnly: boolean; redis: DemoRedis | null },
): Promise<string> {
  const template = parse(await readFile(TEMPLATE, 'utf8')) as { metrics: Record<string, Record<string, unknown>> };
  if (reportOnly) for (const metric of Object.values(template.metrics)) metric.role = 'report-only';
  const page = (port: number, track: string): unknown => ({ url: `http://127.0.0.1:${String(port)}/metrics`, labels: { track } });
  return stringify(
    {
      server: { listen: `127.0.0.1:${String(addresses.davylampPort)}` },
      storage: storageOf(redis),
      sources: {
        pages: { type: 'scrape', targets: [page(addresses.canaryPort, 'canary'), page(addresses.stablePort, 'stable')] },
      },
      repositories: { deploy: { url: addresses.gitUrl, branch: 'main', tokenFile: './git-token' } },
      applications: {
        shop: {
          repository: 'deploy',
          paths: [APPLICATION_FOLDER],
          delivery: { type: 'http', url: addresses.delivery },
          template: 'shop',
          arguments: { service: 'shop' },
          mode: 'rollback',
        },
      },
      templates: { shop: template },
    },
    // The same template object is never shared, so no anchors; long queries stay on one line.
    { lineWidth: 0, aliasDuplicateObjects: false },
  );
}
