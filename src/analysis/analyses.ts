import type { Analysis, AnalysisRequest, Measurements } from './record.ts';

/** SKELETON, bodies follow. */
export class Analyses {
  /** @throws CodedError `application_unknown` (details.nearest), `revision_unknown`, `idempotency_mismatch`, `store_unavailable`, `queue_unavailable` */
  start(
    _request: AnalysisRequest,
    _by: { name: string; idempotencyKey: string | null },
  ): Promise<{ analysis: Analysis; created: boolean }> {
    throw new Error('skeleton');
  }
  /** @throws CodedError `analysis_unknown` */
  get(_id: string): Promise<Analysis> {
    throw new Error('skeleton');
  }
  /** @throws CodedError `analysis_unknown` */
  measurements(_id: string): Promise<Measurements> {
    throw new Error('skeleton');
  }
  list(_query: {
    application?: string;
    phase?: string;
    before?: string;
    limit: number;
  }): Promise<{ items: Analysis[]; next: string | null }> {
    throw new Error('skeleton');
  }
  /** @throws CodedError `analysis_unknown`, `analysis_ended` */
  cancel(_id: string, _by: { name: string }): Promise<Analysis> {
    throw new Error('skeleton');
  }
}
