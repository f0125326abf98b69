import type { FleetPolicy } from '../fleet.ts';
import type { Policy } from '../policy.ts';
import { described, type Switch } from '../switches.ts';
import type { Held } from './held.ts';

const CODES = {
  global: 'stopped_globally',
  repository: 'stopped_repository',
  application: 'stopped_application',
} as const;

/**
 * Kill switches, by configuration and by people. They stop the abort, too, hold whatever a person approved or asked for,
 * and are the first thing that is looked at.
 */
export function stoppedBy(fleet: FleetPolicy, policy: Policy, switches: readonly Switch[]): Held | null {
  if (!fleet.isEnabled) return stopped('global', 'the configuration says rollbacks.enabled: false; change that');
  if (fleet.repositories.get(policy.repository)?.isOff === true) {
    return stopped('repository', `the configuration says repositories.${policy.repository}.rollbacks: off; change that`);
  }
  const [first] = switches;
  if (first === undefined) return null;
  const { scope, by, at, reason } = first;
  return stopped(scope, `${by} stopped rollbacks ${described(first)} at ${at} (${reason}); release the switch`);
}

function stopped(scope: Switch['scope'], why: string): Held {
  const sentence = `${why}, then approve this rollback, or refuse it`;
  return { code: CODES[scope], sentence, approvable: false };
}
