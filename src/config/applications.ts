import type { AnalysedApplication } from '../analysis/analyses.ts';
import { planOf } from '../analysis/plan.ts';
import { CodedError } from '../errors.ts';
import type { Policy } from '../rollback/policy.ts';
import type { ResolvedApplication, ResolvedConfig } from './defaults.ts';

/** The configured applications as analyses see them, by name. */
export function analysedApplications(config: ResolvedConfig): Map<string, AnalysedApplication> {
  return mapped(config, (name, application) => {
    const template = config.templates[application.template];
    if (template === undefined) throw missing(name, `template "${application.template}"`);
    return { name, plan: planOf(application.template, template), arguments: application.arguments };
  });
}

/** What each application lets davylamp do, by name. */
export function policies(config: ResolvedConfig): Map<string, Policy> {
  return mapped(config, (name, { repository, paths, mode, guards, onConfounded, onUndeployable }) => {
    const known = config.repositories[repository];
    if (known === undefined) throw missing(name, `repository "${repository}"`);
    return { application: name, repository, branch: known.branch, paths, mode, ...guards, onConfounded, onUndeployable };
  });
}

function mapped<T>(config: ResolvedConfig, make: (name: string, application: ResolvedApplication) => T): Map<string, T> {
  return new Map(Object.entries(config.applications).map(([name, application]) => [name, make(name, application)]));
}

function missing(application: string, what: string): CodedError {
  return new CodedError('config_invalid', `applications.${application} names ${what}, which is not configured`);
}
