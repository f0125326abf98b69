import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { createMetrics } from './metrics.ts';

const create = () => createMetrics({ version: '1.2.3', applications: ['shop'], sources: ['pages'] });
const lines = async (metrics: ReturnType<typeof create>) => (await metrics.page()).text.split('\n');

describe('metrics', () => {
  it('tell the version and the process', async () => {
    const { contentType, text } = await create().page();
    expect(contentType).toContain('text/plain');
    expect(text).toMatch(/^davylamp_build_info\{version="1\.2\.3",node="v\d+\.\d+\.\d+"\} 1$/m);
    expect(text).toContain('process_resident_memory_bytes');
  });

  it('count what happened, with the labels of the names that are configured', async () => {
    const metrics = create();
    metrics.analysisStarted('shop');
    metrics.analysisEnded('shop', 'fail');
    metrics.tick('measured', 0.02);
    metrics.sourceRead('pages', 'ok', 0.003);
    metrics.rollback('shop', 'pushed');
    metrics.rollbackHeld('shop', 'max_per_day');
    metrics.rollbackPushed(1.4);
    metrics.httpRequest('GET', '/api/v1/analyses/:id', 200, 0.001);
    metrics.error('store_unavailable');
    expect(await lines(metrics)).toEqual(
      expect.arrayContaining([
        'davylamp_analyses_started_total{application="shop"} 1',
        'davylamp_analyses_ended_total{application="shop",verdict="fail"} 1',
        'davylamp_ticks_total{result="measured"} 1',
        'davylamp_tick_duration_seconds_count 1',
        'davylamp_source_reads_total{source="pages",result="ok"} 1',
        'davylamp_source_read_duration_seconds_count{source="pages"} 1',
        'davylamp_rollbacks_total{application="shop",state="pushed"} 1',
        'davylamp_rollback_held_total{application="shop",code="max_per_day"} 1',
        'davylamp_rollback_push_seconds_sum 1.4',
        'davylamp_http_request_duration_seconds_count{method="GET",route="/api/v1/analyses/:id",status="200"} 1',
        'davylamp_errors_total{code="store_unavailable"} 1',
      ]),
    );
    expect((await metrics.page()).text).toMatch(/^davylamp_source_last_success_timestamp_seconds\{source="pages"\} [1-9]/m);
  });

  it('count webhooks, alerts and refused callers', async () => {
    const metrics = create();
    metrics.webhook('alertmanager', 'accepted');
    metrics.alert('shop', 'analysis');
    metrics.alert(null, 'no_match');
    metrics.authenticationFailed('token', 'unknown');
    expect(await lines(metrics)).toEqual(
      expect.arrayContaining([
        'davylamp_webhooks_total{kind="alertmanager",result="accepted"} 1',
        'davylamp_alerts_total{application="shop",outcome="analysis"} 1',
        'davylamp_alerts_total{application="none",outcome="no_match"} 1',
        'davylamp_auth_failures_total{kind="token",reason="unknown"} 1',
      ]),
    );
  });

  it('tell whether the configuration in the file is the one that runs', async () => {
    const metrics = create();
    metrics.configLoaded();
    expect(await lines(metrics)).toContain('davylamp_config_reload_success 1');
    metrics.configReload('invalid');
    expect(await lines(metrics)).toEqual(
      expect.arrayContaining(['davylamp_config_reload_success 0', 'davylamp_config_reloads_total{result="invalid"} 1']),
    );
    metrics.configReload('taken');
    metrics.know({ applications: ['search'], sources: ['logs'] });
    metrics.analysisStarted('search');
    metrics.analysisStarted('shop');
    expect(await lines(metrics)).toEqual(
      expect.arrayContaining([
        'davylamp_config_reload_success 1',
        'davylamp_analyses_started_total{application="search"} 1',
        'davylamp_analyses_started_total{application="other"} 1',
      ]),
    );
  });

  it('show how store and queue stand, and what is held, as it is at the scrape', async () => {
    const metrics = create();
    let held = [{ application: 'shop', code: 'max_per_day' }];
    let store = { ok: true, code: 'ok', sentence: '' };
    let reconciled = store;
    metrics.watch({
      conditions: () => Promise.resolve({ store, queue: { ok: true, code: 'ok', sentence: '' }, reconciled }),
      held: () => Promise.resolve(held),
    });
    expect(await lines(metrics)).toEqual(
      expect.arrayContaining([
        'davylamp_condition{part="store",code="ok"} 1',
        'davylamp_condition{part="queue",code="ok"} 1',
        'davylamp_condition{part="reconciled",code="ok"} 1',
        'davylamp_errors_total{code="state_lost"} 0',
        'davylamp_rollbacks_held{application="shop",code="max_per_day"} 1',
      ]),
    );
    held = [];
    store = { ok: false, code: 'state_lost', sentence: '' };
    reconciled = store;
    const page = await lines(metrics);
    expect(page).toContain('davylamp_condition{part="store",code="state_lost"} 0');
    expect(page).toContain('davylamp_condition{part="reconciled",code="state_lost"} 0');
    expect(page.filter((line) => /^davylamp_rollbacks_held\{|part="store",code="ok"/.test(line))).toEqual([]);
  });

  it('put names that are not configured into "other", so that nobody can grow the page', async () => {
    const metrics = create();
    for (let n = 0; n < 1_000; n += 1) {
      metrics.analysisStarted(`app-${n}`);
      metrics.sourceRead(`source-${n}`, 'failed', 1);
      metrics.error(`code_${n}`);
      metrics.error(`not a code ${n}`);
    }
    const page = await lines(metrics);
    expect(page).toContain('davylamp_analyses_started_total{application="other"} 1000');
    expect(page).toContain('davylamp_source_reads_total{source="other",result="failed"} 1000');
    expect(page.filter((line) => line.startsWith('davylamp_errors_total{'))).toHaveLength(101);
  });

  it('read the queue at every scrape, and leave only its series out while it cannot be read', async () => {
    const metrics = create();
    let waiting = 2;
    const none = { waiting: 0, running: 0 };
    metrics.watch({
      queue: () => {
        if (waiting < 0) return Promise.reject(new Error('away'));
        return Promise.resolve({ tick: { waiting, running: 1 }, rollback: none, webhook: none });
      },
    });
    expect(await lines(metrics)).toContain('davylamp_queue_jobs{kind="tick",state="waiting"} 2');
    waiting = 5;
    expect(await lines(metrics)).toContain('davylamp_queue_jobs{kind="tick",state="waiting"} 5');
    waiting = -1;
    const page = await lines(metrics);
    expect(page.filter((line) => line.startsWith('davylamp_queue_jobs{'))).toEqual([]);
    expect(page).toContain('davylamp_build_info{version="1.2.3",node="' + process.version + '"} 1');
    expect((await metrics.page()).text).toContain('davylamp_errors_total{code="queue_unavailable"}');
  });

  it('show a rollback that needs a person as 0 before the first one, so that an increase is seen', async () => {
    const metrics = create();
    expect(await lines(metrics)).toContain('davylamp_rollbacks_total{application="shop",state="not_recovered"} 0');
    metrics.know({ applications: ['search'], sources: [] });
    expect(await lines(metrics)).toContain('davylamp_rollbacks_total{application="search",state="failed"} 0');
  });

  it('are of their own in each service', async () => {
    const one = create();
    one.analysisStarted('shop');
    expect(await lines(create())).not.toContain('davylamp_analyses_started_total{application="shop"} 1');
  });

  it('are all in the reference page', async () => {
    const page = await readFile(new URL('../../docs/reference/metrics.md', import.meta.url), 'utf8');
    const reference = page.replaceAll(/ +/g, ' ');
    const names = (await create().page()).text.matchAll(/^# TYPE (davylamp_\w+) (\w+)$/gm);
    const documented = [...names].map(([, name, type]) => `| \`${name}\` | ${type} |`);
    expect(documented).toHaveLength(25);
    for (const row of documented) expect(reference).toContain(row);
  });
});
