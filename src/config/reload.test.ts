import { describe, expect, it } from 'vitest';
import { resolveDefaults, type ResolvedConfig } from './defaults.ts';
import { parseYaml } from './document.ts';
import { keysThatNeedRestart, namedFiles, refuseRestartKeys } from './reload.ts';
import { Config } from './schema.ts';
import { Value } from 'typebox/value';

function config(text: string): ResolvedConfig {
  const parsed = parseYaml(text);
  if ('problems' in parsed || !Value.Check(Config, parsed.document.value)) throw new Error('the test has a wrong configuration');
  return resolveDefaults(parsed.document.value);
}

const BASE = `
server: { listen: 127.0.0.1:8080 }
repositories: { deploy: { url: 'https://git.example/deploy.git', tokenFile: git-token } }
applications:
  shop:
    repository: deploy
    paths: [shop]
    delivery: { type: http, url: 'http://shop.example', tokenFile: /run/secrets/shop }
    template: t
    arguments: { logFile: not-a-secret }
templates: {}
`;

describe('a reload', () => {
  it('can change what follows the configuration', () => {
    const other = config(
      BASE.replace('paths: [shop]', 'paths: [apps/shop]').replace('git-token', 'other-token') +
        'log: { level: debug }\nalerts: { window: 1h, labels: [severity] }\nretention: { keys: 1d }\n',
    );
    expect(keysThatNeedRestart(config(BASE), other)).toEqual([]);
    expect(keysThatNeedRestart(config(BASE), config('{}'))).toEqual([]);
  });

  it('names every key that needs a restart, and is refused as a whole', () => {
    const other = config(
      BASE.replace('127.0.0.1:8080', '127.0.0.1:9090') +
        'storage: { kind: embedded, path: ./other }\nworkers: { ticks: 3 }\nalerts: { window: 1h, maxBodyBytes: 2048 }\n',
    );
    const keys = ['alerts.maxBodyBytes', 'server.listen', 'storage.path', 'workers.ticks'];
    const errors = keys.map((path) => ({ path, message: 'can only change with a restart' }));
    expect(keysThatNeedRestart(config(BASE), other)).toEqual(keys);
    expect(() => refuseRestartKeys(config(BASE), other)).toThrow(
      expect.objectContaining({ code: 'reload_needs_restart', details: { errors } }),
    );
  });
});

describe('the files that a configuration names', () => {
  it('are its secrets and certificates, from the folder of the configuration', () => {
    expect(namedFiles(config(BASE), '/etc/davylamp')).toEqual([
      { key: 'repositories.deploy.tokenFile', path: '/etc/davylamp/git-token' },
      { key: 'applications.shop.delivery.tokenFile', path: '/run/secrets/shop' },
    ]);
  });
});
