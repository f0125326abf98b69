import { AsyncLocalStorage } from 'node:async_hooks';
import {
  ROOT_CONTEXT,
  context,
  trace,
  type Attributes,
  type Context,
  type ContextManager,
  type Span,
  type SpanContext,
  type SpanOptions,
  type Tracer,
} from '@opentelemetry/api';

export interface FinishedSpan {
  name: string;
  traceId: string;
  spanId: string;
  parent: string | undefined;
  attributes: Attributes;
  status: number | undefined;
}

/** Keeps spans in memory: the interfaces of the API, and nothing of an SDK. */
function memoryTracer(finished: FinishedSpan[]): Tracer {
  let count = 0;
  const startSpan = (name: string, options: SpanOptions = {}, within: Context = context.active()): Span => {
    count += 1;
    const parent = trace.getSpanContext(within);
    const own: SpanContext = {
      traceId: parent?.traceId ?? String(count).padStart(32, 'a'),
      spanId: String(count).padStart(16, 'b'),
      traceFlags: 1,
    };
    const attributes: Attributes = { ...options.attributes };
    let status: number | undefined;
    const span: Span = {
      spanContext: () => own,
      setAttribute: (key, value) => {
        attributes[key] = value;
        return span;
      },
      setAttributes: (more) => {
        Object.assign(attributes, more);
        return span;
      },
      setStatus: ({ code }) => {
        status = code;
        return span;
      },
      end: () =>
        void finished.push({ name, traceId: own.traceId, spanId: own.spanId, parent: parent?.spanId, attributes, status }),
      addEvent: () => span,
      addLink: () => span,
      addLinks: () => span,
      updateName: () => span,
      isRecording: () => true,
      recordException: () => undefined,
    };
    return span;
  };
  const startActiveSpan = ((name: string, ...rest: unknown[]) => {
    const work = rest.at(-1) as (span: Span) => unknown;
    const span = startSpan(name, rest.length > 1 ? (rest[0] as SpanOptions) : {});
    return context.with(trace.setSpan(context.active(), span), () => work(span));
  }) as Tracer['startActiveSpan'];
  return { startSpan, startActiveSpan };
}

/** Follows awaits, as the context manager of an SDK does. */
class LocalContexts implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>();
  active = () => this.#storage.getStore() ?? ROOT_CONTEXT;
  with: ContextManager['with'] = (active, work, self, ...args) =>
    this.#storage.run(active, () => Reflect.apply(work, self, args) as ReturnType<typeof work>);
  bind: ContextManager['bind'] = (_, target) => target;
  enable = () => this;
  disable = () => this;
}

/** Registers a provider for this process, as `node --import` of an SDK would; @returns the spans that have ended */
export function registerMemoryTracing(): { finished: FinishedSpan[]; unregister: () => void } {
  const finished: FinishedSpan[] = [];
  trace.setGlobalTracerProvider({ getTracer: () => memoryTracer(finished) });
  context.setGlobalContextManager(new LocalContexts());
  return {
    finished,
    unregister() {
      trace.disable();
      context.disable();
    },
  };
}
