import type { DocumentStore } from '../test/support/document-store.ts';
import { ELASTIC } from '../test/support/document-store.ts';
import type { Behaviour, FaultServer, ReceivedRequest } from '../test/support/fault-server.ts';
import type { PrometheusStore } from '../test/support/prometheus-store.ts';

/** A way in which a metric store can be unwell. */
export interface FaultKind {
  name: string;
  source: 'prometheus' | 'elasticsearch';
  /** What the server does while the fault lasts; null refuses connections. */
  fault: ((request: ReceivedRequest) => Behaviour) | null;
}

const JSON_TYPE = { 'content-type': 'application/json' };
/** A byte in a while: nothing ever stands still, and nothing is ever complete. */
const DRIP = { bytesPerPiece: 1, everyMs: 250 };

/** The body that the store would have answered, changed. */
function changed(behaviour: Behaviour, change: (body: string) => string): Behaviour {
  return behaviour.kind === 'answer' ? { ...behaviour, body: change(behaviour.body ?? '') } : behaviour;
}

function status(code: number, headers: Record<string, string> = JSON_TYPE): () => Behaviour {
  return () => ({
    kind: 'answer',
    status: code,
    headers,
    body: '{"status":"error","errorType":"unavailable","error":"not now"}',
  });
}

/** The ten kinds that every store over HTTP can have. */
export function prometheusFaults(store: PrometheusStore): FaultKind[] {
  const answer = (request: ReceivedRequest) => store.answer(request);
  const error = '{"status":"error","errorType":"internal","error":"the head block is gone"}';
  const kinds: Record<string, FaultKind['fault']> = {
    refuse: null,
    hang: () => ({ kind: 'hang' }),
    '500': status(500),
    '429': status(429),
    'truncated JSON': (request) => changed(answer(request), (body) => body.slice(0, body.length / 2)),
    'wrong content type': () => ({ kind: 'answer', headers: { 'content-type': 'text/html' }, body: '<html>Sign in</html>' }),
    'status error in a 200': () => ({ kind: 'answer', headers: JSON_TYPE, body: error }),
    'slow drip': (request) => {
      const whole = answer(request);
      return whole.kind === 'answer' ? { kind: 'drip', headers: JSON_TYPE, body: whole.body ?? '', ...DRIP } : whole;
    },
    NaN: (request) => changed(answer(request), (body) => body.replaceAll(/,"[0-9.]+"\]/g, ',"NaN"]')),
    empty: (request) => changed(answer(request), () => '{"status":"success","data":{"resultType":"matrix","result":[]}}'),
  };
  return Object.entries(kinds).map(([name, fault]) => ({ name: `prometheus: ${name}`, source: 'prometheus', fault }));
}

/** What Elasticsearch calls a success although it is none, and the usual. */
export function elasticsearchFaults(store: DocumentStore): FaultKind[] {
  const answer = (request: ReceivedRequest) => store.answer(request);
  const each = (change: (response: Record<string, unknown>) => unknown) => (request: ReceivedRequest) =>
    changed(answer(request), (body) => {
      const { responses } = JSON.parse(body) as { responses: Record<string, unknown>[] };
      return JSON.stringify({ took: 1, responses: responses.map(change) });
    });
  const none = { total: 0, successful: 0, skipped: 0, failed: 0 };
  const kinds: Record<string, FaultKind['fault']> = {
    refuse: null,
    hang: () => ({ kind: 'hang' }),
    '503': status(503, ELASTIC),
    'a shard failed': each((response) => ({ ...response, _shards: { total: 2, successful: 1, skipped: 0, failed: 1 } })),
    'timed out': each((response) => ({ ...response, timed_out: true })),
    'ended early': each((response) => ({ ...response, terminated_early: true })),
    'no index': each(() => ({ took: 1, timed_out: false, _shards: none, hits: { hits: [] }, status: 200 })),
    'no aggregations': each((response) => ({ ...response, aggregations: undefined })),
    '404 inside of a 200': each(() => ({ error: { type: 'index_not_found_exception', reason: 'gone' }, status: 404 })),
    nulls: (request) => changed(answer(request), (body) => body.replaceAll(/"doc_count":[0-9]+/g, '"doc_count":null')),
    'another product': (request) => {
      const whole = answer(request);
      return whole.kind === 'answer' ? { ...whole, headers: JSON_TYPE } : whole;
    },
  };
  return Object.entries(kinds).map(([name, fault]) => ({ name: `elasticsearch: ${name}`, source: 'elasticsearch', fault }));
}

/** Begins the fault of a kind, and ends it. */
export async function beginFault(kind: FaultKind, server: FaultServer, path: string): Promise<void> {
  if (kind.fault === null) await server.down();
  else server.on(path, kind.fault);
}

export async function endFault(
  kind: FaultKind,
  server: FaultServer,
  path: string,
  well: (request: ReceivedRequest) => Behaviour,
) {
  server.on(path, well);
  if (kind.fault === null) await server.up();
}
