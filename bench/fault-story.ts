import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Analysis } from '../src/analysis/record.ts';
import type { MetricSeries } from '../src/judges/series.ts';
import { LENGTHS, RELEASES, periodOf, startFaultWorld } from './fault-world.ts';

export interface FaultStorySettings {
  everyMs: number;
  /** How long every store is unwell. */
  faultTicks: number;
  /** How many looks follow; the judge passes nothing of which it has not seen half. */
  ticksAfter: number;
  /** Whether there has to be a good look within one interval after the fault, and none that is not whole after that. */
  fullSpeed: boolean;
  tell?: (line: string) => void;
}

export interface KindOutcome {
  kind: string;
  /** Ticks without a measurement while the fault lasted, over all analyses: that the fault was one. */
  missed: number;
  /** Milliseconds from the end of the fault until the first whole look is stored, of the slowest analysis. */
  backAfterMs: number | null;
  problems: string[];
}

const SLACK_MS = 20_000;
/** How often it is asked whether there is a whole look, and what that and the look itself may take on a busy machine. */
const ASK_MS = 100;
const LOOK_MS = 1_000;

interface Measured {
  series: Record<string, MetricSeries>;
  times: number[];
}

interface Started {
  kind: string;
  length: (typeof LENGTHS)[number];
  release: (typeof RELEASES)[number];
  id: string;
}

/**
 * Every store is unwell in its own way while a bad and a good release are analysed with it; then every store is well
 * again. As long as only the fault is seen there may be no rollback and no pass; afterwards the bad release fails and the
 * good one passes, from full ticks.
 */
export async function playFaultStory(settings: FaultStorySettings): Promise<KindOutcome[]> {
  const { everyMs, faultTicks, ticksAfter, tell = () => undefined } = settings;
  const world = await startFaultWorld({
    everyMs,
    shortMs: everyMs * (faultTicks - 2),
    longMs: everyMs * (faultTicks + ticksAfter),
  });
  try {
    const outcomes = new Map<string, KindOutcome>(
      world.kinds.map(({ kind }) => [kind.name, { kind: kind.name, missed: 0, backAfterMs: null, problems: [] }]),
    );
    const complain = (kind: string, problem: string) => {
      const { problems = [] } = outcomes.get(kind) ?? {};
      if (!problems.includes(problem)) problems.push(problem);
    };
    const api = async <T>(method: 'GET' | 'POST', path: string, body?: unknown): Promise<T> => {
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(`${world.address}/api/v1${path}`, {
        method,
        ...(body !== undefined && { headers, body: JSON.stringify(body) }),
      });
      if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
      return (await answer.json()) as T;
    };

    await world.begin();
    tell(`${world.kinds.length} kinds of fault, ${faultTicks} ticks of ${everyMs} ms`);
    const started: Started[] = [];
    for (const { kind, key } of world.kinds) {
      for (const length of LENGTHS) {
        for (const release of RELEASES) {
          const application = `${release}-${key}-${length}`;
          const revision = createHash('sha1').update(application).digest('hex');
          const { id } = await api<Analysis>('POST', '/analyses', { application, revision });
          started.push({ kind: kind.name, length, release, id });
        }
      }
    }
    const faultEnds = Date.now() + everyMs * faultTicks;
    while (Date.now() < faultEnds) {
      await pause(Math.min(everyMs / 2, Math.max(1, faultEnds - Date.now())));
      for (const { kind, id, release } of started) {
        const { phase, rollback, code } = await api<Analysis>('GET', `/analyses/${id}`);
        if (phase === 'Failed' || phase === 'Successful' || rollback !== null)
          complain(kind, `the ${release} release was ${phase} (${code}) while there were only faults`);
      }
      const { items } = await api<{ items: unknown[] }>('GET', '/rollbacks');
      if (items.length > 0)
        for (const { kind } of world.kinds) complain(kind.name, 'there is a rollback while there were only faults');
    }
    await world.end();
    const wellSince = Date.now();
    tell('every store is well again');

    const measuredOf = (id: string) => api<Measured>('GET', `/analyses/${id}/measurements`);
    const backAfter = await firstWholeLooks(
      started.filter(({ length }) => length === 'long'),
      { wellSince, deadline: wellSince + 3 * everyMs + SLACK_MS, everyMs },
      measuredOf,
    );
    const deadline = wellSince + everyMs * (ticksAfter + 2) + SLACK_MS;
    for (const one of started) {
      const analysis = await endOf(one.id, deadline, (id) => api<Analysis>('GET', `/analyses/${id}`));
      const expected = one.length === 'short' ? 'Inconclusive' : one.release === 'bad' ? 'Failed' : 'Successful';
      const { phase, code, sentence } = analysis;
      if (phase !== expected)
        complain(one.kind, `the ${one.release} release, ${one.length}, ended ${phase} (${code}: ${sentence}), not ${expected}`);
      if ((analysis.rollback !== null) !== (expected === 'Failed'))
        complain(one.kind, `rollback of the ${one.release} release: ${analysis.rollback}`);
      const outcome = outcomes.get(one.kind);
      if (outcome === undefined) continue;
      const ticks = wholeTicks(await measuredOf(one.id));
      outcome.missed += ticks.filter(({ at, whole }) => at <= wellSince && !whole).length;
      const period = periodOf(one.release, everyMs);
      for (const { at } of ticks.filter(({ at, whole }) => whole && at < wellSince - period)) {
        complain(
          one.kind,
          `a tick ${Math.round((wellSince - at) / period)} intervals before the end of the fault has a measurement`,
        );
      }
      if (one.length === 'short') continue;
      const after = backAfter.get(one.id) ?? Infinity;
      outcome.backAfterMs = Math.max(outcome.backAfterMs ?? 0, after);
      if (!settings.fullSpeed) continue;
      if (after > period + LOOK_MS) complain(one.kind, `the ${one.release} release had no whole look within ${period} ms`);
      const late = ticks.filter(({ at, whole }) => !whole && at > wellSince + period);
      if (late.length > 0) complain(one.kind, `${late.length} ticks after the first interval are not whole`);
    }
    for (const outcome of outcomes.values()) if (outcome.missed === 0) outcome.problems.push('the fault was not seen');
    return [...outcomes.values()];
  } finally {
    await world.close();
  }
}

/** When each analysis had its first whole look after the faults, in milliseconds since their end, as its store says it. */
async function firstWholeLooks(
  analyses: readonly Started[],
  { wellSince, deadline, everyMs }: { wellSince: number; deadline: number; everyMs: number },
  measuredOf: (id: string) => Promise<Measured>,
): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  while (found.size < analyses.length && Date.now() < deadline) {
    for (const { id, release } of analyses) {
      if (found.has(id)) continue;
      const since = wellSince - periodOf(release, everyMs);
      if (wholeTicks(await measuredOf(id)).some(({ at, whole }) => whole && at >= since)) found.set(id, Date.now() - wellSince);
    }
    await pause(ASK_MS);
  }
  return found;
}

async function endOf(id: string, deadline: number, look: (id: string) => Promise<Analysis>): Promise<Analysis> {
  for (;;) {
    const analysis = await look(id);
    if (analysis.endedAt !== null || Date.now() > deadline) return analysis;
    await pause(200);
  }
}

function wholeTicks({ series, times }: Measured) {
  const errors = series['errors'];
  if (errors?.type !== 'proportion') throw new Error('the metric of the story is a proportion');
  return times.map((time, at) => {
    const sides = errors.baseline === null ? [errors.canary] : [errors.canary, errors.baseline];
    const whole = sides.every((side) => (side.total[at] ?? null) !== null && (side.events[at] ?? null) !== null);
    return { at: time, whole };
  });
}
