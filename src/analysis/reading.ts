import type { Clock } from '../clock.ts';
import { CodedError } from '../errors.ts';
import type { MetricSource, SourceAnswer } from '../sources/port.ts';
import type { AnalysedApplication } from './analyses.ts';
import { queriesOf, type AnalysisPlan, type Side } from './plan.ts';
import type { Analysis } from './record.ts';

type Missing = Extract<SourceAnswer, { kind: 'missing' }>;

export interface ReadingContext {
  clock: Clock;
  sources: ReadonlyMap<string, MetricSource>;
  /** One read of one source: what it did not answer, and how long it took. */
  onRead(read: { source: string; missing: readonly Missing[]; seconds: number }): void;
}

/** What all sources said about one window. */
export interface TickReading {
  answers: ReadonlyMap<string, SourceAnswer>;
  /** By source; those that were not asked keep theirs. */
  cursors: Record<string, unknown>;
  warnings: string[];
}

interface Asked {
  application: AnalysedApplication;
  analysis: Analysis;
  sides: readonly { side: Side; labels: Readonly<Record<string, string>> }[];
}

/**
 * Asks every source of the template, all at the same time.
 *
 * @param which `remembering`: only those that can be asked about the past; `forgetful`: only the others. What is not
 *   asked is missing in the answers.
 * @throws CodedError `source_unknown`, `argument_missing`, `argument_unsafe`
 */
export async function readTick(
  context: ReadingContext,
  { application, analysis, sides }: Asked,
  cursors: Readonly<Record<string, unknown>>,
  window: { from: number; to: number },
  which: 'all' | 'remembering' | 'forgetful',
  signal: AbortSignal,
): Promise<TickReading> {
  const values = { ...analysis.arguments, application: analysis.application, revision: analysis.revision };
  const readings = await Promise.all(
    [...queriesOf(application.plan, values, sides)].map(async ([name, queries]) => {
      const source = sourceNamed(context, analysis, name);
      if (which !== 'all' && source.remembers !== (which === 'remembering')) return null;
      const since = context.clock.now();
      const reading = await source.read(queries, window, cursors[name], signal);
      const missing = queries.map(({ id }) => reading.answers.get(id)).filter((answer) => answer?.kind === 'missing');
      context.onRead({ source: name, missing, seconds: (context.clock.now() - since) / 1_000 });
      return { name, reading };
    }),
  );
  const asked = readings.filter((one) => one !== null);
  return {
    answers: new Map(asked.flatMap(({ reading }) => [...reading.answers])),
    cursors: { ...cursors, ...Object.fromEntries(asked.map(({ name, reading }) => [name, reading.cursor])) },
    warnings: asked.flatMap(({ name, reading }) => reading.warnings.map((warning) => `${name}: ${warning}`)),
  };
}

/** The sources of a template that know only what is true now. */
export function forgetful(context: ReadingContext, plan: AnalysisPlan, analysis: Analysis): string[] {
  const names = new Set(plan.metrics.map(({ spec }) => spec.source));
  return [...names].filter((name) => !sourceNamed(context, analysis, name).remembers);
}

/** One warning for each metric whose two sides were summed from different numbers of series. */
export function unlikeSides(answers: TickReading['answers'], known: readonly string[]): string[] {
  const warnings: string[] = [];
  for (const [id, canary] of answers) {
    const [metric = '', side, part = ''] = id.split('/');
    const baseline = answers.get(`${metric}/baseline/${part}`);
    if (side !== 'canary' || baseline === undefined) continue;
    const [one, other] = [seriesIn(canary), seriesIn(baseline)];
    if (one === undefined || other === undefined || one === other) continue;
    const about = `${metric} (${part}): the two sides have different numbers of series`;
    // The numbers of the first time only: they may change at every tick.
    if (!known.some((warning) => warning.startsWith(about)))
      warnings.push(`${about}, ${one} on the canary side and ${other} on the baseline side`);
  }
  return warnings;
}

function seriesIn(answer: SourceAnswer): number | undefined {
  return 'series' in answer ? answer.series : undefined;
}

function sourceNamed(context: ReadingContext, analysis: Analysis, name: string): MetricSource {
  const source = context.sources.get(name);
  if (source !== undefined) return source;
  throw new CodedError('source_unknown', `template "${analysis.template}" names source "${name}", which is not configured`);
}
