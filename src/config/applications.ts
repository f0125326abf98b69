import type { RoutedApplication } from '../alerts/routing.ts';
import type { AnalysedApplication } from '../analysis/analyses.ts';
import { planOf } from '../analysis/plan.ts';
import { parseDuration } from '../analysis/quantities.ts';
import type { Keep } from '../analysis/retention.ts';
import { CodedError } from '../errors.ts';
import type { Policy } from '../rollback/policy.ts';
import type { ResolvedApplication, ResolvedConfig } from './defaults.ts';

/** The configured applications as analyses see them, by name. */
export function analysedApplications(config: ResolvedConfig): Map<string, AnalysedApplication> {
  return mapped(config, (name, application) => {
    const template = config.templates[application.template];
    if (template === undefined) throw missing(name, `template "${application.template}"`);
    const { arguments: values, requestArguments } = application;
    return { name, plan: planOf(application.template, template), arguments: values, requestArguments };
  });
}

/** What each application lets davylamp do, by name. */
export function policies(config: ResolvedConfig): Map<string, Policy> {
  return mapped(config, (name, application) => {
    const { repository, guards, paths, mode, onConfounded, onUndeployable, plan, versionFields, onConflict } = application;
    const { lastGood, neverRestore, jointPlans, sharedPaths, automationPaths, promoteRevert } = application;
    const known = config.repositories[repository];
    if (known === undefined) throw missing(name, `repository "${repository}"`);
    const times = {
      maxAge: parseDuration(guards.maxAge),
      coolDown: parseDuration(guards.coolDown),
      dataKinds: guards.dataKinds,
      statelessKinds: guards.statelessKinds,
      approvalFor: parseDuration(guards.approvalFor),
      bakeTime: parseDuration(application.bakeTime),
    };
    return {
      application: name,
      repository,
      repositoryUrl: known.url,
      branch: known.branch,
      paths,
      mode,
      onConfounded,
      onUndeployable,
      plan,
      versionFields,
      onConflict,
      lastGood,
      neverRestore,
      jointPlans,
      sharedPaths,
      automationPaths,
      promoteRevert,
      ...guards,
      ...times,
    };
  });
}

/** Which alerts each application listens to, in the order of the configuration. */
export function routedApplications(config: ResolvedConfig): RoutedApplication[] {
  return Object.entries(config.applications).map(([name, { alerts }]) => ({ name, alerts }));
}

/** A signed webhook is good for five minutes in both directions; so long it must be known, and some more. */
const LEAST_KEY_MS = 15 * 60_000;

/** How long closed records are kept, in milliseconds by kind. */
export function keepOf({ retention, alerts }: ResolvedConfig): Keep {
  const { analyses, rollbacks, keys, sightings } = retention;
  const [analysis, rollback, alert, key, sighting] = [analyses, rollbacks, retention.alerts, keys, sightings].map(parseDuration);
  // What was told once must be known for as long as it may be told again.
  const told = Math.max(alert ?? 0, parseDuration(alerts.window));
  // What a webhook led to stands in the records of its alerts.
  return { analysis, rollback, alert: told, webhook: told, idempotency: Math.max(key ?? 0, LEAST_KEY_MS), sighting };
}

function mapped<T>(config: ResolvedConfig, make: (name: string, application: ResolvedApplication) => T): Map<string, T> {
  return new Map(Object.entries(config.applications).map(([name, application]) => [name, make(name, application)]));
}

function missing(application: string, what: string): CodedError {
  return new CodedError('config_invalid', `applications.${application} names ${what}, which is not configured`);
}
