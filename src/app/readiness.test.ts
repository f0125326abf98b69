import { describe, expect, it } from 'vitest';
import { readinessOf } from './readiness.ts';

const fine = { ok: true, code: 'ok', sentence: 'answers' };

/** As GET /readyz takes it: a check that failed counts unless it is an advice. */
async function checks(changes: { store?: typeof fine; reconciled?: typeof fine }) {
  const all = await readinessOf({
    store: { condition: () => Promise.resolve(changes.store ?? fine) },
    queue: { condition: () => Promise.resolve(fine) },
    reconciled: changes.reconciled ?? fine,
    journalCopy: null,
    draining: false,
    configuration: { ok: true, code: 'started', sentence: 'runs' },
  });
  const shown = (ok: boolean, advisory: boolean | undefined) => (ok ? '[+]' : advisory === true ? '[!]' : '[-]');
  return Object.fromEntries(all.map(({ name, ok, advisory, sentence }) => [name, `${shown(ok, advisory)} ${sentence}`]));
}

describe('readiness', () => {
  it('has nothing to say of parts that are in order', async () => {
    expect(Object.values(await checks({})).filter((line) => !line.startsWith('[+]'))).toEqual([]);
  });

  it('warns of a store that forgets by consent, and is ready', async () => {
    const store = { ok: true, code: 'not_durable', sentence: 'no append-only file' };
    expect(await checks({ store })).toMatchObject({ store: '[!] no append-only file (not_durable)' });
  });

  it('is not there while the store was emptied', async () => {
    const store = { ok: false, code: 'state_lost', sentence: 'it was emptied' };
    expect(await checks({ store })).toMatchObject({ store: '[-] it was emptied (state_lost)' });
  });

  it('warns while automatic rollbacks wait for Git, and is ready', async () => {
    const reconciled = { ok: false, code: 'state_lost', sentence: 'rollbacks wait' };
    expect(await checks({ reconciled })).toMatchObject({ reconciled: '[!] rollbacks wait (state_lost)' });
  });
});
