import { createHash } from 'node:crypto';
import type { Attributes, SpanKind } from '@opentelemetry/api';
import { codeOf } from '../errors.ts';

/** What a span is called and knows; never a query, a label value, an address with a path, a credential. */
export interface SpanSpec {
  name: string;
  kind: keyof typeof SpanKind;
  attributes?: Attributes;
}

export interface Tracing {
  /** Runs `work` in a span of its own, which ends with it; `told` is asked for what is known then. */
  span<T>(spec: SpanSpec, work: () => T, told?: (result: Awaited<T>) => Attributes): T;
  /**
   * Runs `work` in the trace that a traceparent names; without one, in the trace that belongs to `subject`, which is the
   * same one in every process.
   */
  within<T>(traceparent: string | null, subject: string, work: () => Promise<T>): Promise<T>;
  /** The span that is active here, as W3C Trace Context has it; null where there is none. */
  traceparent(): string | null;
}

/** Where @opentelemetry/api keeps what was registered, by its documented promise of one version for all. */
const REGISTERED = Symbol.for('opentelemetry.js.api.1');
const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
const TRACE_ID_CHARACTERS = 32;
const SPAN_ID_CHARACTERS = 16;

/**
 * Spans by the OpenTelemetry API, for whoever starts davylamp with an SDK (`node --import ...`). Without one nothing is
 * loaded and nothing is done.
 *
 * @returns null where no SDK registered a tracer provider before
 */
export async function createTracing(version: string): Promise<Tracing | null> {
  if (!isRegistered()) return null;
  const { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, context, isSpanContextValid, trace } =
    await import('@opentelemetry/api');
  const tracer = trace.getTracer('davylamp', version);

  function span<T>({ name, kind, attributes = {} }: SpanSpec, work: () => T, told?: (result: Awaited<T>) => Attributes): T {
    return tracer.startActiveSpan(name, { kind: SpanKind[kind], attributes }, (active) => {
      const finish = (result: Awaited<T>) => {
        if (told !== undefined) active.setAttributes(told(result));
        active.end();
      };
      const failed = (error: unknown): never => {
        const code = codeOf(error);
        active.setAttribute('error.type', code);
        active.setStatus({ code: SpanStatusCode.ERROR, message: code });
        active.end();
        throw error;
      };
      try {
        const result = work();
        if (!(result instanceof Promise)) {
          finish(result as Awaited<T>);
          return result;
        }
        return result.then((value: Awaited<T>) => {
          finish(value);
          return value;
        }, failed) as T;
      } catch (error) {
        return failed(error);
      }
    });
  }

  return {
    span,
    within(traceparent, subject, work) {
      const [, traceId, spanId, flags] = TRACEPARENT.exec(traceparent ?? '') ?? [null, ...derivedIds(subject), '01'];
      const parent = {
        traceId: traceId ?? '',
        spanId: spanId ?? '',
        traceFlags: Number.parseInt(flags ?? '01', 16),
        isRemote: true,
      };
      return context.with(trace.setSpanContext(ROOT_CONTEXT, parent), work);
    },
    traceparent() {
      const active = trace.getActiveSpan()?.spanContext();
      if (active === undefined || !isSpanContextValid(active)) return null;
      const flags = (active.traceFlags & TraceFlags.SAMPLED).toString(16).padStart(2, '0');
      return `00-${active.traceId}-${active.spanId}-${flags}`;
    },
  };
}

function isRegistered(): boolean {
  const registered: unknown = Reflect.get(globalThis, REGISTERED);
  return typeof registered === 'object' && registered !== null && 'trace' in registered;
}

/** Ids that follow from a subject, so that every process puts its spans about it into one trace. */
function derivedIds(subject: string): [string, string] {
  const hash = createHash('sha256').update(`davylamp ${subject}`).digest('hex');
  return [hash.slice(0, TRACE_ID_CHARACTERS), hash.slice(TRACE_ID_CHARACTERS, TRACE_ID_CHARACTERS + SPAN_ID_CHARACTERS)];
}
