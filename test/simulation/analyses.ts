import type { Analysis } from '../../src/analysis/record.ts';

/** A release that was judged, and failed. */
export function analysisOf(application: string, revision: string, endedAt: number): Analysis {
  const at = new Date(endedAt).toISOString();
  return {
    id: `an-${application}-${revision.slice(0, 10)}`,
    kind: 'release',
    application,
    revision,
    template: 'http-service',
    judge: 'sequential',
    arguments: {},
    phase: 'Failed',
    verdict: 'fail',
    code: 'worse_than_baseline',
    sentence: 'errors rose to 9 % against 1 % of the baseline',
    ticks: { planned: 10, done: 4, warmup: 1, everyMs: 1_000 },
    createdAt: at,
    startedAt: at,
    endedAt: at,
    nextTickAt: null,
    judgement: {
      verdict: 'fail',
      code: 'worse_than_baseline',
      sentence: 'errors rose to 9 % against 1 % of the baseline',
      decidedBy: 'errors',
      tick: 3,
      confounded: false,
      metrics: [],
    },
    warnings: [],
    rollback: null,
  };
}
