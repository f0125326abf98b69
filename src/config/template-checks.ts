import { placeholdersIn } from '../analysis/arguments.ts';
import { nearestName } from '../analysis/nearest.ts';
import { parseDuration, parseShare } from '../analysis/quantities.ts';
import { textsOf } from '../analysis/search-filter.ts';
import type { MetricSpec, Template } from '../analysis/template.ts';
import { judgeNames } from '../judges/registry.ts';
import { MAX_TICKS } from '../judges/series.ts';
import type { Finding } from './check.ts';
import type { Path } from './document.ts';
import { searchFindings } from './search-checks.ts';

const MAX_FALSE_ROLLBACKS = 0.5;

/** Every rule about one template that its schema cannot say. */
export function templateFindings(template: Template, path: Path): Finding[] {
  const findings = [...timeFindings(template, path), ...placeholderFindings(template, path), ...searchFindings(template, path)];
  const add = (at: Path, message: string) => findings.push({ path: [...path, ...at], part: 'value', message });
  if (template.falseRollbacks !== undefined) {
    const share = parseShare(template.falseRollbacks);
    if (share <= 0 || share > MAX_FALSE_ROLLBACKS) {
      add(['falseRollbacks'], `expected a share above 0 and at most 50%; got ${template.falseRollbacks}`);
    }
  }
  if (template.judge !== undefined && !judgeNames.includes(template.judge)) {
    const near = nearestName(template.judge, judgeNames);
    const hint = near === null ? {} : { hint: `did you mean ${near}?` };
    const message = `there is no judge '${template.judge}'; known: ${judgeNames.join(', ')}`;
    findings.push({ path: [...path, 'judge'], part: 'value', message, ...hint });
  }
  for (const [name, metric] of Object.entries(template.metrics)) {
    const at = ['metrics', name];
    if (metric.type === 'proportion') {
      if (metric.limit !== undefined && !isRate(parseShare(metric.limit))) {
        add([...at, 'limit'], `expected a share above 0 and at most 100%; got ${metric.limit}`);
      }
      if (metric.passBelow !== undefined && parseShare(metric.passBelow) >= 1) {
        add([...at, 'passBelow'], `expected a share below 100%; got ${metric.passBelow}`);
      }
    }
    if (metric.type === 'histogram') {
      for (const quantile of Object.keys(metric.limit ?? {})) {
        if (Number(quantile.slice(1)) > 0) continue;
        add([...at, 'limit', quantile], `expected a quantile above p0 and below p100; got ${quantile}`);
      }
    }
  }
  return findings;
}

/** A metric that has nothing to be compared with can never decide; most likely something was forgotten. */
export function templateWarnings(template: Template, path: Path): Finding[] {
  if (template.baseline !== undefined) return [];
  return Object.entries(template.metrics)
    .filter(([, metric]) => metric.limit === undefined || (metric.type === 'histogram' && Object.keys(metric.limit).length === 0))
    .map(([name]) => ({
      path: [...path, 'metrics', name],
      part: 'value',
      message: 'has no limit, and the template has no baseline; it can never decide',
    }));
}

function isRate(share: number): boolean {
  return share > 0 && share <= 1;
}

function timeFindings(template: Template, path: Path): Finding[] {
  const findings: Finding[] = [];
  const add = (key: string, message: string) => findings.push({ path: [...path, key], part: 'value', message });
  const every = parseDuration(template.every);
  const whole = parseDuration(template.for);
  // A duration of 0 is reported by the check of the schema.
  if (every === 0 || whole === 0) return [];
  if (every > whole) {
    add('every', `expected at most the ${template.for} of "for"; got ${template.every}`);
  } else if (whole / every > MAX_TICKS) {
    add('every', `${template.for} in steps of ${template.every} is more than ${MAX_TICKS} looks; look less often`);
  }
  if (template.warmup !== undefined && parseDuration(template.warmup) >= whole) {
    add('warmup', `expected less than the ${template.for} of "for"; got ${template.warmup}`);
  }
  const recovery = template.recovery?.for;
  if (recovery !== undefined) {
    const length = parseDuration(recovery);
    const at = [...path, 'recovery', 'for'];
    if (length < every) {
      findings.push({ path: at, part: 'value', message: `expected at least the ${template.every} of "every"; got ${recovery}` });
    } else if (length / every > MAX_TICKS) {
      const message = `${recovery} in steps of ${template.every} is more than ${MAX_TICKS} looks`;
      findings.push({ path: at, part: 'value', message });
    }
  }
  return findings;
}

/** A text in which `${name}` is filled, and where it stands in the template. */
interface Filled {
  at: Path;
  text: string;
}

function filledTexts(template: Template): Filled[] {
  const labels = (side: 'canary' | 'baseline' | 'control') =>
    Object.entries(template[side] ?? {}).map(([label, text]) => ({ at: [side, label], text }));
  return [
    ...labels('canary'),
    ...labels('baseline'),
    ...labels('control'),
    ...Object.entries(template.metrics).flatMap(([name, metric]) =>
      queriesOf(metric).map(({ at, text }) => ({ at: ['metrics', name, ...at], text })),
    ),
  ];
}

/** The texts of a metric's queries by where they stand in it. */
export function queriesOf(metric: MetricSpec): Filled[] {
  const queries = Object.entries({
    ...(metric.type === 'proportion' && { total: metric.total, events: metric.events }),
    ...(metric.type === 'histogram' && { buckets: metric.buckets }),
    ...(metric.type === 'gauge' && { value: metric.value }),
  });
  return queries.flatMap(([part, query]): Filled[] => {
    if ('search' in query) {
      const { index, filter = {} } = query.search;
      const texts = textsOf(filter).map(({ at, text }) => ({ at: [part, 'search', 'filter', ...at], text }));
      return [{ at: [part, 'search', 'index'], text: index }, ...texts];
    }
    if ('counter' in query) return [{ at: [part, 'counter'], text: query.counter }];
    if ('gauge' in query) return [{ at: [part, 'gauge'], text: query.gauge }];
    return [{ at: [part, 'query'], text: query.query }];
  });
}

/** The names that a template fills in, each with the first place that asks for it. */
export function argumentsOf(template: Template): Map<string, Path> {
  const names = new Map<string, Path>();
  for (const { at, text } of filledTexts(template)) {
    for (const name of placeholdersIn(text)) if (!names.has(name)) names.set(name, at);
  }
  return names;
}

/** `${ name}`, `${1st}` and `${name` would reach the source as they stand. */
function placeholderFindings(template: Template, path: Path): Finding[] {
  return filledTexts(template).flatMap(({ at, text }) => {
    const broken = /\$\{(?![a-zA-Z_][a-zA-Z0-9_]*\})[^}\s]{0,20}/.exec(text);
    if (broken === null) return [];
    return [{ path: [...path, ...at], part: 'value', message: `expected an argument as \${name}; got '${broken[0]}'` }];
  });
}
