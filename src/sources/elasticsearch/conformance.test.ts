import { describeMetricSource, type Side, type SourceFault, type SourceHarness } from '../../../test/conformance/source.ts';
import { SERIES_INDEX, SeriesAsDocuments, askedWithSearches, selectorText } from '../../../test/support/document-queries.ts';
import { DocumentStore, ELASTIC, type StoredDocument } from '../../../test/support/document-store.ts';
import { refusingAddress, startFaultServer, type Behaviour } from '../../../test/support/fault-server.ts';
import { systemClock } from '../../clock.ts';
import { createHttpClient, type HttpClient } from '../../net/client.ts';
import { createElasticsearchSource } from './source.ts';

const TIMEOUT_MS = 2_000;
const SECRET = 'a2V5OnMzY3IzdA==';
const labels = { canary: { track: 'canary' }, baseline: { track: 'stable' } };

function faultOf(fault: Exclude<SourceFault, 'refuse'>): Behaviour {
  switch (fault) {
    case '401':
    case '429':
    case '500':
    case '503':
      return {
        kind: 'answer',
        status: Number(fault),
        headers: ELASTIC,
        body: '{"error":{"type":"es_rejected","reason":"s3cr3t"}}',
      };
    case 'hang':
      return { kind: 'hang' };
    case 'nothing':
      return { kind: 'answer', headers: ELASTIC, body: '' };
    case 'drop':
      return { kind: 'drop' };
    case 'truncated':
      return { kind: 'cut', headers: ELASTIC, framed: false, body: '{"took":1,"responses":[{"took":1}]}', afterBytes: 20 };
    case 'wrong type':
      return { kind: 'answer', headers: { 'content-type': 'text/html' }, body: '<html>Sign in, s3cr3t</html>' };
    case 'not understood':
      return { kind: 'answer', headers: ELASTIC, body: '{"tagline":"s3cr3t"}' };
    case 'huge':
      return { kind: 'huge', headers: ELASTIC, bytes: 50_000_000 };
  }
}

async function start(): Promise<SourceHarness> {
  const server = await startFaultServer();
  const store = new DocumentStore();
  const asDocuments = new SeriesAsDocuments();
  const http = createHttpClient();
  const dead = await refusingAddress();
  let refused = false;
  let seen = 0;
  /** Happened since the last look; they get their time when the next window is known. */
  let waiting: Omit<StoredDocument, '@timestamp'>[] = [];
  // A port that was closed cannot be opened again for sure, so `refuse` is an address where nothing listens.
  const through: HttpClient = {
    request: (request, signal) => http.request(refused ? { ...request, url: `${dead}/_msearch` } : request, signal),
    close: () => http.close(),
  };
  const open = () =>
    askedWithSearches(
      createElasticsearchSource(
        'logs',
        {
          type: 'elasticsearch',
          url: server.url,
          apiKeyFile: 'key',
          timeout: `${TIMEOUT_MS}ms`,
          maxBytes: 1_000_000,
          delay: '1ms',
        },
        { http: through, clock: systemClock, readSecret: () => Promise.resolve(SECRET) },
      ),
      (window) => {
        store.add(
          SERIES_INDEX,
          waiting.map((document) => ({ '@timestamp': window.from, ...document }) as StoredDocument),
        );
        // What was counted happened once; a figure is written down again and again.
        waiting = waiting.filter((document) => document['name'] === 'memory_bytes');
        return Promise.resolve();
      },
    );
  return {
    source: open(),
    labels,
    timeoutMs: TIMEOUT_MS,
    secrets: ['s3cr3t', SECRET],
    selector: selectorText,
    show(series) {
      refused = false;
      seen = server.requests.length;
      store.serve(server);
      waiting = (['canary', 'baseline'] as const satisfies Side[]).flatMap((side) =>
        asDocuments.documents(side, labels[side].track, series[side]),
      );
      return Promise.resolve();
    },
    fail(fault) {
      refused = fault === 'refuse';
      seen = server.requests.length;
      if (fault !== 'refuse') server.on('/_msearch', faultOf(fault));
      return Promise.resolve();
    },
    asked: () => server.arrived(seen + 1),
    reopen: () => Promise.resolve(open()),
    async close() {
      await http.close();
      await server.close();
    },
  };
}

describeMetricSource('elasticsearch', start, { holds: 'documents' });
