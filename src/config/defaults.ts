import { Type } from 'typebox';
import { Value } from 'typebox/value';
import type { AlertRule, AlertSettings } from '../alerts/settings.ts';
import type { MetricSpec, Template } from '../analysis/template.ts';
import type { ClusterConfig } from '../delivery/kubernetes/schema.ts';
import type { FreezeWindow, RollbackSettings } from '../rollback/fleet.ts';
import type { ChannelConfig, Notify } from '../notify/schema.ts';
import type { Guards } from '../rollback/policy.ts';
import { branchFor, isMap, recordOf, type SchemaNode } from './schema-node.ts';
import type { ResolvedServer } from './server.ts';
import { configNode, type Application, type Config, type DeliveryConfig, type RepositoryConfig, type Source } from './schema.ts';

/** Every optional key is there, but for those named, which have no default. */
type Filled<T, Open extends keyof T = never> = Required<Omit<T, Open>> & Pick<T, Open>;
type SourceOf<Name extends Source['type']> = Extract<Source, { type: Name }>;
type DeliveryOf<Name extends DeliveryConfig['type']> = Extract<DeliveryConfig, { type: Name }>;
type MetricOf<Name extends MetricSpec['type']> = Extract<MetricSpec, { type: Name }>;
type StorageOf<Kind extends NonNullable<Config['storage']>['kind']> = Extract<NonNullable<Config['storage']>, { kind: Kind }>;

export type ResolvedSource =
  | (Omit<Filled<SourceOf<'scrape'>>, 'targets'> & { targets: Required<SourceOf<'scrape'>['targets'][number]>[] })
  | SourceOf<'prometheus'>
  | SourceOf<'elasticsearch'>;
export type ResolvedRepository = Filled<RepositoryConfig, 'tokenFile' | 'ssh' | 'signing'>;
export type ResolvedDelivery = Filled<DeliveryOf<'http'>, 'tokenFile'> | Exclude<DeliveryConfig, { type: 'http' }>;
export type ResolvedMetric =
  Filled<MetricOf<'proportion'>, 'limit'> | Filled<MetricOf<'histogram'>, 'limit'> | Filled<MetricOf<'gauge'>, 'limit'>;
export type ResolvedTemplate = Omit<Filled<Template, 'baseline' | 'recovery'>, 'metrics'> & {
  metrics: Record<string, ResolvedMetric>;
};
export type ResolvedApplication = Omit<Filled<Application>, 'alerts' | 'delivery' | 'guards'> & {
  alerts: Required<AlertRule>[];
  delivery: ResolvedDelivery;
  guards: Required<Guards>;
};
export interface ResolvedConfig {
  server: ResolvedServer;
  storage: Filled<StorageOf<'embedded'>> | Filled<StorageOf<'redis'>, 'username' | 'passwordFile'>;
  log: Filled<NonNullable<Config['log']>>;
  journal: Filled<NonNullable<Config['journal']>>;
  alerts: Filled<AlertSettings>;
  rollbacks: Omit<Filled<RollbackSettings>, 'fleet' | 'freeze'> & {
    fleet: Required<NonNullable<RollbackSettings['fleet']>>;
    freeze: { rollbacks: boolean; windows: Required<FreezeWindow>[] };
  };
  notify: { channels: Record<string, ChannelConfig>; routes: Required<NonNullable<Notify['routes']>[number]>[] };
  workers: Filled<NonNullable<Config['workers']>>;
  retention: Filled<NonNullable<Config['retention']>>;
  sources: Record<string, ResolvedSource>;
  repositories: Record<string, ResolvedRepository>;
  clusters: Record<string, ClusterConfig>;
  applications: Record<string, ResolvedApplication>;
  templates: Record<string, ResolvedTemplate>;
}

const Resolved = Type.Unsafe<ResolvedConfig>(demandDefaults(configNode));

/**
 * The configuration with every default of the schema filled in, so that no other module writes a default again. Pure;
 * the argument is not changed.
 */
export function resolveDefaults(config: Config): ResolvedConfig {
  const filled = fill(configNode, config);
  if (!Value.Check(Resolved, filled)) throw new TypeError('a default of the configuration schema does not fit the schema');
  return filled;
}

function fill(node: SchemaNode, value: unknown): unknown {
  if (node.anyOf !== undefined) {
    const branch = branchFor(node, value);
    return branch === undefined ? value : fill(branch, value);
  }
  if (Array.isArray(value)) return value.map((entry: unknown) => (node.items === undefined ? entry : fill(node.items, entry)));
  if (!isMap(value)) return value;
  const record = recordOf(node);
  const entries = Object.entries(value).map(([key, entry]): [string, unknown] => {
    const child = node.properties?.[key] ?? record?.value;
    return [key, child === undefined ? entry : fill(child, entry)];
  });
  for (const [key, child] of Object.entries(node.properties ?? {})) {
    if (!Object.hasOwn(value, key) && child.default !== undefined)
      entries.push([key, fill(child, structuredClone(child.default))]);
  }
  return Object.fromEntries(entries);
}

/** The same schema where every key that has a default is required. */
function demandDefaults(node: SchemaNode): SchemaNode {
  const all = (nodes: Readonly<Record<string, SchemaNode>>) =>
    Object.fromEntries(Object.entries(nodes).map(([key, child]) => [key, demandDefaults(child)]));
  const { properties, patternProperties, anyOf, items } = node;
  return {
    ...node,
    ...(properties !== undefined && {
      properties: all(properties),
      required: Object.keys(properties).filter(
        (key) => node.required?.includes(key) === true || properties[key]?.default !== undefined,
      ),
    }),
    ...(patternProperties !== undefined && { patternProperties: all(patternProperties) }),
    ...(anyOf !== undefined && { anyOf: anyOf.map(demandDefaults) }),
    ...(items !== undefined && { items: demandDefaults(items) }),
  };
}
