import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { revertMessage, type RevertMessage } from './message.ts';

const SHA = '1234567890123456789012345678901234567890';
const PARENT = '2222222222222222222222222222222222222222';

const bad = (message: string, parents = [PARENT]): RevertMessage['bad'] => ({
  sha: SHA,
  parents,
  subject: message.split('\n')[0] ?? '',
  message,
  author: { name: 'Ada', email: 'ada@example.com' },
  at: Date.UTC(2026, 4, 4, 9, 30),
});

const order = (changes: Partial<RevertMessage> = {}): RevertMessage => ({
  bad: bad('Deploy shop 2'),
  rollback: 'rb-1',
  application: 'shop',
  verdictSentence: 'Errors rose from 1 % to 6 %.',
  evidence: 'sha256:abc',
  ...changes,
});

const OURS = ['Davylamp-Rollback: rb-1', 'Davylamp-Application: shop', `Reverts: ${SHA}`, 'Davylamp-Evidence: sha256:abc'];
/** What Argo CD shows of the commit that it answers to; of its subject only that there is one line. */
const SHOWN = [
  'Argocd-reference-commit-author: Ada <ada@example.com>',
  `Argocd-reference-commit-sha: ${SHA}`,
  'Argocd-reference-commit-subject',
  'Argocd-reference-commit-date: 2026-05-04T09:30:00Z',
];

/** The trailers that git itself reads. */
function trailersOf(message: string): string[] {
  const output = execFileSync('git', ['interpret-trailers', '--parse'], { input: message, encoding: 'utf8' });
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (line.startsWith('Argocd-reference-commit-subject:') ? 'Argocd-reference-commit-subject' : line));
}

describe('the message of a revert commit', () => {
  it('says what, why and on whose evidence', () => {
    const message = 'Deploy shop 2\n\nBecause of the sale.\n\nSigned-off-by: Ada <ada@example.com>';
    expect(revertMessage(order({ bad: bad(message) }))).toBe(
      [
        'Revert "Deploy shop 2"',
        '',
        `This reverts commit ${SHA}.`,
        '',
        'Errors rose from 1 % to 6 %.',
        '',
        '> Deploy shop 2',
        '>',
        '> Because of the sale.',
        '>',
        '> Signed-off-by: Ada <ada@example.com>',
        '',
        ...OURS,
        ...SHOWN.map((line) => (line.endsWith('subject') ? `${line}: Deploy shop 2` : line)),
        '',
      ].join('\n'),
    );
  });

  it('names the parent that a merge is reversed against', () => {
    const message = revertMessage(order({ bad: bad('Merge', [PARENT, SHA]) }));
    expect(message).toContain(`This reverts commit ${SHA}, reversing\nchanges made to ${PARENT}.\n`);
  });

  it('leaves the evidence out where there is none', () => {
    expect(trailersOf(revertMessage(order({ evidence: null })))).toEqual([...OURS.slice(0, 3), ...SHOWN]);
  });

  it.each([
    'x\n\nDavylamp-Rollback: rb-2\nReverts: 0',
    'x\n\n---\nDavylamp-Rollback: rb-2',
    'Davylamp-Rollback: rb-2',
    'x\n\n\n\n\nskip-checks: true\n',
    'x\r\n\r\nDavylamp-Rollback: rb-2\r\n',
    'x\n\n Davylamp-Rollback: rb-2\n\tmore',
    'x\n\n# Davylamp-Rollback: rb-2',
    'x\n\n(cherry picked from commit 1)\nSigned-off-by: x',
    'diff --git a/x b/x',
  ])('lets git read exactly our trailers beside %j', (text) => {
    expect(trailersOf(revertMessage(order({ bad: bad(text) })))).toEqual([...OURS, ...SHOWN]);
    expect(trailersOf(revertMessage(order({ verdictSentence: text })))).toEqual([...OURS, ...SHOWN]);
    expect(trailersOf(revertMessage(order({ bad: bad(`${text}\n\n${text}`), verdictSentence: `--- ${text}` })))).toEqual([
      ...OURS,
      ...SHOWN,
    ]);
  });

  it('lets git read exactly our trailers whatever people wrote', () => {
    const piece = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom(
        '\n',
        '\n\n',
        '---',
        'Davylamp-Rollback: x',
        ': ',
        '\r',
        '\u2028',
        '> ',
        '#',
        'Reverts: x\n',
        '\n---\n',
        '- ',
      ),
    );
    const text = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''));
    fc.assert(
      fc.property(text, text, (original, sentence) => {
        const message = revertMessage(order({ bad: bad(original), verdictSentence: sentence }));
        expect(trailersOf(message)).toEqual([...OURS, ...SHOWN]);
      }),
      { numRuns: 60 },
    );
  });

  it('cannot be given a second trailer by an id or a name', () => {
    const message = revertMessage(
      order({ rollback: 'rb-1\nReverts: 0', application: 'shop\n\nReverts: 0', evidence: 'a\r\nReverts: 0' }),
    );
    expect(trailersOf(message)).toHaveLength(8);
  });

  // prettier-ignore
  it.each([
    '[skip ci]', '[ci skip]', '[no ci]', '[skip actions]', '[actions skip]', '[Skip CI]', '***NO_CI***', '[skip-ci]',
    '[ci-skip]', '[ skip ci ]', '[skip netlify]', '[skip [skip ci]ci]', 'skip-checks: true', 'Skip-Checks:true',
  ])('does not switch the CI off: %s', (marker) => {
    const message = revertMessage(
      order({ bad: bad(`Fix ${marker}\n\n${marker}\n text ${marker}`), verdictSentence: `x ${marker}` }),
    );
    expect(message).not.toMatch(/\[\s*(skip|no|ci|actions)[\s-]+(ci|actions|skip|netlify)\s*\]|\*{3}NO_CI/i);
    expect(message).not.toMatch(/^(> )?\s*skip-checks:/im);
  });

  it('does not close issues', () => {
    const message = revertMessage(order({ bad: bad('Fixes #12\n\nCloses #13, resolves other/repo#14') }));
    expect(message).not.toMatch(/#\d/);
  });

  it('closes no issue by its address, and calls nobody', () => {
    const address = 'https://git.example/team/shop';
    const text = `Fixes ${address}/issues/12\n\nCloses ${address}/-/issues/13, fixes GH-14, cc @ada, see ${address}\nSigned-off-by: A <a@x.example>`;
    const message = revertMessage(order({ bad: bad(text), verdictSentence: `resolves ${address}/pull/15 @bob` }));
    expect(message).not.toMatch(/:\/\/\S+\/\d|GH-\d|\s@\w/);
    expect(message).toContain(`see ${address}\n> Signed-off-by: A <a@x.example>`);
  });

  it('shows characters that hide or turn text', () => {
    const message = revertMessage(order({ bad: bad('a\u0007b\u202ec\u001b[31m\ud800'), verdictSentence: 'x\u0000y\u2066z' }));
    expect(message).toContain('Revert "a\\u0007b\\u202ec\\u001b[31m\\ud800"');
    expect(message).toContain('x\\u0000y\\u2066z');
    // oxlint-disable-next-line no-control-regex -- this is what must not be there
    expect(message).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    expect(revertMessage(order({ bad: bad('Grüße 👩‍🚀 日本') }))).toContain('Revert "Grüße 👩‍🚀 日本"');
  });

  it('has bounds, and cuts no character in half', () => {
    const long = `${'x'.repeat(118)}😀${'y'.repeat(5_000)}\n${'line\n'.repeat(5_000)}`;
    const message = revertMessage(order({ bad: bad(long), verdictSentence: 'z'.repeat(10_000), application: 'a'.repeat(1_000) }));
    expect(message.length).toBeLessThan(6_000);
    expect(message.split('\n')[0]).toBe(`Revert "${'x'.repeat(118)}…"`);
    expect(message).toContain('\n> …\n');
    expect(trailersOf(message)).toHaveLength(8);
  });
});
