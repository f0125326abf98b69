import { exactJudge } from './exact/exact.ts';
import type { Judge } from './judge.ts';

/** Every judge there is; a new one is one folder and one line. */
const JUDGES: ReadonlyMap<string, Judge> = new Map([exactJudge].map((judge) => [judge.name, judge]));

export const judgeNames: readonly string[] = [...JUDGES.keys()];

/** @returns undefined for an unknown name; the caller says where the name came from */
export function judgeNamed(name: string): Judge | undefined {
  return JUDGES.get(name);
}
