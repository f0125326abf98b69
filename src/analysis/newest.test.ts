import { expect, it } from 'vitest';
import { NewestOnly } from './newest.ts';

/** Acts that end when they are told to. */
function acts() {
  const begun: string[] = [];
  const ends: ((error?: Error) => void)[] = [];
  const newest = new NewestOnly<number>(
    (key, value) =>
      new Promise((resolve, reject) => {
        begun.push(`${key}${value}`);
        ends.push((error) => (error === undefined ? resolve() : reject(error)));
      }),
  );
  return { begun, newest, end: (error?: Error) => ends.shift()?.(error) };
}

it('does one at a time, and of those that wait only the newest', async () => {
  const { begun, newest, end } = acts();
  const first = newest.take('a', 1);
  const waiting = [2, 3, 4].map((value) => newest.take('a', value));
  expect(begun).toEqual(['a1']);
  end();
  await first;
  await expect.poll(() => begun).toEqual(['a1', 'a4']);
  end();
  await Promise.all(waiting);
  expect(begun).toEqual(['a1', 'a4']);
});

it('lets the keys go beside each other', () => {
  const { begun, newest } = acts();
  void newest.take('a', 1);
  void newest.take('b', 1);
  expect(begun).toEqual(['a1', 'b1']);
});

it('tells a failure to who asked for it and goes on', async () => {
  const { begun, newest, end } = acts();
  const first = newest.take('a', 1);
  const second = newest.take('a', 2);
  end(new Error('the disk is full'));
  await expect(first).rejects.toThrow('the disk is full');
  await expect.poll(() => begun).toEqual(['a1', 'a2']);
  end();
  await second;
  const third = newest.take('a', 3);
  expect(begun).toEqual(['a1', 'a2', 'a3']);
  end();
  await third;
});
