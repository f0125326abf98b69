import type { RecordKind } from '../port.ts';

/**
 * How the store lies in Redis. All keys begin with `{prefix}:store:`, so that they share a slot of a cluster.
 *
 *     meta             hash: schema, epoch, writtenBy, number and hash of the last journal entry, restoring
 *     r:KIND:ID        hash of a record: v version, c time, m sortable time, a application, s state, o open, j JSON
 *     x:KIND           sorted set of all records of a kind; x:KIND:a:APPLICATION, x:KIND:s:STATE, x:KIND:o (open),
 *                      x:KIND:c (not open). Members are sortable time + id, all of score 0: their order is bytewise
 *     journal          hash: number to entry as JSON
 *     subjects         sorted set: subject, a zero byte, number in 16 digits
 *     turn             whose journal entries are next, when several processes kept getting into each other's way
 *     count:PROCESS    how many calls of a process have written something; expires when it is not used
 *     migrating        which process brings the schema up to date
 *     snap, snap:rows, snap:keys   a snapshot that is being read: see snapshot.ts
 */
export const SCHEMA_VERSION = 1;

/** In the order of a backup. The rank stands in scripts, so a new kind goes to the end. */
export const KINDS = [
  'analysis',
  'measurements',
  'rollback',
  'idempotency',
  'webhook',
  'alert',
  'sighting',
  'state',
  'revision',
  'notice',
  'switch',
] as const satisfies readonly RecordKind[];

/** Fails to compile when a kind is missing above. */
type Missing = Exclude<RecordKind, (typeof KINDS)[number]>;
const COMPLETE: Missing extends never ? true : Missing = true;

export interface Layout {
  /** `{prefix}:store:` */
  base: string;
  meta: string;
  journal: string;
  subjects: string;
  count(self: string): string;
  record(kind: RecordKind, id: string): string;
}

/** @param keyPrefix `{prefix}` */
export function layoutOf(keyPrefix: string): Layout {
  const base = `${keyPrefix}:store:`;
  return {
    base,
    meta: `${base}meta`,
    journal: `${base}journal`,
    subjects: `${base}subjects`,
    count: (self) => `${base}count:${self}`,
    record: (kind, id) => `${base}r:${kind}:${id}`,
  };
}

/** Whether a word is a kind of record. */
export function isKind(word: string): word is RecordKind {
  return COMPLETE && KINDS.some((kind) => kind === word);
}

const bits = new DataView(new ArrayBuffer(8));

/** @returns 16 hex digits whose bytes sort as the numbers do (the order of IEEE 754 with the sign folded in) */
export function sortable(time: number): string {
  bits.setFloat64(0, time);
  const raw = bits.getBigUint64(0);
  const folded = raw >> 63n === 1n ? ~raw & 0xffff_ffff_ffff_ffffn : raw | (1n << 63n);
  return folded.toString(16).padStart(16, '0');
}

/** Member of `subjects`. */
export function subjectMember(subject: string, number: number): string {
  return `${subject}\u0000${String(number).padStart(16, '0')}`;
}
