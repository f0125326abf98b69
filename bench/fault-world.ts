import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { buildApp } from '../src/app.ts';
import { loadConfig } from '../src/config/load.ts';
import { createLogger } from '../src/observability/logger.ts';
import { DocumentStore } from '../test/support/document-store.ts';
import { refusingAddress, startFaultServer, type FaultServer } from '../test/support/fault-server.ts';
import { PrometheusStore } from '../test/support/prometheus-store.ts';
import { beginFault, elasticsearchFaults, endFault, prometheusFaults, type FaultKind } from './fault-kinds.ts';

const SCRAPE_MS = 250;
const REQUESTS_A_SCRAPE = 5_000;
/** Share of failed requests by release and side: one release is clearly bad, the other clearly good. */
const FAILED: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  bad: { canary: 0.3, stable: 0.0002 },
  good: { canary: 0.0002, stable: 0.0002 },
};
const KEEP_DOCUMENTS_MS = 120_000;
const PATHS = { prometheus: '/api/v1/query', elasticsearch: '/_msearch' } as const;
/** Ends while the fault lasts; decides after it. */
export const LENGTHS = ['short', 'long'] as const;
export const RELEASES = ['bad', 'good'] as const;

export interface FaultWorldSettings {
  everyMs: number;
  shortMs: number;
  longMs: number;
}

/** The releases are looked at in periods of their own, so that a store is asked at all times, and not only at one. */
export function periodOf(release: (typeof RELEASES)[number], everyMs: number): number {
  return release === 'bad' ? Math.round((everyMs * 5) / 6) : everyMs;
}

export interface FaultWorld {
  kinds: readonly { kind: FaultKind; key: string }[];
  /** Address of the service. */
  address: string;
  begin(): Promise<void>;
  end(): Promise<void>;
  close(): Promise<void>;
}

/**
 * A whole service in this process, embedded, and for every kind of fault a metric store of its own that has it. All
 * stores know the same two releases; each release is analysed for each store.
 */
export async function startFaultWorld(settings: FaultWorldSettings): Promise<FaultWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'davylamp-faults-'));
  const prometheus = new PrometheusStore();
  const documents = new DocumentStore();
  const stopTraffic = startTraffic(prometheus, documents);
  const kinds = [...prometheusFaults(prometheus), ...elasticsearchFaults(documents)].map((kind, at) => ({ kind, key: `k${at}` }));
  const well = {
    prometheus: prometheus.answer.bind(prometheus),
    elasticsearch: documents.answer.bind(documents),
  };
  const servers = new Map<FaultKind, FaultServer>();
  for (const { kind } of kinds) {
    const server = await startFaultServer();
    servers.set(kind, server);
    server.on(PATHS[kind.source], well[kind.source]);
  }
  const serverOf = (kind: FaultKind): FaultServer => {
    const server = servers.get(kind);
    if (server === undefined) throw new Error(`no server for ${kind.name}`);
    return server;
  };
  const file = join(folder, 'davylamp.yaml');
  await writeFile(file, JSON.stringify(configOf(settings, kinds, serverOf, await refusingAddress())));
  const logger = createLogger({ level: 'error', destination: new Writable({ write: (_chunk, _encoding, done) => done() }) });
  const app = await buildApp(await loadConfig({ file, environment: {} }), { crashAt: undefined, logger });
  const { address } = await app.start();
  return {
    kinds,
    address,
    async begin() {
      await Promise.all(kinds.map(({ kind }) => beginFault(kind, serverOf(kind), PATHS[kind.source])));
    },
    async end() {
      await Promise.all(kinds.map(({ kind }) => endFault(kind, serverOf(kind), PATHS[kind.source], well[kind.source])));
    },
    async close() {
      await app.close();
      stopTraffic();
      await Promise.all([...servers.values()].map((server) => server.close()));
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Counters grow and documents are written, as long as the world stands. */
function startTraffic(prometheus: PrometheusStore, documents: DocumentStore): () => void {
  const totals = new Map<string, number>();
  const step = () => {
    const now = Date.now();
    const samples: { name: string; labels: Record<string, string>; value: number }[] = [];
    const written: Record<string, string | number>[] = [];
    for (const [service, sides] of Object.entries(FAILED)) {
      for (const [track, share] of Object.entries(sides)) {
        const failed = Math.round(REQUESTS_A_SCRAPE * share);
        for (const [code, count] of [
          ['200', REQUESTS_A_SCRAPE - failed],
          ['500', failed],
        ] as const) {
          const labels = { service, track, code };
          const key = JSON.stringify(labels);
          const value = (totals.get(key) ?? 0) + count;
          totals.set(key, value);
          samples.push({ name: 'http_requests_total', labels, value });
          if (count > 0) written.push({ '@timestamp': now, service, track, status: Number(code), _doc_count: count });
        }
      }
    }
    prometheus.scrape(samples, now);
    const kept = (documents.indices.get('requests') ?? []).filter((one) => Number(one['@timestamp']) > now - KEEP_DOCUMENTS_MS);
    documents.indices.set('requests', [...kept, ...written]);
  };
  step();
  const timer = setInterval(step, SCRAPE_MS);
  return () => clearInterval(timer);
}

function configOf(
  { everyMs, shortMs, longMs }: FaultWorldSettings,
  kinds: readonly { kind: FaultKind; key: string }[],
  serverOf: (kind: FaultKind) => FaultServer,
  nowhere: string,
): object {
  const timeout = `${Math.max(200, Math.floor(everyMs / 2))}ms`;
  const sources = kinds.map(({ kind, key }) => {
    const place = { type: kind.source, url: serverOf(kind).url, timeout };
    return [key, kind.source === 'prometheus' ? { ...place, lookback: '60s' } : { ...place, delay: '500ms' }];
  });
  const templates = kinds.flatMap(({ kind, key }) =>
    LENGTHS.flatMap((length) =>
      RELEASES.map((release) => {
        const period = periodOf(release, everyMs);
        return [
          `${release}-${key}-${length}`,
          {
            every: `${period}ms`,
            for: `${period * Math.floor((length === 'short' ? shortMs : longMs) / period)}ms`,
            canary: { track: 'canary' },
            baseline: { track: 'stable' },
            metrics: { errors: { type: 'proportion', source: key, ...questions(kind), limit: '20%' } },
          },
        ];
      }),
    ),
  );
  const applications = kinds.flatMap(({ key }) =>
    LENGTHS.flatMap((length) =>
      RELEASES.map((release) => [
        `${release}-${key}-${length}`,
        {
          repository: 'deploy',
          paths: [`apps/${release}-${key}-${length}`],
          delivery: { type: 'none' },
          template: `${release}-${key}-${length}`,
          arguments: { service: release },
          mode: 'rollback',
        },
      ]),
    ),
  );
  return {
    server: { listen: '127.0.0.1:0' },
    storage: { kind: 'embedded', path: './data' },
    log: { level: 'error' },
    workers: { ticks: 128 },
    sources: Object.fromEntries(sources) as object,
    // Where nothing listens: what is asked here is whether a rollback is decided, not whether it can be pushed.
    repositories: { deploy: { url: `${nowhere}/deploy.git` } },
    templates: Object.fromEntries(templates) as object,
    applications: Object.fromEntries(applications) as object,
  };
}

function questions(kind: FaultKind): object {
  if (kind.source === 'prometheus') {
    return {
      total: { counter: 'http_requests_total{service="${service}"}' },
      events: { counter: 'http_requests_total{service="${service}",code="500"}' },
    };
  }
  const service = { term: { service: '${service}' } };
  return {
    total: { search: { index: 'requests', filter: service } },
    events: { search: { index: 'requests', filter: { bool: { filter: [service, { range: { status: { gte: 500 } } }] } } } },
  };
}
