import type { ForgeDependencies } from './api.ts';
import type { Forge } from './port.ts';
import type { ForgeConfig } from './schema.ts';
import { forgeSettings, type ForgeRepository } from './settings.ts';

/**
 * Every forge there is: a new one is one folder and one line here. Adapters are imported when they are configured, not
 * before.
 *
 * @throws CodedError `forge_invalid`
 */
export async function createForge(config: ForgeConfig, repository: ForgeRepository, deps: ForgeDependencies): Promise<Forge> {
  const whole = typeof config === 'string' ? (config === 'none' ? null : { type: config }) : config;
  if (whole === null) return (await import('./plain/forge.ts')).createPlainForge();
  const settings = forgeSettings(whole, repository);
  switch (whole.type) {
    case 'github':
      return (await import('./github/forge.ts')).createGithubForge(settings, deps);
    case 'gitlab':
      return (await import('./gitlab/forge.ts')).createGitlabForge(settings, deps);
    case 'gitea':
      return (await import('./gitea/forge.ts')).createGiteaForge(settings, deps);
  }
}
