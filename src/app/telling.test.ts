import { describe, expect, it } from 'vitest';
import { createLogger } from '../observability/logger.ts';
import type { JournalEntry } from '../store/port.ts';
import { tellAlerts, tellingReads } from './telling.ts';

function recorded() {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger({
    level: 'info',
    destination: { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  });
  return { log, lines, said: () => lines.splice(0).map(({ level, code, msg }) => [level, code, msg].filter(Boolean).join(' ')) };
}

describe('a metric source in the log', () => {
  const AWAY = { kind: 'missing', code: 'connect_failed', sentence: 'cannot connect' } as const;
  const BEGAN = 'warn connect_failed a metric source does not answer';

  function telling() {
    const { log, said } = recorded();
    const time = { now: 0 };
    const tell = tellingReads(log, { now: () => time.now });
    return { time, said, tell: (code?: string) => tell('prom', code === undefined ? [] : [{ ...AWAY, code }]) };
  }

  it('is named when it is away, every ten minutes while that lasts, and when it is back', () => {
    const { time, said, tell } = telling();
    tell();
    expect(said()).toEqual([]);
    for (; time.now < 10 * 60_000; time.now += 15_000) tell(time.now % 30_000 === 0 ? 'connect_failed' : 'source_unavailable');
    expect(said()).toEqual([BEGAN]);
    tell('connect_failed');
    expect(said()).toEqual([BEGAN]);
    time.now += 60_000;
    tell();
    tell();
    expect(said()).toEqual(['info the metric source answers again']);
    tell('connect_failed');
    expect(said()).toEqual([BEGAN]);
  });

  it('is not said to be well between two looks that fail, nor by a look that has no sample', () => {
    const { time, said, tell } = telling();
    tell('connect_failed');
    said();
    for (const code of [undefined, 'connect_failed', undefined]) {
      time.now += 30_000;
      tell(code);
    }
    time.now += 120_000;
    tell('no_sample');
    expect(said()).toEqual([]);
  });

  it('is not blamed for a release without traffic', () => {
    const { said, tell } = telling();
    for (const code of ['priming', 'no_sample', 'no_documents', 'not_a_number', 'bounds_changed']) tell(code);
    expect(said()).toEqual([]);
  });
});

describe('alerts in the log', () => {
  const entry = (event: string, application = 'shop'): JournalEntry => {
    const code = event.slice('alert.'.length);
    return { at: 0, event, application, subject: 'alert-1', code, sentence: 'why', details: {} };
  };

  it('are one line for each kind and application, however many come together', () => {
    const { log, lines } = recorded();
    const storm = Array.from({ length: 40 }, () => entry('alert.revision_unknown'));
    tellAlerts([...storm, entry('alert.revision_unknown', 'search'), entry('alert.analysis'), entry('alert.failed')], log);
    expect(lines).toMatchObject([
      { level: 'warn', application: 'shop', code: 'revision_unknown', alerts: 40, alert: 'alert-1', reason: 'why' },
      { level: 'warn', application: 'search', code: 'revision_unknown', alerts: 1 },
      { level: 'info', application: 'shop', code: 'analysis', msg: 'an alert is acted on' },
      { level: 'warn', application: 'shop', code: 'failed', msg: 'an alert led to nothing' },
    ]);
  });

  it('are not told where nothing was expected of them', () => {
    const { log, lines } = recorded();
    tellAlerts([entry('alert.ignored'), entry('alert.resolved')], log);
    expect(lines).toEqual([]);
  });
});
