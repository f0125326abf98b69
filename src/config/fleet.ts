import { parseDuration, parseShare } from '../analysis/quantities.ts';
import type { FleetPolicy } from '../rollback/fleet.ts';
import type { ResolvedApplication, ResolvedConfig } from './defaults.ts';

/** What holds for all applications together. */
export function fleetPolicy(config: ResolvedConfig): FleetPolicy {
  const { enabled, maxPerDay, fleet, freeze } = config.rollbacks;
  return {
    isEnabled: enabled,
    maxPerDay,
    breaker: {
      isEnabled: fleet.enabled,
      applications: fleet.applications,
      share: parseShare(fleet.share),
      within: parseDuration(fleet.within),
      settle: parseDuration(fleet.settle),
    },
    frozen: freeze.rollbacks ? freeze.windows : [],
    repositories: new Map(
      Object.entries(config.repositories).map(([name, repository]) => [
        name,
        { isOff: repository.rollbacks === 'off', maxPerDay: repository.maxPerDay },
      ]),
    ),
    shares: new Map(Object.entries(config.applications).map(([name, application]) => [name, sharedBy(application, config)])),
  };
}

/** What a fault of which would be seen at every application that depends on it. */
function sharedBy({ repository, delivery, template }: ResolvedApplication, config: ResolvedConfig): string[] {
  const metrics = Object.values(config.templates[template]?.metrics ?? {});
  const sources = new Set(metrics.map(({ source }) => source));
  const isElsewhere = delivery.type === 'http' || delivery.type === 'none';
  const cluster = isElsewhere ? [] : [`cluster ${delivery.cluster ?? 'default'}`];
  return [...cluster, `repository ${repository}`, ...[...sources].map((source) => `source ${source}`)];
}
