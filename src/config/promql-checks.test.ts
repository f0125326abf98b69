import { describe, expect, it } from 'vitest';
import { promqlFindings } from './promql-checks.ts';

const url = 'http://127.0.0.1:9090';

async function said(type: 'prometheus' | 'scrape' | 'elasticsearch', value: object): Promise<string[]> {
  const source = type === 'scrape' ? { type, targets: [{ url }] } : { type, url };
  const metrics = { load: { type: 'gauge', source: 'it', value } };
  const templates = { t: { every: '1m', for: '10m', canary: { track: 'canary' }, metrics } };
  const findings = await promqlFindings({ sources: { it: source }, templates });
  return findings.map(({ path, message, hint }) => `${path.slice(4).join('.')}: ${[message, hint].filter(Boolean).join('; ')}`);
}

describe('the queries of a configuration', () => {
  it.each([
    'up',
    'up{service="${service}",code=~"${code}.."}',
    '${metric}{a="b"}',
    '{__name__=~"http_.*",a="b"}',
    '{"http.requests", "a.b"="c"}',
  ])('may be the selector %s', async (gauge) => {
    expect(await said('prometheus', { gauge })).toEqual([]);
    expect(await said('scrape', { gauge })).toEqual([]);
  });

  it.each([
    ['up{a="b"', 'selector, column 9: expected "," or "}"'],
    ['up{a=b}', 'selector, column 6: expected a text in quotes, such as "shop"'],
    ['up{a=="b"}', 'selector, column 6: expected a text in quotes; equality is written with one ='],
    ['up{a=~"("}', 'selector, column 7: the regular expression cannot be used'],
    ['rate(up[5m])', 'selector, column 5: expected the end: a counter or gauge is a plain selector'],
    ['up{service="${service}"}[5m]', 'selector, column 25: expected the end'],
  ])('name the column in the selector %s', async (gauge, message) => {
    for (const type of ['prometheus', 'scrape'] as const) {
      const [finding = ''] = await said(type, { gauge });
      expect(finding).toContain(`value.gauge: ${message}`);
    }
  });

  it.each([
    'sum(rate(http_requests_total{service="${service}",$__side}[$__range])) / $__range_s',
    'histogram_quantile(0.99, sum by (le) (rate(x_bucket{a=~"${a}"}[${window}])))',
    "topk(${n}, up) # it's ${service}\n > ${limit}",
    'max_over_time(sum(up)[5m:$__range])',
    'label_replace(up, "a", "${v}", "b", "(.*)") offset ${o}',
    'scalar(up)',
  ])('may be the finished query %s', async (query) => {
    expect(await said('prometheus', { query })).toEqual([]);
  });

  it.each([
    ['sum(rate(foo[5m])', 'query, column 18: the query is not complete'],
    ['sum(rat(foo[5m]))', "query, column 5: there is no function 'rat'; did you mean rate?"],
    ['sum(foo{a=b})', 'query, column 11: expected a text in quotes, such as "b"'],
    ['foo{a=="b"}', 'query, column 7: equality is written with one ='],
    ['sum(rate(foo))', 'query, column 13: rate() wants samples over a time'],
    ['foo{a="${a}"}[5m]', 'query, column 1: the query yields samples over a time'],
    ['"text"', 'query, column 1: the query yields a text'],
    ['foo + ', 'query, column 7: the query is not complete'],
    ['foo bar', "query, column 5: did not expect 'bar' here"],
  ])('name the column in the finished query %s', async (query, message) => {
    const [finding = ''] = await said('prometheus', { query });
    expect(finding).toContain(`value.query: ${message}`);
  });

  it('are left to the source where it speaks another language', async () => {
    expect(await said('elasticsearch', { query: 'status:5??' })).toEqual([]);
    expect(await promqlFindings({ templates: null })).toEqual([]);
  });
});
