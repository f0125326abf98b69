import { Value } from 'typebox/value';
import { nearestName } from '../analysis/nearest.ts';
import { Template } from '../analysis/template.ts';
import { CodedError } from '../errors.ts';
import { maskPlaceholders } from '../promql/fill.ts';
import { parseSelector } from '../promql/selector.ts';
import type { Finding } from './check.ts';
import type { Path } from './document.ts';
import { isMap, own, type JsonMap } from './schema-node.ts';
import { queriesOf } from './template-checks.ts';

interface Query {
  path: Path;
  text: string;
  finished: boolean;
}

/**
 * Reads every selector and query of metrics whose source speaks PromQL; a finding names the column. The parser of whole
 * queries takes 8 MB, so it is loaded only where one stands.
 *
 * @param root the configuration
 */
export async function promqlFindings(root: unknown): Promise<Finding[]> {
  const queries = isMap(root) ? queriesIn(root) : [];
  const finished = queries.some((query) => query.finished) ? await loadParser() : null;
  return queries.flatMap((query) => {
    try {
      if (!query.finished) parseSelector(maskPlaceholders(query.text));
      else finished?.checkFinished(query.text);
      return [];
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      const { unknown } = error.details;
      const near = typeof unknown === 'string' ? nearestName(unknown, finished?.functionNames ?? []) : null;
      const hint = near === null ? {} : { hint: `did you mean ${near}?` };
      return [{ path: query.path, part: 'value' as const, message: error.message, ...hint }];
    }
  });
}

async function loadParser(): Promise<{ checkFinished: (text: string) => void; functionNames: readonly string[] }> {
  const [{ checkFinished }, { FUNCTIONS }] = await Promise.all([import('../promql/finished.ts'), import('../promql/parse.ts')]);
  return { checkFinished, functionNames: FUNCTIONS };
}

function queriesIn(root: JsonMap): Query[] {
  const sources = own(root, 'sources');
  const templates = own(root, 'templates');
  if (!isMap(sources) || !isMap(templates)) return [];
  const typeOf = (name: string) => {
    const source = own(sources, name);
    return isMap(source) ? own(source, 'type') : undefined;
  };
  return Object.entries(templates).flatMap(([name, template]) => {
    if (!Value.Check(Template, template)) return [];
    return Object.entries(template.metrics).flatMap(([metric, spec]) => {
      const type = typeOf(spec.source);
      if (type !== 'prometheus' && type !== 'scrape') return [];
      return queriesOf(spec).flatMap(({ at, text }): Query[] => {
        const kind = at[1];
        // Pages cannot run finished queries at all, which is reported as that.
        const finished = kind === 'query';
        if (at.length !== 2 || (finished ? type !== 'prometheus' : kind !== 'counter' && kind !== 'gauge')) return [];
        return [{ path: ['templates', name, 'metrics', metric, ...at], text, finished }];
      });
    });
  });
}
