import { Type, type Static } from 'typebox';
import { ApplicationName, Revision } from '../analysis/record.ts';
import type { ChainedEntry } from '../store/port.ts';
import type { Rollback } from './record.ts';

/** A person asks for a rollback; the same guards hold as for an automatic one, but for the verdict. */
export const RollbackRequest = Type.Object(
  {
    application: ApplicationName,
    revision: Revision,
    reason: Type.String({ minLength: 3, maxLength: 1_000, description: 'Stands in the journal and in the revert commit.' }),
  },
  { additionalProperties: false, $id: 'RollbackRequest' },
);
export type RollbackRequest = Static<typeof RollbackRequest>;

/** SKELETON, bodies follow. */
export class Rollbacks {
  /** @throws CodedError `application_unknown`, `commit_unknown`, `commit_not_on_branch`, `commit_outside_application`, ... */
  request(_request: RollbackRequest, _by: { name: string }): Promise<{ rollback: Rollback; created: boolean }> {
    throw new Error('skeleton');
  }
  /** @throws CodedError `rollback_unknown` */
  get(_id: string): Promise<Rollback> {
    throw new Error('skeleton');
  }
  journal(_id: string): Promise<ChainedEntry[]> {
    throw new Error('skeleton');
  }
  list(_query: {
    application?: string;
    state?: string;
    before?: string;
    limit: number;
  }): Promise<{ items: Rollback[]; next: string | null }> {
    throw new Error('skeleton');
  }
  /** Releases a held rollback. @throws CodedError `rollback_unknown`, `rollback_not_held` */
  approve(_id: string, _by: { name: string }): Promise<Rollback> {
    throw new Error('skeleton');
  }
  /** @throws CodedError `rollback_unknown`, `rollback_final` (already pushed or ended) */
  refuse(_id: string, _by: { name: string; reason: string }): Promise<Rollback> {
    throw new Error('skeleton');
  }
}
