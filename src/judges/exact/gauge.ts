import { LogRatioMean } from '../../statistics/log-ratio-mean.ts';
import type { MetricParameters } from '../judge.ts';
import type { GaugeSeries } from '../series.ts';
import { MissingTicks, type Reading } from './counts.ts';
import { INTERVAL_ALPHA, PASS_DATA_SHARE, PASS_GAUGE, UNHEALTHY_LOG_E } from './margins.ts';
import type { Findings, Trial } from './trial.ts';
import { figure, range, times } from './words.ts';

/** Values outside of this are taken for a broken metric. */
const USABLE = { from: 1e-18, to: 1e18 };

/** A value, say CPU or memory: log ratio of canary to baseline, and of each to a limit. Approximate, see LogRatioMean. */
export class GaugeTrial implements Trial {
  readonly type = 'gauge';
  readonly #series: GaugeSeries;
  readonly #parameters: MetricParameters;
  /** Null: none, or one that positive values cannot keep. */
  readonly #limit: number | null;
  readonly #ratio = new LogRatioMean();
  readonly #canary = new LogRatioMean();
  readonly #baseline = new LogRatioMean();
  readonly #missing = new MissingTicks();
  #logCanary = 0;
  #logBaseline = 0;
  #ticks = 0;

  constructor(series: GaugeSeries, parameters: MetricParameters) {
    this.#series = series;
    this.#parameters = parameters;
    this.#limit = parameters.limit !== null && parameters.limit > 0 ? parameters.limit : null;
  }

  look(tick: number): void {
    const canary = readValue('canary', this.#series.canary[tick]);
    const baseline = this.#series.baseline === null ? null : readValue('baseline', this.#series.baseline[tick]);
    if ('missing' in canary) return this.#missing.add(canary.missing);
    if (baseline !== null && 'missing' in baseline) return this.#missing.add(baseline.missing);
    this.#ticks += 1;
    const logCanary = Math.log(canary.data);
    this.#logCanary += logCanary;
    if (this.#limit !== null) this.#canary.add(tick, logCanary - Math.log(this.#limit));
    if (baseline === null) return;
    const logBaseline = Math.log(baseline.data);
    this.#logBaseline += logBaseline;
    this.#ratio.add(tick, logCanary - logBaseline);
    if (this.#limit !== null) this.#baseline.add(tick, logBaseline - Math.log(this.#limit));
  }

  get worse(): number | null {
    return this.#series.baseline === null ? null : this.#ratio.logE(Math.log1p(this.#parameters.tolerate));
  }

  /** As in RateLimit: above the limit, and worse than a baseline that lies below it. */
  get above(): number | null {
    if (this.#limit === null) return null;
    const above = this.#canary.logE(0);
    if (this.#series.baseline === null) return above;
    if (this.#baseline.count === 0) return 0;
    return this.#baseline.mean >= 0 ? -Infinity : Math.min(above, this.#ratio.logE(0));
  }

  findings(logNeeded: number): Findings {
    const hasBaseline = this.#series.baseline !== null;
    const interval = this.#ratio.interval(INTERVAL_ALPHA);
    const compared = hasBaseline && this.#ticks > 0;
    const low = interval === null ? null : Math.exp(interval.low);
    const high = interval === null ? null : Math.exp(interval.high);
    const estimate = compared ? Math.exp(this.#ratio.mean) : null;
    const canary = this.#ticks === 0 ? 'no value' : figure(Math.exp(this.#logCanary / this.#ticks));
    const baseline = compared ? figure(Math.exp(this.#logBaseline / this.#ticks)) : null;
    const over = `over ${this.#ticks} ${this.#ticks === 1 ? 'tick' : 'ticks'}`;
    return {
      effect: { kind: 'ratio', estimate, low, high },
      traffic: {
        canary: { events: null, total: null },
        baseline: { events: null, total: null },
        ticks: this.#ticks,
        missing: this.#missing.count,
      },
      comparison:
        baseline === null || estimate === null
          ? `canary ${canary}, ${over}`
          : `canary ${canary} against ${baseline} in the baseline, ${times(estimate, 2)} times as much${range(low, high, 2)}, ${over}`,
      aboveLimit:
        this.#limit === null
          ? null
          : `canary ${canary}, above the limit of ${figure(this.#limit)}, ${over}${baseline === null ? '' : `; baseline ${baseline}`}`,
      bothAboveLimit:
        this.#baseline.count > 0 && this.#baseline.mean >= 0 && this.#canary.mean > 0 && this.#canary.logE(0) >= UNHEALTHY_LOG_E,
      pass: this.#ticks === 0 ? { code: null, sentence: 'no data' } : this.#pass(logNeeded),
      missing: this.#missing.sentence,
    };
  }

  #pass(logNeeded: number): Findings['pass'] {
    const judged = this.#ticks + this.#missing.count;
    if (this.#ticks < PASS_DATA_SHARE * judged) {
      return { code: null, sentence: `data are missing in ${this.#missing.count} of ${judged} ticks` };
    }
    if (this.#limit !== null && this.#canary.mean > 0) {
      return { code: null, sentence: `the canary is above the limit of ${figure(this.#limit)}, not yet surely` };
    }
    if (this.#series.baseline === null) {
      return this.#limit !== null && this.#canary.upper95() < 0
        ? { code: 'within_tolerance', sentence: `surely below the limit of ${figure(this.#limit)}` }
        : { code: null, sentence: 'not surely below its limit' };
    }
    const boundary = Math.log1p(this.#parameters.tolerate);
    const accepted = boundary + Math.log(PASS_GAUGE);
    const upper = this.#ratio.upper95();
    if (upper < accepted) {
      return {
        code: 'within_tolerance',
        sentence: `at most ${times(Math.exp(upper), 2)} times as much (95 % bound; below ${times(Math.exp(accepted), 2)} passes)`,
      };
    }
    const seen = this.#ratio.smallestSeen(boundary, logNeeded);
    return {
      code: null,
      sentence:
        seen === Infinity
          ? 'this few ticks could not have shown any effect'
          : `the smallest effect that these ticks could have shown is about ${times(Math.exp(seen), 2)} times as much`,
    };
  }
}

function readValue(side: string, value: number | null | undefined): Reading<number> {
  if (value === null || value === undefined || !Number.isFinite(value)) return { missing: `the ${side} has no value` };
  if (value <= 0) return { missing: `the ${side} has a value that is not positive, which has no ratio` };
  return value >= USABLE.from && value <= USABLE.to ? { data: value } : { missing: `the ${side} has no usable value` };
}
