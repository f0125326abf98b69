import type { Rollback } from '../record.ts';
import { moved } from '../transitions.ts';

/** What a guard says that does not let a rollback pass. */
export interface Held {
  code: string;
  /** The reason for a person, and what to do. */
  sentence: string;
  /** Whether a person can release it by approving the plan. */
  approvable: boolean;
  /** It ends the rollback: a person has decided already. */
  isFinal?: boolean;
  /** Several rollbacks that are held for one reason: told as one. */
  incident?: string;
}

/** The record of a rollback that a guard holds, or ends. */
export function heldIn(rollback: Rollback, { code, sentence, isFinal, incident }: Held, at: number): Rollback {
  // What people released before it came back, they released for once.
  const approvals = code === 'came_back' ? [] : rollback.approvals;
  const known: Rollback = { ...rollback, approvals, ...(incident !== undefined && { incident }) };
  return moved(known, { state: isFinal === true ? 'refused' : 'held', code, sentence }, at);
}
