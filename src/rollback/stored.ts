import type { JournalEntry, RecordWrite, StoredRecord } from '../store/port.ts';
import { isOpen, type Rollback } from './record.ts';

/** What records of earlier versions do not have. */
const SINCE = { good: null, approvals: [], proposal: null, returnedAt: null };
const PLAN_SINCE = { hash: '', good: null, undoes: [], kept: [], joint: [], prunes: [], automation: [] };

/** Records of rollbacks are written by this room only, so their shape is known. */
export function rollbackIn(record: StoredRecord): Rollback {
  const value = record.value as Rollback;
  if ('approvals' in value) return value;
  const older = value as Omit<Rollback, keyof typeof SINCE>;
  return { ...SINCE, ...older, plan: older.plan === null ? null : { ...PLAN_SINCE, ...older.plan } };
}

export function rollbackWrite(rollback: Rollback, expect: number, createdAt: number): RecordWrite {
  return {
    kind: 'rollback',
    id: rollback.id,
    expect,
    createdAt,
    index: { application: rollback.application, state: rollback.state, open: isOpen(rollback) },
    value: rollback,
  };
}

/** What the journal keeps of a change; stored together with it. */
export function entryOf(rollback: Rollback, event: string, at: number, more: Record<string, unknown> = {}): JournalEntry {
  const { application, id, state, code, sentence, badCommit, revertCommit, mode, aborted, incident } = rollback;
  const fleet = state === 'held' && incident !== undefined ? { fleet: incident } : {};
  const details = { badCommit, revertCommit, mode, aborted, ...fleet, ...more };
  return { at, event, application, subject: id, code, sentence, details };
}
