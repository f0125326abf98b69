/** Numbers as a person reads them. */
const WHOLE = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const FIGURE = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 4 });
const TWO_DIGITS = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 2 });

/** 0.0612 is "6.1 %", 0.0004 is "0.04 %". */
export function percent(share: number): string {
  const value = share * 100;
  return `${value === 0 || value >= 1 ? value.toFixed(1).replace(/\.0$/, value < 10 && value > 0 ? '.0' : '') : TWO_DIGITS.format(value)} %`;
}

/** A limit as it was written: 5 %, not 5.0 %. */
export function limitPercent(share: number): string {
  return `${String(Number((share * 100).toPrecision(6)))} %`;
}

/** 3.14 is "3.1", 12.3 is "12", 0.12 is "0.12". */
export function times(ratio: number, digits = 1): string {
  if (ratio >= 9.95) return ratio > 1e6 ? 'over a million' : WHOLE.format(ratio);
  return ratio >= 0.995 ? ratio.toFixed(digits) : TWO_DIGITS.format(ratio);
}

export function whole(count: number): string {
  return WHOLE.format(count);
}

/** A bucket bound in seconds: 0.25 is "250 ms". */
export function seconds(bound: number): string {
  return bound < 1 ? `${String(Number((bound * 1_000).toPrecision(6)))} ms` : `${String(Number(bound.toPrecision(6)))} s`;
}

/** A value of a gauge, in whatever unit it has. */
export function figure(value: number): string {
  return value >= 1e15 || value < 1e-4 ? value.toExponential(2) : FIGURE.format(value);
}

/** " (2.2 to 4.3)", " (at least 2.2)", or nothing. */
export function range(low: number | null, high: number | null, digits = 1): string {
  if (low === null) return '';
  return high === null ? ` (at least ${times(low, digits)})` : ` (${times(low, digits)} to ${times(high, digits)})`;
}
