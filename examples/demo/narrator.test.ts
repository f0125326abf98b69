import { describe, expect, it } from 'vitest';
import { Narrator, wrapped } from './narrator.ts';

function written(isTTY: boolean): { text: () => string; at: (ms: number) => void; narrator: Narrator } {
  let now = 0;
  let text = '';
  const out = {
    isTTY,
    columns: 60,
    write: (chunk: string | Uint8Array) => {
      text += String(chunk);
      return true;
    },
  };
  return { text: () => text, at: (ms) => (now = ms), narrator: new Narrator(out, () => now, false) };
}

describe('the narrator', () => {
  it('puts the time since the start before each step', () => {
    const { text, at, narrator } = written(false);
    at(3_240);
    narrator.step('A thing happened.');
    expect(text()).toBe('  3.2 s  A thing happened.\n');
  });

  it('says in a log how it stands every five seconds at most', () => {
    const { text, at, narrator } = written(false);
    for (let ms = 0; ms <= 11_000; ms += 100) {
      at(ms);
      narrator.progress('waiting');
    }
    expect(text().match(/waiting/g)).toHaveLength(2);
    expect(text()).not.toContain('\u001b');
  });

  it('overwrites one line on a terminal, never wider than it, and clears it before the next step', () => {
    const { text, narrator } = written(true);
    narrator.progress('x'.repeat(200));
    expect(text().replace('\r\u001b[2K', '')).toHaveLength(59);
    narrator.step('Done.');
    expect(text().endsWith('\r\u001b[2K  0.0 s  Done.\n')).toBe(true);
  });

  it('breaks long sentences at spaces and leaves long words whole', () => {
    expect(wrapped('one two three', 7)).toEqual(['one two', 'three']);
    expect(wrapped('a 0123456789 b', 5)).toEqual(['a', '0123456789', 'b']);
  });
});
