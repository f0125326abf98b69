import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Delivery, DeliveryState } from '../../src/delivery/port.ts';
import { CodedError } from '../../src/errors.ts';

export type DeliveryFault = 'refuse' | 'hang' | 'drop' | '500' | '503' | '403' | '404' | 'not understood' | 'huge';

/** What the far side did, not what it was asked. */
export interface Deeds {
  aborted: string[];
  /** Values by revision. */
  annotations: Record<string, Record<string, string>>;
  synced: string[];
}

/** A delivery under test with a far side that does what the suite says. */
export interface DeliveryHarness {
  delivery: Delivery;
  /** A time-out that the delivery was configured with; short, the suite waits for it. */
  timeoutMs: number;
  secrets: readonly string[];
  run(state: DeliveryState): Promise<void>;
  deeds(): Promise<Deeds>;
  /** Every call ends in this fault until the next `run`. Null: this delivery has no far side. */
  fail: ((fault: DeliveryFault) => Promise<void>) | null;
  /** Resolves when the far side has got a call after the last `run` or `fail`. */
  called(): Promise<void>;
  close(): Promise<void>;
}

const BAD = 'b'.repeat(40);
const GOOD = 'a'.repeat(40);
const OTHER = 'c'.repeat(40);
const never = new AbortController().signal;

const RETRYABLE: Readonly<Record<DeliveryFault, boolean>> = {
  refuse: true,
  hang: true,
  drop: true,
  '500': true,
  '503': true,
  '403': false,
  '404': false,
  'not understood': false,
  huge: false,
};

/** What every delivery must do, whatever runs the workload. What it cannot do must be a step that does nothing. */
export function describeDelivery(name: string, start: () => Promise<DeliveryHarness>): void {
  describe(`delivery ${name}`, () => {
    let far: DeliveryHarness;
    let delivery: Delivery;
    beforeEach(async () => {
      far = await start();
      delivery = far.delivery;
    });
    afterEach(() => far.close());

    const releasing: DeliveryState = { canary: BAD, stable: GOOD, synced: BAD, phase: 'progressing' };
    const order = { revision: BAD, rollback: 'r-1', reason: 'errors: 12 % against 1 %' };
    const nothing: Deeds = { aborted: [], annotations: {}, synced: [] };

    it('observes what runs', async () => {
      await far.run(releasing);
      const unknown: DeliveryState = { canary: null, stable: null, synced: null, phase: 'unknown' };
      expect(await delivery.observe(never)).toEqual(delivery.can.observe ? releasing : unknown);
      const idle: DeliveryState = { canary: null, stable: GOOD, synced: null, phase: 'healthy' };
      await far.run(idle);
      expect(await delivery.observe(never)).toEqual(delivery.can.observe ? idle : unknown);
      expect(await far.deeds()).toEqual(nothing);
    });

    it('aborts the revision while it is the canary, and only once', async () => {
      await far.run(releasing);
      const answers = [
        await delivery.abort(order, never),
        await delivery.abort(order, never),
        await delivery.abort(order, never),
      ];
      expect(answers).toEqual(
        delivery.can.abort ? ['aborted', 'already', 'already'] : ['not_running', 'not_running', 'not_running'],
      );
      expect((await far.deeds()).aborted).toEqual(delivery.can.abort ? [BAD] : []);
    });

    it.each<[string, DeliveryState]>([
      ['another revision is the canary', { ...releasing, canary: OTHER }],
      ['the revision has been promoted', { canary: null, stable: BAD, synced: BAD, phase: 'healthy' }],
      ['nothing is known', { canary: null, stable: null, synced: null, phase: 'unknown' }],
    ])('aborts nothing when %s', async (_when, state) => {
      await far.run(state);
      expect(await delivery.abort(order, never)).toBe('not_running');
      expect(await far.deeds()).toEqual(nothing);
    });

    it('annotates as often as it is asked, with the same result', async () => {
      await far.run(releasing);
      const note = { revision: BAD, rollback: 'r-1', values: { verdict: 'fail', 'revert-commit': GOOD } };
      await delivery.annotate(note, never);
      await delivery.annotate(note, never);
      expect((await far.deeds()).annotations).toEqual(delivery.can.annotate ? { [BAD]: note.values } : {});
    });

    it('asks for a sync as often as it is asked, with the same result', async () => {
      await far.run(releasing);
      await delivery.sync({ commit: GOOD, rollback: 'r-1' }, never);
      await delivery.sync({ commit: GOOD, rollback: 'r-1' }, never);
      expect([...new Set((await far.deeds()).synced)]).toEqual(delivery.can.sync ? [GOOD] : []);
    });

    it.each(Object.keys(RETRYABLE) as DeliveryFault[])(
      'says by code and sentence what went wrong, and whether to try again: %s',
      async (fault) => {
        if (far.fail === null) return;
        await far.run(releasing);
        await far.fail(fault);
        const { can } = delivery;
        const steps: (() => Promise<unknown>)[] = [() => delivery.observe(never)];
        if (can.abort) steps.push(() => delivery.abort(order, never));
        // Their answers need no body that could be misunderstood.
        if (fault !== 'not understood') {
          if (can.annotate) steps.push(() => delivery.annotate({ revision: BAD, rollback: 'r-1', values: {} }, never));
          if (can.sync) steps.push(() => delivery.sync({ commit: GOOD, rollback: 'r-1' }, never));
        }
        const began = performance.now();
        const outcomes = await Promise.all(
          steps.map((step) =>
            step().then(
              () => null,
              (thrown: unknown) => thrown,
            ),
          ),
        );
        expect(performance.now() - began).toBeLessThan(far.timeoutMs + 5_000);
        for (const error of outcomes) {
          if (!(error instanceof CodedError)) throw new Error('no coded error', { cause: error });
          expect(error.retryable).toBe(RETRYABLE[fault]);
          expect(error.message.length).toBeGreaterThan(10);
          for (const secret of far.secrets) expect(error.message + JSON.stringify(error.details)).not.toContain(secret);
        }
        expect(await far.deeds()).toEqual(nothing);
      },
    );

    it('rejects with the reason of the caller when the caller cancels', async () => {
      const controller = new AbortController();
      if (far.fail === null) {
        controller.abort(new Error('the service stops'));
        await expect(delivery.observe(controller.signal)).rejects.toThrow('the service stops');
        return;
      }
      await far.fail('hang');
      const call: Promise<unknown> = delivery.can.abort
        ? delivery.abort(order, controller.signal)
        : delivery.observe(controller.signal);
      await far.called();
      controller.abort(new Error('the service stops'));
      await expect(call).rejects.toThrow('the service stops');
    });
  });
}
