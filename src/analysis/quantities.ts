import { Type } from 'typebox';
import { CodedError } from '../errors.ts';

/** Durations as Go and Prometheus write them: 500ms, 30s, 1h30m. */
export const Duration = Type.String({
  pattern: '^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+$',
  maxLength: 40,
  description: 'a duration such as 500ms, 30s, 1h30m',
});

/** A share: "10%" or 0.1. */
export const Share = Type.Union([Type.String({ pattern: '^[0-9]+(\\.[0-9]+)?%$', maxLength: 20 }), Type.Number({ minimum: 0 })], {
  description: 'a share such as 10% or 0.1',
});

const MILLISECONDS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** @returns milliseconds. @throws CodedError `invalid_duration` */
export function parseDuration(text: string): number {
  if (!/^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$/.test(text)) {
    throw new CodedError('invalid_duration', `"${text}" is not a duration; write for example 500ms, 30s or 1h30m`);
  }
  let sum = 0;
  for (const part of text.matchAll(/([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)/g)) {
    sum += Number(part[1]) * (MILLISECONDS[part[2] ?? ''] ?? 0);
  }
  return sum;
}

/** @returns a number: "10%" is 0.1, 0.1 stays. @throws CodedError `invalid_share` */
export function parseShare(value: string | number): number {
  if (typeof value === 'number') return value;
  const match = /^([0-9]+(?:\.[0-9]+)?)%$/.exec(value);
  if (match === null) throw new CodedError('invalid_share', `"${value}" is not a share; write for example 10% or 0.1`);
  return Number(match[1]) / 100;
}
