import type { RecordWrite, StoredRecord } from '../store/port.ts';
import { isOpen, type Rollback } from './record.ts';

/** Records of rollbacks are written by this room only, so their shape is known. */
export function rollbackIn(record: StoredRecord): Rollback {
  return record.value as Rollback;
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
