import type { Finding } from '../finding.ts';

/**
 * Port of metric sources. One call asks everything that one tick needs of one source, so that an adapter can read a
 * page once, or join queries.
 */
export interface SourceQuery {
  /** Unique in the call; names the answer. */
  id: string;
  shape: 'counter' | 'buckets' | 'gauge';
  /** Selector or finished query, arguments already filled in; empty where `search` stands. */
  text: string;
  finished: boolean;
  /** Labels that tell the side (canary, baseline), to be added to the selector. */
  labels: Readonly<Record<string, string>>;
  aggregate: 'sum' | 'avg' | 'max' | 'min';
  /**
   * The query is one part of the proportion `metric`. Both parts of all its sides are counted over the same time: when one of
   * them cannot be counted now, all are missing, and all are counted later. A side or a part alone would be judged by
   * a time that the other one does not have.
   */
  pair?: { metric: string; side: string; part: 'total' | 'events' };
  /** Documents are searched instead; sources that hold series answer such a query with `missing`. */
  search?: SourceSearch;
}

/** A search in a store of documents, arguments already filled in as values. */
export interface SourceSearch {
  /** Names, patterns and lists of indices. */
  index: string;
  /** Field that holds when a document happened. */
  timeField: string;
  /** Filter in the query language (DSL) of Elasticsearch; null is every document. */
  filter: Readonly<Record<string, unknown>> | null;
  measure:
    | { kind: 'documents' }
    /** `perSecond`: what a value or bound is divided by to become seconds. */
    | { kind: 'buckets'; field: string; bounds: readonly number[]; perSecond: number }
    | { kind: 'stat'; field: string; stat: 'avg' | 'max' | 'min' | 'sum' }
    | { kind: 'percentile'; field: string; percentile: number };
}

/**
 * What a source knows for one query over the tick's window.
 * - `absent`: the source answered and no series matched (for events of a proportion this is 0 events).
 * - `missing`: nothing can be said (time-out, error, first read of a counter); never counts as 0.
 */
export type SourceAnswer =
  /** `series`: how many series it was summed from, where the source knows; the two sides are compared by it. */
  | { kind: 'count'; value: number; series?: number }
  | { kind: 'buckets'; bounds: number[]; counts: number[]; series?: number }
  | { kind: 'gauge'; value: number; series?: number }
  | { kind: 'absent' }
  | { kind: 'missing'; code: string; sentence: string };

export interface SourceReading {
  answers: ReadonlyMap<string, SourceAnswer>;
  /** What the source needs to know at the next tick, as plain JSON; stored durably with the measurements. */
  cursor: unknown;
  warnings: string[];
}

export interface MetricSource {
  /**
   * Whether it can be asked about the past (a metric store), or knows only what is true now (a metrics page). Where it
   * is true, any window that is not empty is answered from what the store kept, with or without a cursor, as often and
   * in whatever order it is asked, and it is not asked when an analysis begins; where it is false, an analysis that begins
   * asks once about an empty window (from = to), so that counters have something to be compared with.
   */
  readonly remembers: boolean;
  /**
   * @param window milliseconds since the epoch, from inclusive, to exclusive; ticks of all analyses with the same period
   *   end at the same moments (multiples of the period), so that equal questions have equal windows
   * @param cursor what the last reading of this analysis returned; undefined at the first
   * Never rejects for a fault of the far side: that is an answer of kind `missing`. Rejects when `signal` aborts.
   */
  read(
    queries: readonly SourceQuery[],
    window: { from: number; to: number },
    cursor: unknown,
    signal: AbortSignal,
  ): Promise<SourceReading>;
  close(): Promise<void>;
  /** Asks its cheapest query: whether it is reachable, lets us in and answers. For `davylamp doctor`; rejects for nothing but `signal`. */
  check?(signal: AbortSignal): Promise<readonly Finding[]>;
}
