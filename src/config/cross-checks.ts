import { Value } from 'typebox/value';
import { parseMatchers } from '../alerts/matchers.ts';
import { AlertRule } from '../alerts/settings.ts';
import { GIVEN_ARGUMENTS } from '../analysis/arguments.ts';
import { nearestName } from '../analysis/nearest.ts';
import { Template } from '../analysis/template.ts';
import { codeOf, sentenceOf } from '../errors.ts';
import { branchProblem, endpointProblem, redisUrlProblem, repositoryUrlProblem, usesSsh } from './addresses.ts';
import { overlapWarnings, pathProblem } from './application-paths.ts';
import { clusterFindings, clusterReferenceFindings } from './cluster-checks.ts';
import type { Finding } from './check.ts';
import type { Path } from './document.ts';
import { isMap, own, type JsonMap } from './schema-node.ts';
import { rollbackFindings, rollbackWarnings } from './rollback-checks.ts';
import { serverFindings } from './server-checks.ts';
import { credentialFindings, searchSourceFindings } from './search-checks.ts';
import { argumentsOf, queriesOf, templateFindings, templateWarnings } from './template-checks.ts';

interface Sections {
  server: JsonMap;
  rollbacks: JsonMap;
  storage: JsonMap;
  sources: JsonMap;
  repositories: JsonMap;
  clusters: JsonMap;
  applications: JsonMap;
  templates: JsonMap;
}

/**
 * The rules that tie parts of the configuration together. They look at whatever has the right shape, so that a fault
 * in one application does not hide a fault in another; what does not fit its schema is `check`'s to report.
 */
export function crossCheck(root: unknown): { errors: Finding[]; warnings: Finding[] } {
  const map = isMap(root) ? root : {};
  const section = (key: string): JsonMap => {
    const value = own(map, key);
    return isMap(value) ? value : {};
  };
  const sections: Sections = {
    server: section('server'),
    rollbacks: section('rollbacks'),
    storage: section('storage'),
    sources: section('sources'),
    repositories: section('repositories'),
    clusters: section('clusters'),
    applications: section('applications'),
    templates: section('templates'),
  };
  const templates = new Map<string, Template>();
  for (const [name, template] of Object.entries(sections.templates)) {
    if (Value.Check(Template, template)) templates.set(name, template);
  }
  return {
    errors: [
      ...serverFindings(sections.server, Object.keys(sections.applications)),
      ...rollbackFindings(sections.rollbacks),
      ...storageFindings(sections.storage),
      ...sourceFindings(sections.sources),
      ...repositoryFindings(sections.repositories),
      ...clusterFindings(sections.clusters),
      ...entries(sections.applications).flatMap(([name, application]) =>
        applicationFindings(['applications', name], application, sections, templates),
      ),
      ...[...templates].flatMap(([name, template]) => [
        ...templateFindings(template, ['templates', name]),
        ...finishedQueryFindings(['templates', name], template, sections.sources),
        ...searchSourceFindings(['templates', name], template, sections.sources),
      ]),
      ...entries(sections.templates).flatMap(([name, template]) =>
        metricSourceFindings(['templates', name], template, sections.sources),
      ),
    ],
    warnings: [
      ...rollbackWarnings(sections.rollbacks),
      ...entries(sections.repositories).flatMap(([name, repository]) => repositoryWarnings(['repositories', name], repository)),
      ...overlapWarnings(sections.applications, sections.repositories),
      ...entries(sections.applications).flatMap(([name, application]) => [
        ...unusedArguments(['applications', name], application, templates),
        ...broadMatchers(['applications', name], application),
      ]),
      ...[...templates].flatMap(([name, template]) => templateWarnings(template, ['templates', name])),
    ],
  };
}

function entries(section: JsonMap): [string, JsonMap][] {
  return Object.entries(section).filter((entry): entry is [string, JsonMap] => isMap(entry[1]));
}

function textAt(map: JsonMap, key: string): string | undefined {
  const value = own(map, key);
  return typeof value === 'string' ? value : undefined;
}

function faulty(path: Path, message: string | undefined): Finding[] {
  return message === undefined ? [] : [{ path, part: 'value', message }];
}

function storageFindings(storage: JsonMap): Finding[] {
  const url = textAt(storage, 'url');
  if (own(storage, 'kind') !== 'redis' || url === undefined || !/^rediss?:/.test(url)) return [];
  return faulty(['storage', 'url'], redisUrlProblem(url));
}

function sourceFindings(sources: JsonMap): Finding[] {
  return entries(sources).flatMap(([name, source]) => {
    const targets = own(source, 'targets');
    const list: readonly unknown[] = Array.isArray(targets) ? targets : [];
    return [
      ...endpointFindings(['sources', name], source),
      ...credentialFindings(['sources', name], source),
      ...list.flatMap((target, at) => (isMap(target) ? endpointFindings(['sources', name, 'targets', at], target) : [])),
    ];
  });
}

function endpointFindings(path: Path, map: JsonMap): Finding[] {
  const url = textAt(map, 'url');
  // Another protocol is refused by the schema already.
  return url === undefined || !/^https?:\/\//.test(url) ? [] : faulty([...path, 'url'], endpointProblem(url));
}

function repositoryFindings(repositories: JsonMap): Finding[] {
  return entries(repositories).flatMap(([name, repository]) => {
    const url = textAt(repository, 'url');
    const branch = textAt(repository, 'branch');
    return [
      ...(url === undefined || url === '' ? [] : faulty(['repositories', name, 'url'], repositoryUrlProblem(url))),
      ...(branch === undefined || branch === '' ? [] : faulty(['repositories', name, 'branch'], branchProblem(branch))),
    ];
  });
}

function repositoryWarnings(path: Path, repository: JsonMap): Finding[] {
  const url = textAt(repository, 'url');
  const useless = url !== undefined && usesSsh(url) && own(repository, 'tokenFile') !== undefined;
  return faulty([...path, 'tokenFile'], useless ? 'is not used, the repository is reached by ssh' : undefined);
}

function applicationFindings(
  path: Path,
  application: JsonMap,
  sections: Sections,
  templates: ReadonlyMap<string, Template>,
): Finding[] {
  const delivery = own(application, 'delivery');
  const paths = own(application, 'paths');
  const list: readonly unknown[] = Array.isArray(paths) ? paths : [];
  return [
    ...reference([...path, 'repository'], textAt(application, 'repository'), 'repository', sections.repositories),
    ...reference([...path, 'template'], textAt(application, 'template'), 'template', sections.templates),
    ...(isMap(delivery) ? endpointFindings([...path, 'delivery'], delivery) : []),
    ...(isMap(delivery) ? clusterReferenceFindings([...path, 'delivery'], delivery, sections.clusters) : []),
    ...list.flatMap((entry, at) =>
      typeof entry === 'string' && entry !== '' ? faulty([...path, 'paths', at], pathProblem(entry)) : [],
    ),
    ...missingArguments(path, application, templates),
    ...matcherFindings(path, own(application, 'alerts')),
  ];
}

function matcherFindings(path: Path, alerts: unknown): Finding[] {
  const rules: readonly unknown[] = Array.isArray(alerts) ? alerts : [];
  return rules.flatMap((rule, at) => {
    const matchers = isMap(rule) ? own(rule, 'matchers') : undefined;
    const list: readonly unknown[] = Array.isArray(matchers) ? matchers : [];
    return list.flatMap((text, place) =>
      typeof text === 'string' && text !== '' ? faulty([...path, 'alerts', at, 'matchers', place], matcherProblem(text)) : [],
    );
  });
}

/** Alerts of everything else have none of the labels, and would be put down to this application. */
function broadMatchers(path: Path, application: JsonMap): Finding[] {
  const alerts = own(application, 'alerts');
  const rules: readonly unknown[] = Array.isArray(alerts) ? alerts : [];
  return rules.flatMap((rule, at): Finding[] => {
    if (!Value.Check(AlertRule, rule) || rule.then === 'ignore') return [];
    if (rule.matchers.some((text) => matcherProblem(text) !== undefined)) return [];
    if (!rule.matchers.flatMap(parseMatchers).every((matcher) => matcher.matches(''))) return [];
    const message = 'matches alerts that have none of these labels, too; add one with a value, such as service="shop"';
    return [{ path: [...path, 'alerts', at, 'matchers'], part: 'value', message }];
  });
}

/** @returns what is wrong with it and in which column */
function matcherProblem(text: string): string | undefined {
  try {
    parseMatchers(text);
    return undefined;
  } catch (error) {
    if (codeOf(error) !== 'matcher_invalid') throw error;
    return `is not a matcher; ${sentenceOf(error)}`;
  }
}

function reference(path: Path, name: string | undefined, kind: string, known: JsonMap): Finding[] {
  if (name === undefined || Object.hasOwn(known, name)) return [];
  const names = Object.keys(known);
  const near = nearestName(name, names);
  const listed = names.length === 0 ? 'none is configured' : `configured: ${names.slice(0, 10).join(', ')}`;
  const message = `there is no ${kind} '${name}'${near === null ? `; ${listed}` : ''}`;
  return [{ path, part: 'value', message, ...(near !== null && { hint: `did you mean ${near}?` }) }];
}

function metricSourceFindings(path: Path, template: JsonMap, sources: JsonMap): Finding[] {
  const metrics = own(template, 'metrics');
  return entries(isMap(metrics) ? metrics : {}).flatMap(([name, metric]) =>
    reference([...path, 'metrics', name, 'source'], textAt(metric, 'source'), 'source', sources),
  );
}

/** Pages hold series and no language to ask them in. */
function finishedQueryFindings(path: Path, template: Template, sources: JsonMap): Finding[] {
  return Object.entries(template.metrics).flatMap(([name, metric]) => {
    const source = own(sources, metric.source);
    if (!isMap(source) || own(source, 'type') !== 'scrape') return [];
    const message = `source ${metric.source} reads pages and cannot run a finished query; write a counter or a gauge`;
    return queriesOf(metric)
      .filter(({ at }) => at.length === 2 && at[1] === 'query')
      .map((query): Finding => ({ path: [...path, 'metrics', name, ...query.at], part: 'key', message }));
  });
}

function missingArguments(path: Path, application: JsonMap, templates: ReadonlyMap<string, Template>): Finding[] {
  const name = textAt(application, 'template');
  const template = name === undefined ? undefined : templates.get(name);
  if (name === undefined || template === undefined) return [];
  const values = own(application, 'arguments');
  const given = isMap(values) ? values : {};
  const findings: Finding[] = [];
  const asked = argumentsOf(template);
  const idle = Object.keys(given).filter((argument) => !asked.has(argument));
  for (const [argument, at] of asked) {
    if (Object.hasOwn(given, argument) || GIVEN_ARGUMENTS.includes(argument)) continue;
    const near = nearestName(argument, idle);
    const message = `is required; template ${name} asks for it in ${at.join('.')}`;
    const hint = near === null ? {} : { hint: `did you mean ${argument} where '${near}' stands?` };
    findings.push({ path: [...path, 'arguments', argument], part: 'value', message, ...hint });
  }
  return findings;
}

function unusedArguments(path: Path, application: JsonMap, templates: ReadonlyMap<string, Template>): Finding[] {
  const name = textAt(application, 'template');
  const template = name === undefined ? undefined : templates.get(name);
  if (template === undefined) return [];
  const asked = argumentsOf(template);
  const values = own(application, 'arguments');
  const requested = own(application, 'requestArguments');
  const named: { argument: unknown; at: Path; part: Finding['part'] }[] = [
    ...Object.keys(isMap(values) ? values : {}).map((argument) => ({
      argument,
      at: ['arguments', argument],
      part: 'key' as const,
    })),
    ...(Array.isArray(requested) ? requested : []).map((argument: unknown, at) => ({
      argument,
      at: ['requestArguments', at],
      part: 'value' as const,
    })),
  ];
  return named.flatMap(({ argument, at, part }): Finding[] => {
    if (typeof argument !== 'string') return [];
    const given = GIVEN_ARGUMENTS.includes(argument);
    if (asked.has(argument) && !given) return [];
    const message = given ? 'is not used: every analysis has its own' : `is not used by template ${name ?? ''}`;
    return [{ path: [...path, ...at], part, message }];
  });
}
