import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { planOf } from '../src/analysis/plan.ts';
import { resolveDefaults } from '../src/config/defaults.ts';
import { loadConfig } from '../src/config/load.ts';
import { judgeNamed } from '../src/judges/registry.ts';

const root = new URL('..', import.meta.url);

/** What the README and config/default.yaml tell a user to start from. */
async function configurations(): Promise<{ name: string; text: string }[]> {
  const readme = await readFile(new URL('README.md', root), 'utf8');
  const blocks = [...readme.matchAll(/^```yaml\n(.*?)^```/gms)].map((match) => match[1] ?? '');
  return [
    ...blocks.map((text, at) => ({ name: `block ${at + 1} of the README`, text })),
    { name: 'config/default.yaml', text: await readFile(new URL('config/default.yaml', root), 'utf8') },
  ];
}

describe('configurations that users copy', () => {
  it('are valid, without a warning', async () => {
    const found = await configurations();
    expect(found.length).toBeGreaterThanOrEqual(2);
    for (const { name, text } of found) {
      const { warnings } = await loadConfig({ file: name, environment: {}, readFile: () => Promise.resolve(text) });
      expect(warnings, name).toEqual([]);
    }
  });

  it('let a release without any error pass at one canary request a second', async () => {
    for (const { name, text } of await configurations()) {
      const { config } = await loadConfig({ file: name, environment: {}, readFile: () => Promise.resolve(text) });
      const template = resolveDefaults(config).templates['http-service'];
      if (template === undefined) throw new Error(`${name} has no template http-service`);
      const plan = planOf('http-service', template);
      const errors = plan.metrics.find((metric) => metric.name === 'errors');
      if (errors === undefined) throw new Error(`${name} has no metric errors`);
      const ticks = Array.from({ length: plan.planned }, () => 0);
      const perTick = plan.everyMs / 1_000;
      const judgement = judgeNamed(plan.judge)?.judge({
        metrics: [
          {
            name: 'errors',
            parameters: errors.parameters,
            series: {
              type: 'proportion',
              canary: { events: ticks, total: ticks.map(() => perTick) },
              baseline: { events: ticks, total: ticks.map(() => 9 * perTick) },
            },
          },
        ],
        falseRollbacks: plan.falseRollbacks,
        warmup: plan.warmup,
        planned: plan.planned,
        ended: true,
      });
      expect(judgement?.verdict, `${name}: ${judgement?.sentence}`).toBe('pass');
    }
  });
});

describe('what the README shows of the demo', () => {
  it('begins as the demo does, and says how long it takes as the demo does', async () => {
    const readme = await readFile(new URL('README.md', root), 'utf8');
    const demo = await readFile(new URL('examples/demo/main.ts', root), 'utf8');
    const opening = /'(A good release [^']+ takes about (\d+) s\.)'/.exec(demo);
    expect(opening).not.toBeNull();
    expect(readme).toContain(`\n${opening?.[1]}\n\nThe stage\n`);
    expect(readme).toContain(`The demo takes about ${opening?.[2]} seconds`);
  });
});
