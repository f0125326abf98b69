import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { canonicalJson, firstBreak, link } from './chain.ts';
import type { ChainedEntry, JournalEntry } from './port.ts';

function chainOf(length: number): ChainedEntry[] {
  const entries: ChainedEntry[] = [];
  for (let n = 1; n <= length; n += 1) {
    const entry: JournalEntry = {
      at: n,
      event: 'rollback.held',
      application: 'shop',
      subject: `r${n}`,
      code: 'guard',
      sentence: 'Held.',
      details: { n },
    };
    entries.push(link(entry, entries.at(-1) ?? null));
  }
  return entries;
}

describe('canonical JSON', () => {
  it('is the same for objects whose keys come in another order', () => {
    expect(canonicalJson({ b: [1, { d: null, c: 'ä' }], a: true })).toBe('{"a":true,"b":[1,{"c":"ä","d":null}]}');
    expect(canonicalJson({ a: true, b: [1, { c: 'ä', d: null }] })).toBe('{"a":true,"b":[1,{"c":"ä","d":null}]}');
  });

  // The example of RFC 8785, section 3.2.3.
  it('sorts keys by their UTF-16 code units', () => {
    const value = {
      '\u20ac': 'Euro Sign',
      '\r': 'Carriage Return',
      '\ufb33': 'Hebrew Letter Dalet With Dagesh',
      '1': 'One',
      '\ud83d\ude00': 'Emoji: Grinning Face',
      '\u0080': 'Control',
      '\u00f6': 'Latin Small Letter O With Diaeresis',
    };
    expect(canonicalJson(value).match(/Carriage|One|Control|Latin|Euro|Emoji|Hebrew/g)).toEqual([
      'Carriage',
      'One',
      'Control',
      'Latin',
      'Euro',
      'Emoji',
      'Hebrew',
    ]);
  });

  it('leaves out what JSON does not store', () => {
    expect(canonicalJson({ a: undefined, b: Number.NaN, c: new Date(0) })).toBe('{"b":null,"c":"1970-01-01T00:00:00.000Z"}');
    expect(canonicalJson(undefined)).toBe('null');
  });
});

describe('the chain', () => {
  it('hashes number, previous and entry, so that anybody can compute it anew', () => {
    const [first] = chainOf(1);
    const text =
      '{"entry":{"application":"shop","at":1,"code":"guard","details":{"n":1},"event":"rollback.held","sentence":"Held.","subject":"r1"},' +
      `"number":1,"previous":"${'0'.repeat(64)}"}`;
    expect(first?.hash).toBe(createHash('sha256').update(text).digest('hex'));
  });

  it('has no break when nothing was touched, read whole or in pages', () => {
    const chain = chainOf(10);
    expect(firstBreak(chain, null)).toBeNull();
    expect(firstBreak(chain.slice(0, 4), null)).toBeNull();
    expect(firstBreak(chain.slice(4), chain[3] ?? null)).toBeNull();
    expect(firstBreak([], null)).toBeNull();
  });

  it.each(['at', 'event', 'application', 'subject', 'code', 'sentence', 'details'] as const)(
    'shows an entry whose %s was changed',
    (field) => {
      const changed = {
        at: 0,
        event: 'x',
        application: 'x',
        subject: 'x',
        code: 'x',
        sentence: 'x',
        details: { n: 5, extra: 1 },
      };
      const chain = chainOf(10).map((entry) => (entry.number === 5 ? { ...entry, [field]: changed[field] } : entry));
      expect(firstBreak(chain, null)).toEqual({ number: 5, fault: 'hash' });
    },
  );

  it('shows an entry that was changed and hashed anew, at the one after it', () => {
    const chain = chainOf(10);
    const [fourth, fifth] = chain.slice(3, 5) as [ChainedEntry, ChainedEntry];
    const forged = link({ ...fifth, sentence: 'Nothing happened.' }, fourth);
    expect(firstBreak([...chain.slice(0, 4), forged, ...chain.slice(5)], null)).toEqual({ number: 6, fault: 'previous' });
  });

  it('shows entries that were taken out, doubled, swapped or put in front', () => {
    const chain = chainOf(5);
    const [first, second, third, fourth, fifth] = chain as [ChainedEntry, ChainedEntry, ChainedEntry, ChainedEntry, ChainedEntry];
    expect(firstBreak([first, third, fourth, fifth], null)).toEqual({ number: 3, fault: 'number' });
    expect(firstBreak([second, third], null)).toEqual({ number: 2, fault: 'number' });
    expect(firstBreak([first, second, second], null)).toEqual({ number: 2, fault: 'number' });
    expect(firstBreak([first, third, second], null)).toEqual({ number: 3, fault: 'number' });
    expect(firstBreak([first, { ...third, number: 2 }], null)).toEqual({ number: 2, fault: 'previous' });
  });
});
