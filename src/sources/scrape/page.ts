import { CodedError } from '../../errors.ts';
import type { HttpClient, HttpResponse } from '../../net/client.ts';
import { createdNameOf, parseExposition, type Format, type Labels, type Sample } from './exposition.ts';

/** One series of a page, with the labels of its target. */
export interface PageSeries {
  name: string;
  labels: Labels;
  /** What tells the series from the others of the page, in one text; the labels of the target are not in it. */
  identity: string;
  /** The same without `le`, for buckets; null for everything else. */
  group: string | null;
  /** Upper bound of a bucket. */
  bound: number | null;
  value: number;
  /** Created time in seconds, where the page tells it. */
  born: number | null;
}

export interface ScrapedPage {
  series: PageSeries[];
  /** process_start_time_seconds, when the page has exactly one. */
  started: number | null;
  /** Series that were on the page more than once. */
  repeated: number;
}

export interface PageRequest {
  url: string;
  /** Labels of the target, sorted by name. */
  labels: Labels;
  timeoutMs: number;
  maxBytes: number;
  wants(name: string): boolean;
}

const PROCESS_START = 'process_start_time_seconds';
/** The same preference as Prometheus has, so that counters have the names that Prometheus shows. */
const ACCEPT = 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';

/**
 * Reads the metrics page of one target.
 *
 * @throws CodedError what the HTTP client throws, and `http_status`, `content_type_unsupported`, `page_invalid`,
 *   `page_truncated`, `page_too_large`; every message names the host, none the path, a header or a label value
 */
export async function scrapePage(http: HttpClient, request: PageRequest, signal: AbortSignal): Promise<ScrapedPage> {
  const answer = await http.request(
    {
      method: 'GET',
      url: request.url,
      headers: { accept: ACCEPT },
      timeoutMs: request.timeoutMs,
      maxBodyBytes: request.maxBytes,
    },
    signal,
  );
  const { host } = new URL(request.url);
  if (answer.status !== 200) {
    throw new CodedError('http_status', `${host} answered ${answer.status}; a metrics page is answered with 200`, {
      retryable: answer.status === 429 || answer.status >= 500,
      details: { host, status: answer.status },
    });
  }
  const format = formatOf(answer, host);
  try {
    const page = parseExposition(answer.text, {
      format,
      keep: (name) => name === PROCESS_START || (format === 'openmetrics' && name.endsWith('_created')) || request.wants(name),
      framed: answer.headers['content-length'] !== undefined || answer.headers['transfer-encoding'] !== undefined,
    });
    return assemble(page.samples, format === 'openmetrics' ? page.types : new Map(), request);
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    const hint = answer.text.trimStart().startsWith('<') ? ' (it looks like HTML)' : '';
    throw new CodedError(error.code, `${host} answered 200 with a page that cannot be read: ${error.message}${hint}`, {
      retryable: error.code === 'page_truncated',
      cause: error,
      details: { ...error.details, host, status: 200 },
    });
  }
}

function formatOf(answer: HttpResponse, host: string): Format {
  const header = answer.headers['content-type'];
  const [essence = ''] = (typeof header === 'string' ? header : '').split(';', 1);
  const type = essence.trim().toLowerCase();
  if (type === 'application/openmetrics-text') return 'openmetrics';
  if (type === '' || type === 'text/plain') return 'prometheus';
  const shown = /^[a-z0-9.+-]{1,50}\/[a-z0-9.+-]{1,80}$/.test(type) ? type : 'another content type';
  throw new CodedError(
    'content_type_unsupported',
    `${host} answered 200 with ${shown}; a metrics page is text/plain or application/openmetrics-text`,
    { details: { host, status: 200 } },
  );
}

function assemble(samples: readonly Sample[], types: ReadonlyMap<string, string>, request: PageRequest): ScrapedPage {
  const newest = new Map<string, Sample>();
  const born = new Map<string, number>();
  const starts = new Set<number>();
  let repeated = 0;
  for (const sample of samples) {
    const identity = identityOf(sample.name, sample.labels);
    if (sample.name === PROCESS_START && Number.isFinite(sample.value)) starts.add(sample.value);
    if (sample.name.endsWith('_created') && Number.isFinite(sample.value)) born.set(identity, sample.value);
    const other = newest.get(identity);
    if (other !== undefined) repeated++;
    // Points of one series may follow each other with their times; without times the first one counts.
    if (other === undefined || (sample.timestampMs ?? 0) > (other.timestampMs ?? 0)) newest.set(identity, sample);
  }
  const series: PageSeries[] = [];
  for (const [identity, sample] of newest) {
    if (!request.wants(sample.name)) continue;
    const le = sample.name.endsWith('_bucket') ? sample.labels.find(([name]) => name === 'le') : undefined;
    const withoutBound = le === undefined ? sample.labels : sample.labels.filter((label) => label !== le);
    const created = createdNameOf(sample.name, types);
    series.push({
      name: sample.name,
      labels: withTargetLabels(sample.labels, request.labels),
      identity,
      group: le === undefined ? null : identityOf(sample.name, withoutBound),
      bound: le === undefined ? null : boundOf(le[1]),
      value: sample.value,
      born: created === null ? null : (born.get(identityOf(created, withoutBound)) ?? null),
    });
  }
  const [started = null] = starts.size === 1 ? starts : [];
  return { series, started, repeated };
}

/** The two formats write the same bound as 1 and as 1.0, and a server may change from one to the other. */
function identityOf(name: string, labels: Labels): string {
  const bucket = name.endsWith('_bucket');
  return JSON.stringify([
    name,
    ...labels.map(([label, value]) => [label, bucket && label === 'le' ? String(boundOf(value)) : value]),
  ]);
}

function boundOf(text: string): number | null {
  if (/^\+?Inf$/i.test(text)) return Infinity;
  const bound = Number(text);
  return text.trim() === '' || !Number.isFinite(bound) ? null : bound;
}

/** As Prometheus does it: the target's label wins, the page's own is kept as `exported_NAME`. */
function withTargetLabels(own: Labels, target: Labels): Labels {
  if (target.length === 0) return own;
  const given = new Set(target.map(([name]) => name));
  return [...own.map(([name, value]) => [given.has(name) ? `exported_${name}` : name, value] as const), ...target];
}
