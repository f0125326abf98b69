import { filterProblems } from '../analysis/search-filter.ts';
import type { SearchPart } from '../analysis/search.ts';
import type { MetricSpec, Template } from '../analysis/template.ts';
import type { Finding } from './check.ts';
import type { Path } from './document.ts';
import { isMap, own, type JsonMap } from './schema-node.ts';

type Query = Exclude<ReturnType<typeof partsOf>[number]['query'], undefined>;

/** Rules about the searches of a template that its schema cannot say. */
export function searchFindings(template: Template, path: Path): Finding[] {
  return parts(template).flatMap(({ at, query }) => {
    if (!('search' in query)) return [];
    const place = [...path, ...at, 'search'];
    return [
      ...filterProblems(query.search.filter ?? {}).map((problem): Finding => ({
        path: [...place, 'filter', ...problem.at],
        part: 'value',
        message: problem.message,
      })),
      ...figureFindings(query.search, place),
    ];
  });
}

/** Documents are searched in Elasticsearch and nowhere else, and Elasticsearch knows no selectors. */
export function searchSourceFindings(path: Path, template: Template, sources: JsonMap): Finding[] {
  return parts(template).flatMap(({ source, at, query }) => {
    const config = own(sources, source);
    const type = isMap(config) ? own(config, 'type') : undefined;
    if (typeof type !== 'string') return [];
    const word = wordOf(query);
    if ((word === 'search') === (type === 'elasticsearch')) return [];
    const message =
      word === 'search'
        ? `source ${source} is of type ${type} and cannot search documents; only elasticsearch can`
        : `source ${source} is of type elasticsearch and has no series; write a search`;
    return [{ path: [...path, ...at, word], part: 'key', message }];
  });
}

/** What the schema of a source of documents cannot say about its credentials. */
export function credentialFindings(path: Path, source: JsonMap): Finding[] {
  if (own(source, 'type') !== 'elasticsearch') return [];
  const has = (key: string) => own(source, key) !== undefined;
  const kinds = ['apiKeyFile', 'tokenFile', 'username'].filter(has);
  const [, second] = kinds;
  if (second !== undefined) {
    return [{ path: [...path, second], part: 'key', message: `expected one kind of credential; got ${kinds.join(', ')}` }];
  }
  if (has('username') === has('passwordFile')) return [];
  const absent = has('username') ? 'passwordFile' : 'username';
  return [{ path: [...path, absent], part: 'value', message: 'is required; username and passwordFile belong together' }];
}

function wordOf(query: Query): 'search' | 'counter' | 'gauge' | 'query' {
  if ('search' in query) return 'search';
  if ('counter' in query) return 'counter';
  return 'gauge' in query ? 'gauge' : 'query';
}

function figureFindings(search: SearchPart['search'], place: Path): Finding[] {
  if ('bounds' in search) {
    const at = search.bounds.findIndex((bound, index) => index > 0 && bound <= (search.bounds[index - 1] ?? -Infinity));
    if (at < 0) return [];
    return [{ path: [...place, 'bounds', at], part: 'value', message: `expected bounds that rise; got ${search.bounds[at]}` }];
  }
  if ('percentile' in search && search.percentile !== undefined && search.stat !== undefined) {
    return [{ path: [...place, 'stat'], part: 'key', message: 'expected either a stat or a percentile; got both' }];
  }
  return [];
}

function parts(template: Template): { source: string; at: Path; query: Query }[] {
  return Object.entries(template.metrics).flatMap(([name, metric]) =>
    partsOf(metric).map(({ part, query }) => ({ source: metric.source, at: ['metrics', name, part], query })),
  );
}

function partsOf(metric: MetricSpec) {
  switch (metric.type) {
    case 'proportion':
      return [
        { part: 'total', query: metric.total },
        { part: 'events', query: metric.events },
      ];
    case 'histogram':
      return [{ part: 'buckets', query: metric.buckets }];
    case 'gauge':
      return [{ part: 'value', query: metric.value }];
  }
}
