/** The least that is a valid configuration, and says nothing of what a fragment is about. */
const LEAST = {
  repositories: { deploy: { url: 'https://git.example/deploy.git' } },
  sources: { pages: { type: 'scrape', targets: [{ url: 'http://shop.example/metrics' }] } },
  applications: { shop: {} },
  templates: {
    t: {
      every: '1m',
      for: '10m',
      canary: {},
      metrics: { load: { type: 'gauge', source: 'pages', value: { gauge: 'load' }, limit: 1 } },
    },
  },
};
const APPLICATION = { repository: 'deploy', paths: ['apps/shop'], delivery: { type: 'none' }, template: 't' };
type Fragment = Readonly<Record<string, unknown>>;

const isMap = (value: unknown): value is Fragment => typeof value === 'object' && value !== null && !Array.isArray(value);

/** A part of a configuration, as a page shows it, with all that it leaves out: other sections, and keys of applications. */
export function completed(fragment: Fragment): Fragment {
  const whole: Record<string, unknown> = { ...LEAST, ...fragment };
  for (const section of ['repositories', 'sources', 'templates'] as const) {
    const given = fragment[section];
    whole[section] = { ...LEAST[section], ...(isMap(given) && given) };
  }
  const applications = isMap(whole['applications']) ? whole['applications'] : {};
  whole['applications'] = Object.fromEntries(
    Object.entries(applications).map(([name, given], at) => [
      name,
      { ...APPLICATION, paths: [`apps/${at}`], ...(isMap(given) && given) },
    ]),
  );
  return whole;
}
