import { afterEach, describe, expect, it } from 'vitest';
import { CodedError } from '../../errors.ts';
import { createGate, type Gate, type GateOptions } from './gate.ts';

const never = new AbortController().signal;
const gates: Gate[] = [];
afterEach(() => {
  for (const gate of gates.splice(0)) gate.close();
});

function gateWith(changes: Partial<GateOptions> = {}): Gate {
  const gate = createGate({
    name: 'prom',
    concurrency: 2,
    timeoutMs: 10_000,
    shareForMs: 1_000,
    clock: { now: () => 0 },
    breaker: { failures: 3, pauseMs: 1_000 },
    ...changes,
  });
  gates.push(gate);
  return gate;
}

/** A question that is answered when the test says so. */
function question<T>() {
  let answer: (value: T) => void = () => undefined;
  let fail: (error: Error) => void = () => undefined;
  let asked = 0;
  const signals: AbortSignal[] = [];
  return {
    run: (signal: AbortSignal) => {
      asked++;
      signals.push(signal);
      return new Promise<T>((resolve, reject) => {
        answer = resolve;
        fail = reject;
      });
    },
    answer: (value: T) => answer(value),
    fail: (error: Error) => fail(error),
    signals,
    get asked() {
      return asked;
    },
  };
}

const fault = () => new CodedError('http_status', 'answered 503', { retryable: true });
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('the gate of a source', () => {
  it('asks 10 questions for 1,000 analyses that share 10 queries, whether they come together or one after the other', async () => {
    const gate = gateWith({ concurrency: 4 });
    let asked = 0;
    const tick = async () => {
      const queries = Array.from({ length: 10 }, (_, query) =>
        gate.ask(`window 1 query ${query}`, never, async () => {
          asked++;
          await settled();
          return query;
        }),
      );
      return Promise.all(queries);
    };
    const together = await Promise.all(Array.from({ length: 500 }, tick));
    for (let analysis = 0; analysis < 500; analysis++) together.push(await tick());
    expect(asked).toBe(10);
    for (const answers of together) expect(answers).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('asks again when an answer is too old, and never keeps a failure', async () => {
    let now = 0;
    const gate = gateWith({ clock: { now: () => now } });
    let asked = 0;
    const ask = () => gate.ask('q', never, () => Promise.resolve(++asked));
    expect([await ask(), await ask()]).toEqual([1, 1]);
    now = 1_000;
    expect(await ask()).toBe(2);
    await expect(gate.ask('other', never, () => Promise.reject(fault()))).rejects.toThrow('503');
    expect(await gate.ask('other', never, () => Promise.resolve('well'))).toBe('well');
  });

  it('keeps no more than its bound of bytes', async () => {
    const gate = gateWith();
    let asked = 0;
    const ask = (key: string) =>
      gate.ask(
        key,
        never,
        () => Promise.resolve(++asked),
        () => 40_000_000,
      );
    await ask('a');
    await ask('b');
    await ask('b');
    expect(asked).toBe(2);
    await ask('a');
    expect(asked).toBe(3);
  });

  it('goes on for the others when one caller leaves, and stops when the last one does', async () => {
    const gate = gateWith();
    const asked = question<number>();
    const [one, other] = [new AbortController(), new AbortController()];
    const leaving = gate.ask('q', one.signal, asked.run);
    const staying = gate.ask('q', other.signal, asked.run);
    await settled();
    one.abort(new Error('cancelled'));
    await expect(leaving).rejects.toThrow('cancelled');
    expect(asked.signals[0]?.aborted).toBe(false);
    asked.answer(7);
    expect(await staying).toBe(7);
    const second = question<number>();
    const last = gate.ask('r', other.signal, second.run);
    await settled();
    other.abort(new Error('cancelled, too'));
    await expect(last).rejects.toThrow('cancelled, too');
    expect(second.signals[0]?.aborted).toBe(true);
  });

  it('asks no more at the same time than it may, and gives the place of one that ended to the next', async () => {
    const gate = gateWith({ concurrency: 2 });
    const questions = [question<string>(), question<string>(), question<string>()];
    const answers = questions.map(({ run }, at) => gate.ask(`q${at}`, never, run));
    await settled();
    expect(questions.map(({ asked }) => asked)).toEqual([1, 1, 0]);
    questions[0]?.answer('first');
    await settled();
    expect(questions[2]?.asked).toBe(1);
    questions[1]?.answer('second');
    questions[2]?.answer('third');
    expect(await Promise.all(answers)).toEqual(['first', 'second', 'third']);
  });

  it('ends a question that hangs, and one that waits for a place behind it, with a time-out', async () => {
    const gate = gateWith({ concurrency: 1, timeoutMs: 30 });
    const hanging = question<string>();
    const waiting = question<string>();
    const outcomes = await Promise.allSettled([gate.ask('a', never, hanging.run), gate.ask('b', never, waiting.run)]);
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'source_timeout', retryable: true } });
    }
    expect(hanging.signals[0]?.aborted).toBe(true);
    expect(await gate.ask('c', never, () => Promise.resolve('well'))).toBe('well');
  });

  it('leaves a source alone that failed several times in a row, also those that wait already', async () => {
    const gate = gateWith({ concurrency: 1 });
    for (const key of ['a', 'b']) await expect(gate.ask(key, never, () => Promise.reject(fault()))).rejects.toThrow();
    const third = question<string>();
    const failing = gate.ask('c', never, third.run);
    const waiting = question<string>();
    const behind = gate.ask('d', never, waiting.run);
    await settled();
    third.fail(fault());
    await expect(failing).rejects.toMatchObject({ code: 'http_status' });
    await expect(behind).rejects.toMatchObject({ code: 'source_unavailable', retryable: true });
    expect(waiting.asked).toBe(0);
    await expect(gate.ask('e', never, () => Promise.resolve('never asked'))).rejects.toMatchObject({
      code: 'source_unavailable',
    });
  });

  it('tries one question after the pause while the others wait for its outcome, and then is at full speed', async () => {
    let now = 0;
    const gate = gateWith({ concurrency: 8, clock: { now: () => now } });
    for (const key of ['a', 'b', 'c']) await expect(gate.ask(key, never, () => Promise.reject(fault()))).rejects.toThrow();
    now = 1_000;
    const trial = question<string>();
    const others = [question<string>(), question<string>()];
    const answers = [trial, ...others].map(({ run }, at) => gate.ask(`q${at}`, never, run));
    await settled();
    expect([trial.asked, ...others.map(({ asked }) => asked)]).toEqual([1, 0, 0]);
    trial.answer('back');
    await settled();
    expect(others.map(({ asked }) => asked)).toEqual([1, 1]);
    for (const other of others) other.answer('well');
    expect(await Promise.all(answers)).toEqual(['back', 'well', 'well']);
  });

  it('rests again when the question after the pause fails, and lets another try when nobody waited for it', async () => {
    let now = 0;
    const gate = gateWith({ clock: { now: () => now } });
    for (const key of ['a', 'b', 'c']) await expect(gate.ask(key, never, () => Promise.reject(fault()))).rejects.toThrow();
    now = 1_000;
    const left = new AbortController();
    const abandoned = gate.ask('left', left.signal, question<string>().run);
    await settled();
    left.abort(new Error('cancelled'));
    await expect(abandoned).rejects.toThrow('cancelled');
    await expect(gate.ask('again', never, () => Promise.reject(fault()))).rejects.toMatchObject({ code: 'http_status' });
    await expect(gate.ask('rest', never, () => Promise.resolve(1))).rejects.toMatchObject({ code: 'source_unavailable' });
    now = 2_000;
    expect(await gate.ask('well', never, () => Promise.resolve(1))).toBe(1);
  });

  it('does not count refused questions as faults of the source', async () => {
    const gate = gateWith();
    const refused = () => Promise.reject(new CodedError('query_refused', 'no such function'));
    for (let at = 0; at < 10; at++) await expect(gate.ask(`q${at}`, never, refused)).rejects.toThrow('no such function');
    expect(await gate.ask('fine', never, () => Promise.resolve(1))).toBe(1);
  });
});
