import type { Source } from '../config/schema.ts';
import { CodedError } from '../errors.ts';
import type { HttpClient } from '../net/client.ts';
import type { MetricSource } from './port.ts';

export interface SourceDependencies {
  http: HttpClient;
}

type ConfigOf = { [T in Source['type']]: Extract<Source, { type: T }> };
type Factory<T extends Source['type']> = (config: ConfigOf[T], deps: SourceDependencies) => Promise<MetricSource>;

/** A new source is one folder and one line here. Adapters are imported when they are configured, not before. */
const FACTORIES: { [T in Source['type']]: Factory<T> | null } = {
  scrape: async (config, deps) => (await import('./scrape/source.ts')).createScrapeSource(config, deps),
  prometheus: null,
  elasticsearch: null,
};

/**
 * @param name of the source in the configuration
 * @throws CodedError `adapter_not_available`, `source_invalid`
 */
export async function createSource(name: string, config: Source, deps: SourceDependencies): Promise<MetricSource> {
  const source = await build(config.type, config, deps);
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
): Promise<MetricSource | null> {
  const factory: Factory<T> | null = FACTORIES[type];
  return factory === null ? null : await factory(config, deps);
}
