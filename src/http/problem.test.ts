import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { CodedError } from '../errors.ts';
import { STATUS_OF_CODE, answerFor } from './problem.ts';

describe('the answer to an error', () => {
  it('of every listed code is in the reference page, under its status', async () => {
    const page = await readFile(new URL('../../docs/reference/api.md', import.meta.url), 'utf8');
    for (const [code, status] of Object.entries(STATUS_OF_CODE)) {
      const row = page.split('\n').find((line) => line.startsWith(`| ${status} `));
      expect(row, `${code} ${status}`).toContain(`\`${code}\``);
    }
  });

  it('keeps the code of a coded error that is not listed: 503 when it may pass, else 500', () => {
    expect(answerFor(new CodedError('git_timeout', 'slow', { retryable: true }), 'r')).toMatchObject({
      problem: { status: 503, code: 'git_timeout', detail: 'slow' },
      headers: { 'retry-after': '5' },
    });
    expect(answerFor(new CodedError('git_missing', 'install git'), 'r').problem).toMatchObject({
      status: 500,
      code: 'git_missing',
    });
  });

  it('shows neither details nor causes, but for the nearest name and the places', () => {
    const error = new CodedError('application_unknown', 'none', {
      details: { nearest: 'shop', inner: 'x' },
      cause: new Error('y'),
    });
    expect(Object.keys(answerFor(error, 'r').problem).sort()).toEqual([
      'code',
      'detail',
      'nearest',
      'request',
      'status',
      'title',
      'type',
    ]);
    const odd = new CodedError('application_unknown', 'none', { details: { nearest: null, errors: 'x' } });
    expect(Object.keys(answerFor(odd, 'r').problem).sort()).toEqual(['code', 'detail', 'request', 'status', 'title', 'type']);
  });

  it.each([new Error('x'), 'a text', undefined, { code: 'FST_ERR_BAD_URL' }, Object.assign(new Error('x'), { statusCode: 418 })])(
    'of %s, which nobody foresaw, is internal',
    (error) => {
      expect(answerFor(error, 'r').problem).toMatchObject({ status: 500, code: 'internal' });
    },
  );
});
