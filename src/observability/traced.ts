import type { Attributes } from '@opentelemetry/api';
import type { Delivery } from '../delivery/port.ts';
import type { Repository } from '../git/port.ts';
import type { Judge } from '../judges/judge.ts';
import type { MetricSource } from '../sources/port.ts';
import type { Tracing } from './tracing.ts';

/** A source whose reads are spans. Names of attributes follow the semantic conventions of OpenTelemetry where they have one. */
export function tracedSource(tracing: Tracing | null, name: string, source: MetricSource): MetricSource {
  return wrapped(tracing, source, { read: 'davylamp.source.read' }, { 'davylamp.source.name': name });
}

export function tracedDelivery(tracing: Tracing | null, application: string, delivery: Delivery): Delivery {
  const calls = {
    observe: 'davylamp.delivery.observe',
    abort: 'davylamp.delivery.abort',
    annotate: 'davylamp.delivery.annotate',
    sync: 'davylamp.delivery.sync',
    locate: 'davylamp.delivery.locate',
    banner: 'davylamp.delivery.banner',
    promote: 'davylamp.delivery.promote',
  };
  return wrapped(tracing, delivery, calls, {
    'davylamp.application.name': application,
    'davylamp.delivery.type': delivery.type,
  });
}

export function tracedRepository(tracing: Tracing | null, repository: Repository): Repository {
  const calls = { refresh: 'davylamp.git.fetch', revert: 'davylamp.git.revert', push: 'davylamp.git.push' };
  return wrapped(tracing, repository, calls, {
    'vcs.repository.name': repository.name,
    'vcs.ref.head.name': repository.branch,
    'vcs.ref.head.type': 'branch',
  });
}

export function tracedJudge(tracing: Tracing | null, name: string, judge: Judge | undefined): Judge | undefined {
  if (tracing === null || judge === undefined) return judge;
  const spec = { name: 'davylamp.judge', kind: 'INTERNAL', attributes: { 'davylamp.judge.name': name } } as const;
  return {
    ...judge,
    judge: (task) =>
      tracing.span(
        spec,
        () => judge.judge(task),
        ({ verdict, code }) => ({ 'davylamp.verdict': verdict ?? 'none', 'davylamp.code': code }),
      ),
  };
}

/** The same object, whose named methods are spans of a client; everything else passes through. */
function wrapped<T extends object>(
  tracing: Tracing | null,
  target: T,
  calls: { readonly [Method in keyof T]?: string },
  attributes: Attributes,
): T {
  if (tracing === null) return target;
  return new Proxy(target, {
    get(_, method) {
      const value: unknown = Reflect.get(target, method, target);
      if (typeof value !== 'function') return value;
      const name: unknown = Reflect.get(calls, method);
      // Private fields know the object itself only.
      const call = (...args: unknown[]): unknown => Reflect.apply(value, target, args);
      if (typeof name !== 'string') return call;
      return (...args: unknown[]) => tracing.span({ name, kind: 'CLIENT', attributes }, () => call(...args));
    },
  });
}
