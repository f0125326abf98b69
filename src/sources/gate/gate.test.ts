import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
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

  describe('to a source that failed several times in a row', () => {
    beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
    afterEach(() => vi.useRealTimers());

    /** A gate that leaves its source alone since now. */
    async function resting(changes: Partial<GateOptions> = {}): Promise<Gate> {
      const gate = gateWith({ concurrency: 8, ...changes });
      for (const key of ['a', 'b', 'c']) await expect(gate.ask(key, never, () => Promise.reject(fault()))).rejects.toThrow('503');
      return gate;
    }
    const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

    it('lets nothing go for a pause, then one question that tries it while the others wait, and then everything', async () => {
      const gate = await resting();
      const questions = [question<string>(), question<string>(), question<string>()];
      const answers = questions.map(({ run }, at) => gate.ask(`q${at}`, never, run));
      await pass(999);
      expect(questions.map(({ asked }) => asked)).toEqual([0, 0, 0]);
      await pass(1);
      expect(questions.map(({ asked }) => asked)).toEqual([1, 0, 0]);
      questions[0]?.answer('back');
      await settled();
      expect(questions.map(({ asked }) => asked)).toEqual([1, 1, 1]);
      for (const { answer } of questions) answer('well');
      expect(await Promise.all(answers)).toEqual(['back', 'well', 'well']);
    });

    it('refuses those who waited for the trial when it fails', async () => {
      const gate = await resting();
      const questions = [question<string>(), question<string>()];
      const outcomes = Promise.allSettled(questions.map(({ run }, at) => gate.ask(`q${at}`, never, run)));
      await pass(1_000);
      questions[0]?.fail(fault());
      const [first, second] = await outcomes;
      expect(first).toMatchObject({ reason: { code: 'http_status' } });
      expect(second).toMatchObject({ reason: { code: 'source_unavailable', retryable: true } });
      expect(questions[1]?.asked).toBe(0);
    });

    it('refuses nobody for a trial that began before, because the source may be well since then', async () => {
      const gate = await resting();
      const trial = question<string>();
      const failing = expect(gate.ask('trial', never, trial.run)).rejects.toThrow('503');
      await pass(1_000);
      const later = question<string>();
      const answer = gate.ask('later', never, later.run);
      trial.fail(fault());
      await failing;
      await pass(1_000);
      expect(later.asked).toBe(1);
      later.answer('well');
      expect(await answer).toBe('well');
    });

    it('is held up by a trial that hangs for no longer than the pause', async () => {
      const gate = await resting();
      const hanging = gate.ask('hangs', never, question<string>().run);
      await pass(1_000);
      const next = question<string>();
      const answer = gate.ask('next', never, next.run);
      await pass(1_000);
      next.answer('well');
      expect(await answer).toBe('well');
      expect(await gate.ask('more', never, () => Promise.resolve('well, too'))).toBe('well, too');
      const timeout = expect(hanging).rejects.toMatchObject({ code: 'source_timeout' });
      await pass(10_000);
      await timeout;
      // That one began while the source was unwell; it is one fault, not a row of them.
      expect(await gate.ask('after', never, () => Promise.resolve('well'))).toBe('well');
    });

    it('lets another question try when nobody waits for the trial any more', async () => {
      const gate = await resting();
      const left = new AbortController();
      const abandoned = expect(gate.ask('left', left.signal, question<string>().run)).rejects.toThrow('cancelled');
      await pass(1_000);
      left.abort(new Error('cancelled'));
      await abandoned;
      expect(await gate.ask('again', never, () => Promise.resolve('well'))).toBe('well');
    });

    it('lets those wait that had waited for a place before it failed', async () => {
      const gate = gateWith({ concurrency: 1, breaker: { failures: 1, pauseMs: 1_000 } });
      const first = question<string>();
      const failing = expect(gate.ask('a', never, first.run)).rejects.toThrow('503');
      const behind = [question<string>(), question<string>()];
      const answers = behind.map(({ run }, at) => gate.ask(`b${at}`, never, run));
      await settled();
      first.fail(fault());
      await failing;
      expect(behind.map(({ asked }) => asked)).toEqual([0, 0]);
      await pass(1_000);
      expect(behind.map(({ asked }) => asked)).toEqual([1, 0]);
      behind[0]?.answer('well');
      await settled();
      behind[1]?.answer('well');
      expect(await Promise.all(answers)).toEqual(['well', 'well']);
    });
  });

  it('does not count refused questions as faults of the source', async () => {
    const gate = gateWith();
    const refused = () => Promise.reject(new CodedError('query_refused', 'no such function'));
    for (let at = 0; at < 10; at++) await expect(gate.ask(`q${at}`, never, refused)).rejects.toThrow('no such function');
    expect(await gate.ask('fine', never, () => Promise.resolve(1))).toBe(1);
  });
});
