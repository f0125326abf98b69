import { SpanStatusCode } from '@opentelemetry/api';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { registerMemoryTracing, type FinishedSpan } from '../../test/support/memory-tracing.ts';
import { CodedError } from '../errors.ts';
import type { MetricSource } from '../sources/port.ts';
import { tracedSource } from './traced.ts';
import { createTracing, type Tracing } from './tracing.ts';

let finished: FinishedSpan[] = [];
let unregister: () => void;
let tracing: Tracing;
beforeEach(async () => {
  ({ finished, unregister } = registerMemoryTracing());
  const made = await createTracing('1.2.3');
  if (made === null) throw new Error('the provider was not seen');
  tracing = made;
});
afterEach(() => unregister());

const byName = (name: string) => finished.find((span) => span.name === name);

describe('spans', () => {
  it('are not made, and nothing is loaded, where no SDK is registered', async () => {
    unregister();
    expect(await createTracing('1.2.3')).toBeNull();
    const source: MetricSource = {
      remembers: false,
      read: () => Promise.reject(new Error('unused')),
      close: () => Promise.resolve(),
    };
    expect(tracedSource(null, 'pages', source)).toBe(source);
  });

  it('stand below the one that is active, across awaits, and tell what came of the work', async () => {
    const result = await tracing.span(
      { name: 'outer', kind: 'CONSUMER', attributes: { 'davylamp.analysis.id': 'a1' } },
      async () => {
        await Promise.resolve();
        return tracing.span(
          { name: 'inner', kind: 'INTERNAL' },
          () => 42,
          (answer) => ({ answer }),
        );
      },
    );
    expect(result).toBe(42);
    expect(byName('inner')).toMatchObject({
      parent: byName('outer')?.spanId,
      traceId: byName('outer')?.traceId,
      attributes: { answer: 42 },
    });
    expect(byName('outer')?.attributes).toEqual({ 'davylamp.analysis.id': 'a1' });
  });

  it('end with the code of an error, never with its sentence', async () => {
    const failing = () => Promise.reject(new CodedError('git_auth_failed', 'the token s3cret was refused'));
    await expect(tracing.span({ name: 'push', kind: 'CLIENT' }, failing)).rejects.toMatchObject({ code: 'git_auth_failed' });
    expect(() =>
      tracing.span({ name: 'judge', kind: 'INTERNAL' }, () => {
        throw new Error('bug with s3cret');
      }),
    ).toThrow('bug');
    expect(finished).toMatchObject([
      { name: 'push', status: SpanStatusCode.ERROR, attributes: { 'error.type': 'git_auth_failed' } },
      { name: 'judge', status: SpanStatusCode.ERROR, attributes: { 'error.type': 'internal' } },
    ]);
    expect(JSON.stringify(finished)).not.toContain('s3cret');
  });

  it('go on with the trace of a request that came earlier, and share one where none is known', async () => {
    let carried: string | null = null;
    tracing.span({ name: 'request', kind: 'SERVER' }, () => {
      carried = tracing.traceparent();
    });
    await tracing.within(carried, 'x', () => tracing.span({ name: 'tick', kind: 'CONSUMER' }, () => Promise.resolve()));
    expect(byName('tick')).toMatchObject({ traceId: byName('request')?.traceId, parent: byName('request')?.spanId });
    const again = () =>
      tracing.within(null, 'tick-7', () => tracing.span({ name: 'lost', kind: 'CONSUMER' }, () => Promise.resolve()));
    await again();
    await again();
    const [one, other] = finished.filter(({ name }) => name === 'lost');
    expect(one?.traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(other?.traceId).toBe(one?.traceId);
    expect(tracing.traceparent()).toBeNull();
    await tracing.within('not a traceparent', 'tick-7', () =>
      tracing.span({ name: 'odd', kind: 'CONSUMER' }, () => Promise.resolve()),
    );
    expect(byName('odd')?.traceId).toBe(one?.traceId);
  });

  it('of a source name it, never what it is asked', async () => {
    const reading = { answers: new Map(), cursor: null, warnings: [] };
    class Kept implements MetricSource {
      readonly remembers = true;
      readonly #reading = reading;
      read = () => Promise.resolve(this.#reading);
      close(): Promise<void> {
        return Promise.resolve(this.#reading.cursor ?? undefined);
      }
    }
    const source = tracedSource(tracing, 'prom', new Kept());
    const query = { id: 'q', shape: 'gauge', text: 'up{token="s3cret"}', finished: false, labels: {}, aggregate: 'sum' } as const;
    expect(await source.read([query], { from: 0, to: 1 }, null, new AbortController().signal)).toBe(reading);
    expect(source.remembers).toBe(true);
    await source.close();
    expect(finished).toMatchObject([{ name: 'davylamp.source.read', attributes: { 'davylamp.source.name': 'prom' } }]);
    expect(JSON.stringify(finished)).not.toContain('s3cret');
  });
});
