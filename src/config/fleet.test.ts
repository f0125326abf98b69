import { describe, expect, it } from 'vitest';
import { crossCheck } from './cross-checks.ts';
import { check } from './check.ts';
import { resolveDefaults } from './defaults.ts';
import { fleetPolicy } from './fleet.ts';
import { configNode, type Config } from './schema.ts';

const metric = { type: 'gauge', source: 'prom', value: { gauge: 'x' } } as const;
const config: Config = {
  sources: { prom: { type: 'prometheus', url: 'http://prom' } },
  repositories: {
    deploy: { url: 'https://git/deploy.git', maxPerDay: 4 },
    other: { url: 'https://git/o.git', rollbacks: 'off' },
  },
  templates: { t: { every: '1m', for: '10m', canary: {}, metrics: { load: metric } } },
  applications: {
    shop: { repository: 'deploy', paths: ['a'], template: 't', delivery: { type: 'none' } },
    search: {
      repository: 'other',
      paths: ['b'],
      template: 't',
      delivery: { type: 'argo-rollouts', namespace: 'n', name: 'search' },
    },
  },
  rollbacks: { freeze: { rollbacks: true, windows: [{ from: '17:00', to: '08:00' }] } },
};

function windowProblems(window: object): string[] {
  const root = { rollbacks: { freeze: { rollbacks: true, windows: [window] } } };
  return [...check(configNode, root), ...crossCheck(root).errors].map(
    ({ path, message }) => `${path.slice(4).join('.')}: ${message}`,
  );
}

describe('what holds for all applications together', () => {
  it('knows what applications share', () => {
    expect(check(configNode, config)).toEqual([]);
    expect(Object.fromEntries(fleetPolicy(resolveDefaults(config)).shares)).toEqual({
      shop: ['repository deploy', 'source prom'],
      search: ['cluster default', 'repository other', 'source prom'],
    });
  });

  it('is on with the limits of the repositories, and takes freezes for rollbacks only where they are meant', () => {
    const fleet = fleetPolicy(resolveDefaults(config));
    expect(fleet).toMatchObject({
      isEnabled: true,
      maxPerDay: 30,
      breaker: { isEnabled: true, applications: 3, share: 0.5, within: 600_000, settle: 5_000 },
    });
    expect(fleet.frozen).toMatchObject([
      { from: '17:00', to: '08:00', timezone: 'UTC', days: expect.arrayContaining(['sunday']) },
    ]);
    expect(Object.fromEntries(fleet.repositories)).toEqual({
      deploy: { isOff: false, maxPerDay: 4 },
      other: { isOff: true, maxPerDay: 10 },
    });
    const forDeployments = { ...config, rollbacks: { freeze: { windows: [{ from: '17:00', to: '08:00' }] } } };
    expect(fleetPolicy(resolveDefaults(forDeployments)).frozen).toEqual([]);
    expect(crossCheck(forDeployments).warnings.map(({ path }) => path.join('.'))).toContain('rollbacks.freeze.windows');
  });
});

describe('freeze windows', () => {
  it.each<[object, string]>([
    [{ from: '17:00', to: '25:00' }, 'to: expected a time of day such as 17:00, in quotes; got'],
    [{ from: '17:00', to: '18:00', timezone: 'Europe/Atlantis' }, "timezone: there is no timezone 'Europe/Atlantis'"],
    [{ from: '17:00', to: '18:00', timezone: '+25:00' }, "timezone: there is no timezone '+25:00'"],
    [{ from: '17:00', to: '18:00', days: ['funday'] }, 'days.0: '],
    [{ start: '2026-12-20T00:00:00Z', end: '2026-12-19T00:00:00Z' }, 'end: is not after start'],
    [{ start: '2026-13-20T00:00:00Z', end: '2026-12-24T00:00:00Z' }, "start: '2026-13-20T00:00:00Z' is no date of the calendar"],
    [{ start: '20.12.2026', end: '2026-12-24T00:00:00Z' }, 'start: expected a moment with its offset from UTC'],
    [{ from: '17:00' }, 'to'],
  ])('%j are refused', (window, problem) => {
    const problems = windowProblems(window).join('\n');
    expect(problems).toContain(problem);
  });

  it.each([
    { from: '17:00', to: '08:00', timezone: 'Europe/Berlin', days: ['friday'] },
    { from: '17:00', to: '08:00', timezone: '-03:30' },
    { start: '2026-12-20T00:00:00+01:00', end: '2027-01-02T00:00Z' },
  ])('%j are taken', (window) => {
    expect(windowProblems(window)).toEqual([]);
  });

  it('may be empty, and a settling time may be 0', () => {
    expect(check(configNode, { rollbacks: { fleet: { settle: '0s' } } })).toEqual([]);
    expect(check(configNode, { rollbacks: { fleet: { within: '0s' } } })).toHaveLength(1);
  });
});
