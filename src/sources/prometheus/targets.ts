import { hash } from 'node:crypto';
import type { LabelSet } from './answer.ts';

/**
 * What identifies the process that series come from. Prometheus gives each a label `instance`; series that were
 * brought in another way may have only the name of their pod.
 */
export function targetOf(labels: LabelSet): string {
  const { job = '', instance, pod = '' } = labels;
  return shortHash(JSON.stringify(instance === undefined ? [job, 'pod', pod] : [job, instance]));
}

/** The samples of a target have the same times; of series without one nothing like that is known. */
export function placeOf(labels: LabelSet): string {
  return labels['instance'] === undefined ? seriesName(labels) : targetOf(labels);
}

export function seriesName(labels: LabelSet): string {
  return shortHash(JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))));
}

export function milliseconds(time: number): number {
  return Math.round(time * 1_000);
}

/** 72 bits: enough that many thousand series do not meet by chance, few enough for a cursor that is stored every tick. */
export function shortHash(text: string): string {
  return hash('sha256', text, 'base64url').slice(0, 12);
}
