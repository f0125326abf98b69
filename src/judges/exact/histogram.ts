import { logSumExp } from '../../statistics/log-space.ts';
import type { Bet } from '../../statistics/onset-mixture.ts';
import type { MetricParameters } from '../judge.ts';
import type { HistogramSeries } from '../series.ts';
import { isCount, MissingTicks, paired, slowerThan, totalOf, type Reading, type Row } from './counts.ts';
import { chooseBounds, type LatencyBound } from './latency-bounds.ts';
import { MOST_PER_TICK, NEGLIGIBLE_SLOW, PASS_DATA_SHARE, PASS_LATENCY } from './margins.ts';
import { QuantileLimit } from './quantile-limit.ts';
import { ComparedRates, NO_EFFECT } from './rates.ts';
import type { Findings, Trial } from './trial.ts';
import { seconds, times, whole } from './words.ts';

/** Requests of the baseline that must have been seen before bounds are chosen. */
const ENOUGH_TO_CHOOSE = 50;

/** Bucket counts of latencies: shares of requests slower than some bounds, against the baseline and against limits of quantiles. */
export class HistogramTrial implements Trial {
  readonly type = 'histogram';
  readonly #series: HistogramSeries;
  readonly #parameters: MetricParameters;
  readonly #usable: boolean;
  readonly #bet: Bet;
  readonly #chosen: Float64Array;
  #bounds: readonly { bound: LatencyBound; rates: ComparedRates }[] = [];
  readonly #limits: readonly QuantileLimit[];
  readonly #missing = new MissingTicks();
  #ticks = 0;
  #canaryTotal = 0;
  #baselineTotal = 0;

  /**
   * @param warmup leading ticks, from which the bounds are chosen
   * @param ticks that there are so far
   * @param starts ticks at which trouble may begin
   */
  constructor(series: HistogramSeries, parameters: MetricParameters, warmup: number, ticks: number, starts: number) {
    this.#series = series;
    this.#parameters = parameters;
    this.#bet = { starts, mostPerTick: MOST_PER_TICK.histogram };
    this.#usable =
      series.bounds.length > 0 &&
      series.bounds.every((bound, i) => Number.isFinite(bound) && (i === 0 || bound > series.bounds[i - 1]));
    this.#chosen = new Float64Array(series.bounds.length + 1);
    this.#limits = this.#usable ? limitsOf(series, parameters, this.#bet) : [];
    for (let tick = 0; tick < Math.min(warmup, ticks); tick++) this.#choose(tick);
  }

  look(tick: number): void {
    const { canary, baseline } = this.#series;
    const reading = this.#read('canary', canary.counts[tick]);
    const other = baseline === null ? null : this.#read('baseline', baseline.counts[tick]);
    if ('missing' in reading) return this.#missing.add(reading.missing);
    if (other !== null && 'missing' in other) return this.#missing.add(other.missing);
    this.#ticks += 1;
    this.#canaryTotal += totalOf(reading.data);
    this.#baselineTotal += other === null ? 0 : totalOf(other.data);
    for (const limit of this.#limits) limit.add(reading.data, other === null ? null : other.data);
    if (other === null) return;
    if (this.#bounds.length === 0) {
      // The tick that shows which bounds matter is not judged by them.
      this.#choose(tick);
      return;
    }
    for (const { bound, rates } of this.#bounds) {
      rates.add(paired(slowerThan(reading.data, bound.index), slowerThan(other.data, bound.index)));
    }
  }

  get worse(): number | null {
    if (this.#series.baseline === null) return null;
    if (this.#bounds.length === 0) return 0;
    return logSumExp(this.#bounds.map(({ rates }) => rates.logE)) - Math.log(this.#bounds.length);
  }

  get above(): number | null {
    if (this.#limits.length === 0) return null;
    return logSumExp(this.#limits.map(({ test }) => test.logE)) - Math.log(this.#limits.length);
  }

  findings(logNeeded: number): Findings {
    const hasBaseline = this.#series.baseline !== null;
    const shown = this.#shown();
    const effect = shown === null ? NO_EFFECT : shown.rates.effect();
    return {
      effect,
      traffic: {
        canary: { events: shown?.rates.totals.canaryEvents ?? null, total: this.#canaryTotal },
        baseline: { events: shown?.rates.totals.baselineEvents ?? null, total: hasBaseline ? this.#baselineTotal : null },
        ticks: this.#ticks,
        missing: this.#missing.count,
      },
      comparison:
        shown === null
          ? `${whole(this.#canaryTotal)} requests of the canary`
          : `slower than ${this.#name(shown.bound)}: canary ${shown.rates.canaryRate()} against ${shown.rates.baselineRate()} in the baseline${shown.rates.ratioWords(effect)}`,
      aboveLimit: this.#aboveLimit(),
      bothAboveLimit: this.#limits.some(({ test }) => test.bothAbove),
      pass: this.#ticks === 0 ? { code: null, sentence: 'no data' } : this.#pass(logNeeded),
      missing: this.#missing.sentence,
    };
  }

  /** The bound with the most evidence that has data, for the words. */
  #shown(): { bound: LatencyBound; rates: ComparedRates } | null {
    let best: { bound: LatencyBound; rates: ComparedRates } | null = null;
    for (const candidate of this.#bounds) {
      if (candidate.rates.totals.canaryTotal > 0 && (best === null || candidate.rates.logE > best.rates.logE)) best = candidate;
    }
    return best;
  }

  #aboveLimit(): string | null {
    let worst: QuantileLimit | null = null;
    for (const limit of this.#limits) if (worst === null || limit.test.logE > worst.test.logE) worst = limit;
    return worst === null ? null : worst.words;
  }

  #pass(logNeeded: number): Findings['pass'] {
    const judged = this.#ticks + this.#missing.count;
    if (this.#ticks < PASS_DATA_SHARE * judged) {
      return { code: null, sentence: `data are missing in ${this.#missing.count} of ${judged} ticks` };
    }
    const broken = this.#limits.find(({ test }) => test.canaryIsAbove);
    if (broken !== undefined) {
      return { code: null, sentence: `the canary does not keep ${broken.name}, not yet surely` };
    }
    if (this.#series.baseline === null) {
      return this.#limits.length > 0 && this.#limits.every(({ test }) => test.canaryIsBelow)
        ? { code: 'within_tolerance', sentence: 'surely within its limits' }
        : { code: null, sentence: 'not surely within its limits' };
    }
    if (this.#bounds.length === 0 || this.#bounds[0].rates.totals.canaryTotal === 0) {
      return { code: null, sentence: 'too few requests to choose where to compare' };
    }
    for (const { bound, rates } of this.#bounds) {
      if (rates.upperRatio() < bound.passing || rates.upperRate() < NEGLIGIBLE_SLOW) continue;
      return { code: null, sentence: `slower than ${this.#name(bound)}: ${rates.blindness(logNeeded)}` };
    }
    return {
      code: 'within_tolerance',
      sentence: `at all ${this.#bounds.length} compared bounds surely less than ${times(PASS_LATENCY * (1 + this.#parameters.tolerate))} times as slow (95 % bound)`,
    };
  }

  #name(bound: LatencyBound): string {
    return seconds(this.#series.bounds[bound.index]);
  }

  /** Adds the baseline's histogram of this tick; chooses the bounds as soon as there is enough. */
  #choose(tick: number): void {
    const baseline = this.#series.baseline;
    if (baseline === null) return;
    const reading = this.#read('baseline', baseline.counts[tick]);
    if ('missing' in reading) return;
    reading.data.forEach((count, i) => (this.#chosen[i] += count));
    if (totalOf(this.#chosen) < ENOUGH_TO_CHOOSE) return;
    const { tolerate } = this.#parameters;
    const chosen = chooseBounds(this.#series.bounds, this.#chosen, tolerate, PASS_LATENCY * (1 + tolerate));
    this.#bounds = chosen.map((bound) => ({ bound, rates: new ComparedRates(bound.tolerated, this.#bet) }));
  }

  #read(side: string, row: Row | null | undefined): Reading<Row> {
    if (row === null || row === undefined) return { missing: `the ${side} has no histogram` };
    if (!this.#usable) return { missing: 'the bounds of the histogram are not rising numbers' };
    if (row.length !== this.#series.bounds.length + 1 || !row.every(isCount))
      return { missing: `the ${side} has no usable histogram` };
    return totalOf(row) > 0 ? { data: row } : { missing: `the ${side} had no traffic` };
  }
}

/** Limits that some bound can show; one above the last bound cannot be judged. */
function limitsOf(series: HistogramSeries, parameters: MetricParameters, bet: Bet): QuantileLimit[] {
  const limits: QuantileLimit[] = [];
  for (const limit of parameters.quantileLimits) {
    const index = series.bounds.findIndex((bound) => bound >= limit.value * (1 - 1e-9));
    if (index < 0 || !(limit.quantile > 0 && limit.quantile < 1)) continue;
    limits.push(new QuantileLimit(limit, index, series.bounds[index], series.baseline !== null, bet));
  }
  return limits;
}
