import type { Analysis, AnalysisRequest } from '../analysis/record.ts';
import type { Judgement } from '../judges/judge.ts';
import type { Rollback } from '../rollback/record.ts';
import type { RollbackRequest } from '../rollback/rollbacks.ts';
import type { JudgementRequest } from './routes/judgements.ts';

const judgement: Judgement = {
  verdict: 'fail',
  code: 'above_limit',
  sentence: 'errors: 14.2 % of 812 requests of the canary failed, 0.1 % of the baseline; the limit is 5 %',
  decidedBy: 'errors',
  tick: 9,
  confounded: false,
  metrics: [
    {
      name: 'errors',
      type: 'proportion',
      role: 'normal',
      verdict: 'fail',
      code: 'above_limit',
      sentence: '14.2 % of 812 requests of the canary failed, 0.1 % of the baseline; the limit is 5 %',
      effect: { kind: 'rate-ratio', estimate: 142, low: 61.5, high: 420 },
      eValue: { value: 81_000, needed: 100 },
      traffic: { canary: { events: 115, total: 812 }, baseline: { events: 7, total: 7_230 }, ticks: 7, missing: 0 },
    },
  ],
};

const analysisRequest: AnalysisRequest = { application: 'shop', revision: '4f2c1d9a7be3' };

const analysis: Analysis = {
  id: '0f8b7a52-2f0e-4f5e-9d53-0d8c2a0e9b11',
  kind: 'release',
  application: 'shop',
  revision: '4f2c1d9a7be30c55d1e8f6a2b94d07c3e1f5a688',
  template: 'shop',
  judge: 'exact',
  arguments: { service: 'shop' },
  phase: 'Failed',
  verdict: 'fail',
  code: 'above_limit',
  sentence: judgement.sentence,
  ticks: { planned: 25, done: 10, warmup: 3, everyMs: 1_000 },
  createdAt: '2026-05-04T09:30:00.000Z',
  startedAt: '2026-05-04T09:30:01.000Z',
  endedAt: '2026-05-04T09:30:11.000Z',
  nextTickAt: null,
  judgement,
  warnings: [],
  rollback: 'rb-7d0c5f1e2a9b4c3d6e8f',
};

const rollbackRequest: RollbackRequest = {
  application: 'shop',
  revision: '4f2c1d9a7be3',
  reason: 'checkout fails for some customers',
};

const rollback: Rollback = {
  id: 'rb-7d0c5f1e2a9b4c3d6e8f',
  application: 'shop',
  repository: 'deploy',
  branch: 'main',
  badCommit: '4f2c1d9a7be30c55d1e8f6a2b94d07c3e1f5a688',
  mode: 'rollback',
  trigger: 'analysis',
  analysis: analysis.id,
  requestedBy: 'analysis',
  state: 'recovered',
  code: 'recovered',
  sentence: 'the metrics came back',
  evidence: '9b74c9897bac770ffc029102a200c5de4f0a3f1e6a1f0f6f0a4c1d2e3f405162',
  verdictSentence: judgement.sentence,
  decidedAt: '2026-05-04T09:30:11.000Z',
  plan: {
    kind: 'revert',
    head: '4f2c1d9a7be30c55d1e8f6a2b94d07c3e1f5a688',
    changed: ['apps/shop/deployment.yaml'],
    diff: '-  image: shop:2\n+  image: shop:1\n',
  },
  aborted: 'aborted',
  pushStarted: null,
  told: true,
  revertCommit: 'c01d5a7f9e2b3c4d5e6f708192a3b4c5d6e7f809',
  revertRef: 'refs/heads/main',
  approvedBy: null,
  problem: null,
  recovery: 'recovery-rb-7d0c5f1e2a9b4c3d6e8f',
  createdAt: '2026-05-04T09:30:11.000Z',
  updatedAt: '2026-05-04T09:30:19.000Z',
  history: [{ at: '2026-05-04T09:30:11.000Z', step: 'decided', sentence: judgement.sentence }],
};

const judgementRequest: JudgementRequest = {
  falseRollbacks: '1%',
  metrics: {
    errors: {
      parameters: { tolerate: '10%', limit: '5%' },
      series: {
        type: 'proportion',
        canary: { events: [2, 9, 11], total: [60, 58, 61] },
        baseline: { events: [1, 0, 1], total: [540, 538, 544] },
      },
    },
    latency: {
      parameters: { limit: { p99: '500ms' } },
      series: {
        type: 'histogram',
        bounds: [0.1, 0.5, 1],
        canary: { counts: [[50, 9, 1, 0], [47, 10, 1, 0], null] },
        baseline: {
          counts: [
            [450, 85, 5, 0],
            [446, 88, 4, 0],
            [451, 87, 6, 0],
          ],
        },
      },
    },
  },
};

/** One example for each schema that a reader of the document will look at first; checked by a test. */
export const EXAMPLES: Readonly<Record<string, object>> = {
  AnalysisRequest: analysisRequest,
  Analysis: analysis,
  Judgement: judgement,
  JudgementRequest: judgementRequest,
  RollbackRequest: rollbackRequest,
  Rollback: rollback,
};
