import type { Clock } from '../clock.ts';
import type { Source } from '../config/schema.ts';
import { CodedError } from '../errors.ts';
import type { HttpClient } from '../net/client.ts';
import type { MetricSource } from './port.ts';

export interface SourceDependencies {
  http: HttpClient;
  clock: Clock;
  /** Content of a secret file, read anew at every call; paths start at the folder of the configuration. */
  readSecret: (file: string) => Promise<string>;
}

type ConfigOf = { [T in Source['type']]: Extract<Source, { type: T }> };
type Factory<T extends Source['type']> = (
  config: ConfigOf[T],
  deps: SourceDependencies,
  /** Name of the source in the configuration. */
  name: string,
) => Promise<MetricSource>;

/** A new source is one folder and one line here. Adapters are imported when they are configured, not before. */
const FACTORIES: { [T in Source['type']]: Factory<T> | null } = {
  scrape: async (config, deps) => (await import('./scrape/source.ts')).createScrapeSource(config, deps),
  prometheus: async (config, deps, name) => (await import('./prometheus/source.ts')).createPrometheusSource(name, config, deps),
  elasticsearch: async (config, deps, name) =>
    (await import('./elasticsearch/source.ts')).createElasticsearchSource(name, config, deps),
};

/**
 * @param name of the source in the configuration
 * @throws CodedError `adapter_not_available`, `source_invalid`
 */
export async function createSource(name: string, config: Source, deps: SourceDependencies): Promise<MetricSource> {
  const source = await build(config.type, config, deps, name);
  if (source !== null) return source;
  const available = Object.entries(FACTORIES).flatMap(([type, factory]) => (factory === null ? [] : [type]));
  throw new CodedError(
    'adapter_not_available',
    `sources.${name}: type ${config.type} comes with a later release; this version has: ${available.join(', ')}`,
    { details: { source: name, type: config.type } },
  );
}

async function build<T extends Source['type']>(
  type: T,
  config: ConfigOf[T],
  deps: SourceDependencies,
  name: string,
): Promise<MetricSource | null> {
  const factory: Factory<T> | null = FACTORIES[type];
  return factory === null ? null : await factory(config, deps, name);
}
