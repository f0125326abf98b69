import { parseAllDocuments } from 'yaml';
import { isRecord } from './objects.ts';

/** Charts declare their volumes and databases by switches in their values (Helm best practices, `persistence.enabled`). */
const STORAGE = /persist|storage|volume|pvc|statefulset/i;
/** Charts of stores, as subcharts are named: `postgresql.enabled`. */
const STORES =
  /postgres|pgsql|mysql|maria|percona|mongo|redis|valkey|memgraph|kafka|redpanda|zookeeper|pulsar|rabbit|nats|elastic|opensearch|solr|cassandra|scylla|minio|seaweed|ceph|etcd|consul|vault|clickhouse|influx|timescale|victoria|prometheus|loki|tempo|mimir|couch|cockroach|neo4j|qdrant|milvus|weaviate|keycloak|database|(^|[-_])db$/i;
const SWITCHES: ReadonlySet<string> = new Set(['enabled', 'enable', 'create', 'deploy', 'install', 'persistent']);
/** Another name for all that a chart makes: what has the old one goes. */
const RENAMES: ReadonlySet<string> = new Set(['fullnameOverride', 'nameOverride', 'namespaceOverride', 'releaseName']);
const KINDS: ReadonlySet<string> = new Set(['statefulset', 'persistentvolumeclaim']);
const MOST_VALUES = 20_000;
const DEEPEST = 40;
const LARGEST = 1024 * 1024;

/**
 * Settings that keep data and are no longer set: a switch of a volume or of a store that is turned off or taken away, a kind that
 * is another one by now, a name for everything that a chart makes. Ordinary values, tags and replicas among them, are none.
 *
 * @param elsewhere files that are new: what moves there stays
 * @returns paths in the file, `postgresql.enabled`
 */
export function turnedOff(before: string | null, after: string | null, elsewhere: readonly (string | null)[] = []): string[] {
  const now = [after, ...elsewhere].map(settingsIn);
  return [...settingsIn(before)].filter(([path, value]) => now.every((one) => one.get(path) !== value)).map(([path]) => path);
}

/** Settings that keep data where they are as they are. */
function settingsIn(text: string | null): Map<string, string> {
  const found = new Map<string, string>();
  if (text === null || text.length > LARGEST) return found;
  let left = MOST_VALUES;
  let isObject = false;
  const walk = (value: unknown, path: readonly string[]): void => {
    left -= 1;
    if (left < 0 || path.length > DEEPEST) return;
    if (Array.isArray(value)) value.forEach((one, at) => walk(one, [...path, String(nameOf(one) ?? at)]));
    else if (isRecord(value)) for (const [key, one] of Object.entries(value)) walk(one, [...path, key]);
    else if (keepsData(path, value, isObject)) found.set(path.join('.'), String(value).toLowerCase());
  };
  try {
    for (const document of parseAllDocuments(text)) {
      const value: unknown = document.toJS({ maxAliasCount: 100 });
      isObject = isRecord(value) && typeof value['kind'] === 'string';
      walk(value, []);
    }
  } catch {
    // Templates and other texts are looked through for kinds.
    return found;
  }
  return found;
}

function keepsData(path: readonly string[], value: unknown, isObject: boolean): boolean {
  const key = path.at(-1) ?? '';
  const around = path.slice(0, -1);
  // An object of Kubernetes speaks of other objects, too; in it only values of a chart are meant.
  const isChart = !isObject || around.some((part) => /values|helm/i.test(part)) || key === 'releaseName';
  if (RENAMES.has(key)) return isChart && typeof value === 'string' && value !== '' && !around.includes('helmCharts');
  if (typeof value === 'string' && KINDS.has(value.toLowerCase()))
    return isChart && /^(kind|type|controller|workload)/i.test(key);
  const isOn = value === true || (typeof value === 'string' && /^(true|yes|on)$/i.test(value));
  if (!isOn) return false;
  if (SWITCHES.has(key)) return around.some((part) => STORAGE.test(part)) || STORES.test(around.at(-1) ?? '');
  return STORAGE.test(key) && /enabled?$|^use|^create/i.test(key);
}

/** Lists are compared by the names of their entries, so that one more in front changes nothing. */
function nameOf(value: unknown): string | undefined {
  return isRecord(value) && typeof value['name'] === 'string' ? value['name'] : undefined;
}
