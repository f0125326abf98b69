import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EXAMPLES } from '../http/examples.ts';
import type { MetricJudgement } from '../judges/judge.ts';
import type { Rollback } from '../rollback/record.ts';
import { proposalBody, proposalTitle, type ProposalFacts } from './body.ts';
import { codeSpan, escapedLine, plainLine } from './text.ts';

const SHA = 'b'.repeat(40);
const metric: MetricJudgement = {
  name: 'errors',
  type: 'proportion',
  role: 'critical',
  verdict: 'fail',
  code: 'worse_than_baseline',
  sentence: 'not shown',
  effect: { kind: 'odds-ratio', estimate: 12.3456, low: 4.2, high: null },
  eValue: { value: 1234567.8, needed: 100 },
  traffic: { canary: { events: 120, total: 1_000 }, baseline: { events: 10, total: 9_000 }, ticks: 3, missing: 0 },
};

function facts(change: Partial<Rollback> = {}, more: Partial<ProposalFacts> = {}): ProposalFacts {
  const plan: Rollback['plan'] = {
    kind: 'revert',
    hash: 'c'.repeat(64),
    head: 'a'.repeat(40),
    good: null,
    undoes: [SHA],
    changed: ['apps/shop/values.yaml'],
    kept: [],
    joint: [],
    prunes: [],
    automation: [],
    diff: '',
  };
  const rollback: Rollback = {
    ...(EXAMPLES['Rollback'] as Rollback),
    id: 'rb-1',
    application: 'shop',
    branch: 'main',
    verdictSentence: 'errors: 12 % against 1 % of the baseline',
    evidence: 'e'.repeat(64),
    approvals: [],
    history: [],
    plan,
    ...change,
  };
  return { rollback, bad: { sha: SHA, subject: 'Raise the limit' }, metrics: [metric], url: null, ...more };
}

/** What a careless forge would act on. */
const ACTS = /@\w|#\w|!\w+\d|\bGH-\d|<[a-z!/]|\[skip|:\/\//i;

describe('the text of a pull request', () => {
  it('says why, on what evidence, what is taken back and how to refuse', () => {
    expect(proposalTitle(facts())).toBe('Revert "Raise the limit"');
    const body = proposalBody(facts({}, { url: 'https://lamp.example/rollbacks/rb-1' }));
    expect(body).toContain(`take commit \`${SHA}\` out of \`main\``);
    expect(body).toContain('> errors: 12 \\% against 1'.replace('\\%', '%'));
    expect(body).toContain(`\`${'e'.repeat(64)}\``);
    expect(body).toContain('<https://lamp.example/rollbacks/rb-1>');
    expect(body).toContain('| `errors` | fail | `worse_than_baseline` | 12.35 (4.2 to –) | 1.23e+6 of 100 | 1000 / 9000 |');
    expect(body).toContain(`- \`${SHA}\` \`Raise the limit\``);
    expect(body).toContain('- `apps/shop/values.yaml`');
    expect(body).toMatch(/Close\*\* it without a merge to refuse/);
    expect(body).not.toContain('not shown');
  });

  it('lists everything that a restore takes back, keeps and deletes', () => {
    const { plan } = facts().rollback;
    if (plan === null) throw new Error('no plan');
    const undone = [
      { sha: SHA, subject: 'Raise the limit' },
      { sha: 'd'.repeat(40), subject: 'Add a volume' },
    ];
    const body = proposalBody(
      facts(
        { plan: { ...plan, kind: 'restore', kept: ['sealed.yaml'], prunes: ['PersistentVolumeClaim shop/data'] } },
        { undone },
      ),
    );
    expect(body).toContain('as they were at the last good revision');
    expect(body).toContain('`Add a volume`');
    expect(body).toMatch(/neverRestore\):\n\n- `sealed.yaml`/);
    expect(body).toMatch(/deleted:\n\n- `PersistentVolumeClaim shop\/data`/);
  });

  const HOSTILE = [
    '@everyone look, Fixes #12 and closes acme/shop#3',
    '<img src=x onerror=alert(1)> <!-- hidden --> </details>',
    '](https://evil.example) [click](javascript:alert(1)) ![x](http://evil.example/x.png)',
    '`` ` ``` @x | a | b |\n| --- |\n/merge\n/close',
    '[skip ci] [ci skip] ***NO_CI*** skip-checks: true',
    'GH-12 !34 %"mile stone" ~bug $5 &6 ^7',
    '\u202etxt.exe\u202c \u0000 \u2028',
    '*bold* _it_ ~~no~~ **x**',
  ];

  it.each(HOSTILE)('lets foreign words act on nothing: %j', (words) => {
    const hostile = facts(
      {
        application: 'shop',
        verdictSentence: words,
        history: [{ at: '2026-01-01T00:00:00Z', step: words, sentence: words }],
        approvals: [{ by: words, at: '2026-01-01T00:00:00Z', plan: 'p', expiresAt: '2026-01-01T00:00:00Z' }],
      },
      { bad: { sha: SHA, subject: words }, metrics: [{ ...metric, name: words, code: words }] },
    );
    const before = proposalBody(facts());
    const body = proposalBody(hostile);
    expect(proposalTitle(hostile)).not.toMatch(/@\w|#\w|\n|\[skip/);
    // The lines that begin something for a forge are ours alone: quick actions of GitLab begin a line.
    const starts = (text: string) => [...new Set(text.split('\n').map((line) => /^(?:[-|>#]+ ?|\w|$)/.exec(line)?.[0] ?? line))];
    for (const start of starts(body)) expect([...starts(before), '- ', '> ']).toContain(start);
    expect(body.replaceAll('### ', '')).not.toMatch(ACTS);
    expect(body).not.toMatch(/[\u202a-\u202e\u2028]|\p{Cc}(?<!\n)/u);
    // Every row of the table has as many cells as its head.
    const rows = body.split('\n').filter((line) => line.startsWith('|'));
    expect(new Set(rows.map((row) => row.split('|').length)).size).toBe(1);
  });

  it('keeps any words on one line, within their limit, and without what acts', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...HOSTILE)),
        fc.integer({ min: 5, max: 200 }),
        (text, limit) => {
          for (const line of [plainLine(text, limit), codeSpan(text, limit), escapedLine(text, limit)])
            expect(line).not.toMatch(/[\r\n]|@\w/);
          expect(plainLine(text, limit).length).toBeLessThanOrEqual(limit);
          const span = codeSpan(text, limit);
          const fence = /^`+/.exec(span)?.[0] ?? '';
          // The fence is longer than any run of backticks inside.
          expect(span.slice(fence.length, -fence.length).match(/`+/g) ?? []).not.toContain(fence);
        },
      ),
    );
  });

  it('stays below what forges take, however much there is', () => {
    const many = Array.from({ length: 500 }, (_, at) => ({ ...metric, name: `${at}${'`'.repeat(99)}` }));
    const undone = Array.from({ length: 100 }, () => ({ sha: SHA, subject: 'x'.repeat(10_000) }));
    expect(proposalBody(facts({ verdictSentence: 'y'.repeat(50_000) }, { metrics: many, undone })).length).toBeLessThan(60_001);
  });
});
