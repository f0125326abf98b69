import { hash } from 'node:crypto';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { parseDuration } from '../../analysis/quantities.ts';
import { CodedError } from '../../errors.ts';
import type { Finding } from '../../finding.ts';
import type { HttpClient } from '../../net/client.ts';
import type { LabelMatcher } from '../../patterns/label-matcher.ts';
import { NAME, createMatcher, matchesSeries, parseSelector } from '../../promql/selector.ts';
import type { MetricSource, SourceAnswer, SourceQuery } from '../port.ts';
import { Carried, PRIMING, bucketsAnswer, countAnswer, gaugeAnswer, reasonIn, type Counted, type Missing } from './answers.ts';
import { TargetStates, advance, type TargetIncreases, type TargetReading } from './counters.ts';
import type { Labels } from './exposition.ts';
import { scrapePage, type PageSeries, type ScrapedPage } from './page.ts';
import type { ScrapeSource } from './schema.ts';

/** What one analysis carries from tick to tick. Series are named by hashes: label values stay out of the store. */
const Cursor = Type.Object({
  version: Type.Literal(1),
  targets: TargetStates,
  carried: Type.Record(Type.String(), Carried),
});
type Cursor = Static<typeof Cursor>;

interface Target {
  id: string;
  url: string;
  host: string;
  labels: Labels;
}

type Scraped = { page: ScrapedPage } | { fault: Missing };

/** A query whose selector could be read. */
interface Asked {
  query: SourceQuery;
  /** Names the same question at every tick. */
  key: string;
  matchers: readonly LabelMatcher[];
  /** Only these can have matching series. */
  targets: readonly Target[];
}

const DEFAULT_TIMEOUT = '5s';
const DEFAULT_MAX_BYTES = 10_485_760;

/**
 * Reads metrics pages itself; no Prometheus is needed. Each page is read once a tick for all queries, all at the same
 * time. The pages say what is true now, so the window is only used for its end, as the time of the reading.
 *
 * An analysis must ask the same queries at every tick: series that nobody asked for before cannot be told from new ones,
 * so another set of queries primes anew.
 *
 * @throws CodedError `source_invalid`
 */
export function createScrapeSource(config: ScrapeSource, { http }: { http: HttpClient }): MetricSource {
  const targets = config.targets.map(targetOf);
  if (new Set(targets.map(({ id }) => id)).size !== targets.length) {
    throw new CodedError(
      'source_invalid',
      'two targets have the same url and labels, so everything would count twice; take one out',
    );
  }
  const timeoutMs = parseDuration(config.timeout ?? DEFAULT_TIMEOUT);
  const maxBytes = config.maxBytes ?? DEFAULT_MAX_BYTES;

  async function scrape(target: Target, asked: readonly Asked[], signal: AbortSignal): Promise<Scraped> {
    const matchers = asked.filter((one) => one.targets.includes(target)).map((one) => one.matchers);
    const decided = new Map<string, boolean>();
    const wants = (name: string) => {
      let wanted = decided.get(name);
      if (wanted === undefined) {
        wanted = matchers.some((all) => all.every((matcher) => matcher.label !== NAME || matcher.matches(name)));
        decided.set(name, wanted);
      }
      return wanted;
    };
    try {
      return { page: await scrapePage(http, { ...target, timeoutMs, maxBytes, wants }, signal) };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof CodedError)) throw error;
      return { fault: { code: error.code, sentence: error.message } };
    }
  }

  async function examined(target: Target, signal: AbortSignal): Promise<Finding> {
    try {
      const { series } = await scrapePage(http, { ...target, timeoutMs, maxBytes, wants: () => true }, signal);
      return { status: 'ok', code: 'readable', sentence: `${target.host} shows a metrics page with ${series.length} series` };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof CodedError)) throw error;
      return { status: 'fail', code: error.code, sentence: error.message };
    }
  }

  return {
    remembers: false,
    async read(queries, window, cursor, signal) {
      signal.throwIfAborted();
      const answers = new Map<string, SourceAnswer>();
      const asked: Asked[] = [];
      for (const query of queries) {
        const understood = understand(query, targets);
        if ('missing' in understood) answers.set(query.id, { kind: 'missing', ...understood.missing });
        else asked.push(understood);
      }
      const needed = targets.filter((target) => asked.some((one) => one.targets.includes(target)));
      const scraped = new Map(
        await Promise.all(needed.map(async (target) => [target.id, await scrape(target, asked, signal)] as const)),
      );
      const reading = answerAll(asked, targets, scraped, cursor, window.to);
      for (const [id, answer] of reading.answers) answers.set(id, answer);
      return { answers, cursor: reading.cursor, warnings: reading.warnings };
    },
    check: (signal) => Promise.all(targets.map((target) => examined(target, signal))),
    // The client belongs to the composition root, and nothing else is held.
    close: () => Promise.resolve(),
  };
}

function targetOf({ url, labels = {} }: ScrapeSource['targets'][number]): Target {
  const sorted = Object.entries(labels)
    .filter(([, value]) => value !== '')
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return { id: shortHash(JSON.stringify([url, sorted])), url, host: hostOf(url), labels: sorted };
}

function hostOf(url: string): string {
  if (!URL.canParse(url))
    throw new CodedError('source_invalid', 'the url of a target cannot be read; write for example http://shop:8080/metrics');
  const { host, username, password } = new URL(url);
  if (username === '' && password === '') return host;
  throw new CodedError('source_invalid', `the url of target ${host} holds a user name or password; take it out`);
}

function understand(query: SourceQuery, targets: readonly Target[]): Asked | { missing: Missing } {
  if (query.search !== undefined) {
    return {
      missing: {
        code: 'query_unsupported',
        sentence: 'a source of type scrape cannot search documents; use counter: or gauge: with a selector',
      },
    };
  }
  if (query.finished) {
    return {
      missing: {
        code: 'query_unsupported',
        sentence: 'a source of type scrape cannot run finished queries; use counter: or gauge: with a selector',
      },
    };
  }
  let matchers: LabelMatcher[];
  try {
    matchers = parseSelector(query.text);
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return { missing: { code: error.code, sentence: error.message } };
  }
  for (const [label, value] of Object.entries(query.labels)) matchers.push(createMatcher(label, '=', value));
  const able = targets.filter(({ labels }) =>
    matchers.every((matcher) => {
      const own = labels.find(([name]) => name === matcher.label);
      return own === undefined || matcher.matches(own[1]);
    }),
  );
  if (able.length === 0) {
    return {
      missing: {
        code: 'no_target',
        sentence: 'no target of the source has the labels that the selector and the side ask for; see the labels of its targets',
      },
    };
  }
  const sides = Object.entries(query.labels).sort(([a], [b]) => (a < b ? -1 : 1));
  // Two proportions may have the same total, and each carries it with its own events.
  const pair = query.pair === undefined ? [] : [query.pair.metric, query.pair.side];
  return { query, key: shortHash(JSON.stringify([query.shape, query.text, sides, ...pair])), matchers, targets: able };
}

function answerAll(
  asked: readonly Asked[],
  targets: readonly Target[],
  scraped: ReadonlyMap<string, Scraped>,
  cursor: unknown,
  at: number,
): { answers: Map<string, SourceAnswer>; cursor: unknown; warnings: string[] } {
  const before = Value.Check(Cursor, cursor) ? cursor : null;
  const answers = new Map<string, SourceAnswer>();
  const warnings = new Set<string>();
  const matching = new Map(asked.map((one) => [one, seriesOf(one, scraped)] as const));
  const counting = asked.filter((one) => one.query.shape !== 'gauge');

  let step: ReturnType<typeof advance>;
  try {
    const readings = readingsOf(counting, matching, scraped);
    const selectors = shortHash(JSON.stringify(counting.map(({ key }) => key).sort()));
    step = advance(
      before?.targets ?? null,
      readings,
      targets.map(({ id }) => id),
      at,
      selectors,
    );
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    // Without a place for all series none can be followed; gauges need none.
    for (const { query } of counting) answers.set(query.id, { kind: 'missing', code: error.code, sentence: error.message });
    answerGauges(asked, matching, scraped, answers);
    return { answers, cursor: before, warnings: [] };
  }

  const carried: Cursor['carried'] = {};
  const countedBy = new Map(
    counting.map((one) => [one, (matching.get(one) ?? []).map((match) => countedOf(match, step.increases))] as const),
  );
  const reasonOf = (one: Asked) =>
    faultOf(one, scraped) ??
    (one.targets.some(({ id }) => step.increases.get(id)?.priming) ? PRIMING : null) ??
    reasonIn(countedBy.get(one) ?? []);
  for (const one of counting) {
    const counted = countedBy.get(one) ?? [];
    // The parts of a proportion are missing together, and what they counted comes together, so that neither is lost alone.
    const { pair } = one.query;
    const others = pair === undefined ? [] : counting.filter(({ query }) => query.pair?.metric === pair.metric);
    const missing = [one, ...others].map(reasonOf).find((reason) => reason !== null) ?? null;
    const own = before?.carried[one.key] ?? null;
    const outcome = one.query.shape === 'buckets' ? bucketsAnswer(counted, missing, own) : countAnswer(counted, missing, own);
    answers.set(one.query.id, outcome.answer);
    if (outcome.carry !== null) carried[one.key] = outcome.carry;
    for (const warning of outcome.warnings) warnings.add(warning);
  }
  answerGauges(asked, matching, scraped, answers);
  for (const { id, host } of targets) {
    const result = scraped.get(id);
    if (result !== undefined && 'page' in result && result.page.repeated > 0) {
      warnings.add(`${host} has ${result.page.repeated} series more than once; only one of each was counted`);
    }
    if (step.increases.get(id)?.otherProcess === true) {
      warnings.add(`${host} was answered by another process than before; give each process an address of its own`);
    }
  }
  return { answers, cursor: { version: 1, targets: step.states, carried } satisfies Cursor, warnings: [...warnings] };
}

interface Match {
  target: string;
  series: PageSeries;
  key: string;
}

function seriesOf(asked: Asked, scraped: ReadonlyMap<string, Scraped>): Match[] {
  return asked.targets.flatMap(({ id }) => {
    const result = scraped.get(id);
    if (result === undefined || 'fault' in result) return [];
    return result.page.series
      .filter((series) => matchesSeries(asked.matchers, series.name, series.labels))
      .map((series) => ({ target: id, series, key: shortHash(series.identity) }));
  });
}

/** Every page that was read, with those of its series that some counter query selects. */
function readingsOf(
  counting: readonly Asked[],
  matching: ReadonlyMap<Asked, Match[]>,
  scraped: ReadonlyMap<string, Scraped>,
): Map<string, TargetReading> {
  const chosen = new Map<string, Map<string, TargetReading['series'][number]>>();
  for (const [id, result] of scraped) if ('page' in result) chosen.set(id, new Map());
  for (const one of counting) {
    for (const { target, key, series } of matching.get(one) ?? []) {
      chosen.get(target)?.set(key, { key, group: series.group, value: series.value, born: series.born });
    }
  }
  const readings = new Map<string, TargetReading>();
  for (const [id, series] of chosen) {
    const result = scraped.get(id);
    readings.set(id, {
      started: result !== undefined && 'page' in result ? result.page.started : null,
      series: [...series.values()],
    });
  }
  return readings;
}

function countedOf({ target, key, series }: Match, increases: ReadonlyMap<string, TargetIncreases>): Counted {
  return {
    increase: increases.get(target)?.series.get(key) ?? 'priming',
    group: series.group === null ? null : `${target} ${series.group}`,
    bound: series.bound,
  };
}

function answerGauges(
  asked: readonly Asked[],
  matching: ReadonlyMap<Asked, Match[]>,
  scraped: ReadonlyMap<string, Scraped>,
  answers: Map<string, SourceAnswer>,
): void {
  for (const one of asked) {
    if (one.query.shape !== 'gauge') continue;
    const values = (matching.get(one) ?? []).map(({ series }) => series.value);
    answers.set(one.query.id, gaugeAnswer(values, faultOf(one, scraped), one.query.aggregate));
  }
}

function faultOf(asked: Asked, scraped: ReadonlyMap<string, Scraped>): Missing | null {
  const faults = asked.targets.flatMap(({ id }) => {
    const result = scraped.get(id);
    return result !== undefined && 'fault' in result ? [result.fault] : [];
  });
  const [first] = faults;
  if (first === undefined || faults.length === 1) return first ?? null;
  return { code: first.code, sentence: `${first.sentence}; ${faults.length - 1} more targets of this side could not be read` };
}

/** 72 bits: enough that 20,000 series do not meet by chance, few enough for a cursor that is stored every tick. */
function shortHash(text: string): string {
  return hash('sha256', text, 'base64url').slice(0, 12);
}
