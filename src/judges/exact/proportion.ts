import { upperBoundOfShare } from '../../statistics/binomial-bound.ts';
import type { MetricParameters } from '../judge.ts';
import type { ProportionSeries } from '../series.ts';
import { MissingTicks, paired, readCounts, type SideCounts } from './counts.ts';
import { MOST_PER_TICK, PASS_ALPHA, PASS_DATA_SHARE, PASS_RATE } from './margins.ts';
import { RateLimit } from './rate-limit.ts';
import { ComparedRates, NO_EFFECT } from './rates.ts';
import type { Findings, Trial } from './trial.ts';
import { limitPercent, percent, times, whole } from './words.ts';

/** Events among total, say errors among requests: the canary's rate against the baseline's and against a limit. */
export class ProportionTrial implements Trial {
  readonly type = 'proportion';
  readonly #series: ProportionSeries;
  readonly #parameters: MetricParameters;
  readonly #rates: ComparedRates | null;
  readonly #limit: RateLimit | null;
  readonly #canary: SideCounts = { events: 0, total: 0 };
  readonly #missing = new MissingTicks();
  #ticks = 0;

  /** @param starts ticks at which trouble may begin */
  constructor(series: ProportionSeries, parameters: MetricParameters, starts: number) {
    this.#series = series;
    this.#parameters = parameters;
    const hasBaseline = series.baseline !== null;
    const bet = { starts, mostPerTick: MOST_PER_TICK.proportion };
    this.#rates = hasBaseline ? new ComparedRates(1 + parameters.tolerate, bet) : null;
    this.#limit = parameters.limit === null ? null : new RateLimit(parameters.limit, hasBaseline, bet);
  }

  look(tick: number): void {
    const { canary, baseline } = this.#series;
    const reading = readCounts('canary', canary.events[tick], canary.total[tick]);
    const other = baseline === null ? null : readCounts('baseline', baseline.events[tick], baseline.total[tick]);
    if ('missing' in reading) return this.#missing.add(reading.missing);
    if (other !== null && 'missing' in other) return this.#missing.add(other.missing);
    this.#ticks += 1;
    this.#canary.events += reading.data.events;
    this.#canary.total += reading.data.total;
    if (other === null) {
      this.#limit?.add(reading.data);
      return;
    }
    const pair = paired(reading.data, other.data);
    this.#rates?.add(pair);
    this.#limit?.addPair(pair);
  }

  get worse(): number | null {
    return this.#rates === null ? null : this.#rates.logE;
  }

  get above(): number | null {
    return this.#limit === null ? null : this.#limit.logE;
  }

  findings(logNeeded: number): Findings {
    const rates = this.#rates;
    const totals = rates?.totals;
    const seen = this.#ticks > 0;
    const effect = rates === null || !seen ? NO_EFFECT : rates.effect();
    const rate = seen ? percent(this.#canary.events / this.#canary.total) : 'no rate';
    const requests = `over ${whole(this.#canary.total)} requests`;
    const limit = this.#parameters.limit;
    return {
      effect,
      traffic: {
        canary: { ...this.#canary },
        baseline: { events: totals?.baselineEvents ?? null, total: totals?.baselineTotal ?? null },
        ticks: this.#ticks,
        missing: this.#missing.count,
      },
      comparison:
        rates === null || !seen
          ? `canary ${rate}, ${requests}`
          : `canary ${rate} against ${rates.baselineRate()} in the baseline${rates.ratioWords(effect)}`,
      aboveLimit:
        limit === null
          ? null
          : `canary ${rate}, above the limit of ${limitPercent(limit)}, ${requests}${rates === null || !seen ? '' : `; baseline ${rates.baselineRate()}`}`,
      bothAboveLimit: this.#limit?.bothAbove ?? false,
      pass: seen ? this.#pass(logNeeded) : { code: null, sentence: 'no data' },
      missing: this.#missing.sentence,
    };
  }

  #pass(logNeeded: number): Findings['pass'] {
    const { tolerate, limit, passBelow } = this.#parameters;
    const blindness = this.#rates?.blindness(logNeeded);
    if (this.#ticks < PASS_DATA_SHARE * (this.#ticks + this.#missing.count)) {
      return { code: null, sentence: `data are missing in ${this.#missing.count} of ${this.#ticks + this.#missing.count} ticks` };
    }
    if (this.#limit?.canaryIsAbove) {
      return { code: null, sentence: `the canary is above the limit of ${limitPercent(limit ?? 0)}, not yet surely` };
    }
    const upperRate = upperBoundOfShare(this.#canary.events, this.#canary.total, PASS_ALPHA);
    if (upperRate < passBelow) {
      return { code: 'negligible', sentence: `surely below ${limitPercent(passBelow)} (95 % bound ${percent(upperRate)})` };
    }
    if (this.#rates === null) {
      return limit !== null && upperRate < limit
        ? { code: 'within_tolerance', sentence: `surely below the limit of ${limitPercent(limit)}` }
        : { code: null, sentence: `could still be ${percent(upperRate)} (95 % bound)` };
    }
    const accepted = PASS_RATE * (1 + tolerate);
    const upper = this.#rates.upperRatio();
    if (upper < accepted) {
      return {
        code: 'within_tolerance',
        sentence: `at most ${times(upper)} times as many (95 % bound; below ${times(accepted)} passes)`,
      };
    }
    if (this.#canary.events > 0) return { code: null, sentence: blindness ?? '' };
    // Without events a ratio says little; what the rate could still be says which setting or how much traffic is missing.
    const bound = `the canary's rate could still be ${percent(upperRate)} (95 % bound; surely below passBelow, ${limitPercent(passBelow)}, passes)`;
    return { code: null, sentence: blindness === undefined ? bound : `${blindness}; ${bound}` };
  }
}
