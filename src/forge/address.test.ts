import { describe, expect, it } from 'vitest';
import { forgeAddress } from './address.ts';
import { forgeSettings } from './settings.ts';

describe('the address of a forge', () => {
  it.each([
    ['github', 'https://github.com/acme/deploy.git', 'https://api.github.com', 'acme/deploy'],
    ['github', 'ssh://git@github.com/acme/deploy.git', 'https://api.github.com', 'acme/deploy'],
    ['github', 'ssh://git@ssh.github.com:443/acme/deploy.git', 'https://api.github.com', 'acme/deploy'],
    ['github', 'https://octo.ghe.com/acme/deploy', 'https://api.octo.ghe.com', 'acme/deploy'],
    ['github', 'https://ghe.example:8443/acme/deploy.git', 'https://ghe.example:8443/api/v3', 'acme/deploy'],
    ['gitlab', 'https://gitlab.com/acme/platform/deploy.git', 'https://gitlab.com/api/v4', 'acme/platform/deploy'],
    ['gitlab', 'ssh://git@altssh.gitlab.com:443/acme/deploy.git', 'https://gitlab.com/api/v4', 'acme/deploy'],
    ['gitlab', 'ssh://git@gitlab.example:2222/acme/deploy.git', 'https://gitlab.example/api/v4', 'acme/deploy'],
    ['gitea', 'http://127.0.0.1:3000/acme/deploy.git', 'http://127.0.0.1:3000/api/v1', 'acme/deploy'],
    ['gitea', 'https://codeberg.org/acme/deploy/', 'https://codeberg.org/api/v1', 'acme/deploy'],
  ] as const)('%s at %s is %s, %s', (type, url, api, project) => {
    expect(forgeAddress({ type }, url)).toEqual({ api, project });
  });

  it('is the one that is configured, with a path before both', () => {
    const url = 'https://tools.example/gitlab/api/v4/';
    expect(forgeAddress({ type: 'gitlab', url }, 'https://tools.example/gitlab/acme/deploy.git')).toEqual({
      api: 'https://tools.example/gitlab/api/v4',
      project: 'acme/deploy',
    });
    expect(forgeAddress({ type: 'gitea', url: 'https://g.example/api/v1', project: 'a/b' }, 'ssh://git@10.0.0.1/srv/x')).toEqual({
      api: 'https://g.example/api/v1',
      project: 'a/b',
    });
  });

  it.each([
    [{ type: 'github' }, 'https://github.com/deploy.git'],
    [{ type: 'github' }, 'https://github.com/a/b/c.git'],
    [{ type: 'github' }, 'https://github.com/acme/..%2f'],
    [{ type: 'gitlab' }, 'file:///srv/git/deploy'],
    [{ type: 'gitea', url: 'http://gitea.example/api/v1' }, 'https://gitea.example/a/b'],
    [{ type: 'gitea', url: 'https://me:s3cr3t@gitea.example/api/v1' }, 'https://gitea.example/a/b'],
    [{ type: 'gitea', url: 'https://gitea.example/api/v1?x=1' }, 'https://gitea.example/a/b'],
  ] as const)('is refused where it cannot be right: %j, %s', (config, url) => {
    expect(() => forgeAddress(config, url)).toThrow(
      expect.objectContaining({ code: 'forge_invalid', message: expect.not.stringContaining('s3cr3t') }),
    );
  });

  it('needs one credential: its own, that of the repository, or an App of GitHub', () => {
    const repository = { name: 'shop', url: 'https://github.com/acme/deploy.git', branch: 'main' };
    const app = { id: '1', installation: '2', privateKeyFile: 'key' };
    expect(forgeSettings({ type: 'github' }, { ...repository, tokenFile: 'git' }).tokenFile).toBe('git');
    expect(forgeSettings({ type: 'github', tokenFile: 'api' }, { ...repository, tokenFile: 'git' }).tokenFile).toBe('api');
    expect(forgeSettings({ type: 'github', app }, repository)).toMatchObject({ app, tokenFile: null });
    for (const config of [{ type: 'github' }, { type: 'github', app, tokenFile: 'x' }, { type: 'gitlab', app }] as const) {
      expect(() => forgeSettings(config, repository)).toThrow(expect.objectContaining({ code: 'forge_invalid' }));
    }
  });
});
