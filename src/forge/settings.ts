import { parseDuration } from '../analysis/quantities.ts';
import { CodedError } from '../errors.ts';
import { forgeAddress, type ForgeAddress } from './address.ts';
import { checkedToken, type ForgeAuthority, type ForgeDependencies } from './api.ts';
import { FORGE_DEFAULTS, type ForgeObject } from './schema.ts';

/** The repository that a forge is about. */
export interface ForgeRepository {
  name: string;
  url: string;
  branch: string;
  tokenFile?: string | undefined;
}

/** Everything that an adapter needs to know of its configuration. */
export interface ForgeSettings extends ForgeAddress {
  repository: ForgeRepository;
  tokenFile: string | null;
  app: NonNullable<ForgeObject['app']> | null;
  webhookSecretFile: string | null;
  autoMerge: boolean;
  timeoutMs: number;
}

/** @throws CodedError `forge_invalid` */
export function forgeSettings(config: ForgeObject, repository: ForgeRepository): ForgeSettings {
  const invalid = (why: string) => new CodedError('forge_invalid', `repositories.${repository.name}.forge: ${why}`);
  if (config.app !== undefined && config.type !== 'github') throw invalid('app belongs to type github; use tokenFile');
  if (config.app !== undefined && config.tokenFile !== undefined) throw invalid('set either tokenFile or app');
  const tokenFile = config.app === undefined ? (config.tokenFile ?? repository.tokenFile ?? null) : null;
  if (tokenFile === null && config.app === undefined) throw invalid('it needs a credential: set tokenFile');
  return {
    ...forgeAddress(config, repository.url),
    repository,
    tokenFile,
    app: config.app ?? null,
    webhookSecretFile: config.webhookSecretFile ?? null,
    autoMerge: config.autoMerge ?? false,
    timeoutMs: parseDuration(config.timeout ?? FORGE_DEFAULTS.timeout),
  };
}

/** A token from a file, read anew for every call. */
export function tokenAuthority(
  file: string,
  { readSecret }: Pick<ForgeDependencies, 'readSecret'>,
  headersOf: (token: string) => Record<string, string>,
): ForgeAuthority {
  return {
    async present() {
      const secret = checkedToken(await readSecret(file));
      return { headers: headersOf(secret), secret };
    },
    renew: () => false,
  };
}
