import type { Analysis, AnalysisRequest } from '../analysis/record.ts';
import type { Judgement } from '../judges/judge.ts';
import type { LedgerEntry, LedgerMark } from '../ledger/record.ts';
import type { Rollback } from '../rollback/record.ts';
import type { Report } from '../rollback/report.ts';
import type { RollbackRequest } from '../rollback/asking.ts';
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
  good: null,
  plan: {
    kind: 'revert',
    hash: '1f0a7c5d9e2b4a6c8d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e',
    head: '4f2c1d9a7be30c55d1e8f6a2b94d07c3e1f5a688',
    good: null,
    undoes: ['4f2c1d9a7be30c55d1e8f6a2b94d07c3e1f5a688'],
    changed: ['apps/shop/deployment.yaml'],
    kept: [],
    joint: [],
    prunes: [],
    automation: [],
    diff: '-  image: shop:2\n+  image: shop:1\n',
  },
  aborted: 'aborted',
  pushStarted: null,
  told: true,
  revertCommit: 'c01d5a7f9e2b3c4d5e6f708192a3b4c5d6e7f809',
  revertRef: 'refs/heads/main',
  approvals: [],
  proposal: null,
  problem: null,
  returnedAt: null,
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

const ledgerEntry: LedgerEntry = {
  application: 'shop',
  revision: '9d3e1c7a5b204f6688d1e2f3a4b5c6d7e8f90a1b',
  standing: 'good',
  rank: 'proved',
  since: '2026-05-02T14:05:31.000Z',
  by: 'analysis',
  reason: 'its analysis passed',
  reference: '5a1c9e77-64f3-4c52-a0f4-7b1d2e3c4f50',
  content: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  firstLiveAt: '2026-05-02T13:35:00.000Z',
  updatedAt: '2026-05-02T14:05:31.000Z',
};

const ledgerMark: LedgerMark = { standing: 'bad', reason: 'it lost orders, see incident 1432' };

/** One example for each schema that a reader of the document will look at first; checked by a test. */
const report: Report = {
  application: 'shop',
  since: '2026-04-04T09:30:00.000Z',
  until: '2026-05-04T09:30:00.000Z',
  agreed: 1,
  onlyDavylamp: 0,
  onlyPeople: 0,
  lines: [
    {
      badCommit: '4f2c1d9a7be30c55d1e8f6a2b94d07c3e1f5a688',
      subject: 'Deploy shop 2',
      davylamp: 'would_roll_back',
      code: 'shadow',
      at: '2026-05-03T09:30:11.000Z',
      rollback: 'rb-7d0c5f1e2a9b4c3d6e8f',
      people: 'reverted',
      commit: 'c01d5a7f9e2b3c4d5e6f708192a3b4c5d6e7f809',
      peopleAt: '2026-05-03T09:52:40.000Z',
      secondsEarlier: 1349,
    },
  ],
  cut: false,
};

export const EXAMPLES: Readonly<Record<string, object>> = {
  AnalysisRequest: analysisRequest,
  Analysis: analysis,
  Judgement: judgement,
  JudgementRequest: judgementRequest,
  RollbackRequest: rollbackRequest,
  Rollback: rollback,
  Report: report,
  LedgerEntry: ledgerEntry,
  LedgerMark: ledgerMark,
};
