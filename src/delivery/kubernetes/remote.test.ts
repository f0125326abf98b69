import { describe, expect, it } from 'vitest';
import { maybeSameRepository, shownRepository } from './remote.ts';

describe('addresses of repositories', () => {
  it.each([
    ['https://git.example/shop/deploy.git', 'git@git.example:shop/deploy'],
    ['https://git.example/shop/deploy', 'ssh://git@git.example:2222/Shop/Deploy.git/'],
    ['https://git.example/shop/deploy', 'http://forge.svc:3000/shop/deploy.git'],
    ['https://bitbucket.example/scm/shop/deploy.git', 'ssh://git@bitbucket.example:7999/shop/deploy.git'],
    ['https://dev.azure.com/org/shop/_git/deploy', 'git@ssh.dev.azure.com:v3/org/shop/deploy'],
    ['https://127.0.0.1:8080/deploy.git', 'https://git.example/shop/deploy'],
  ])('%s and %s may be the same', (one, other) => {
    expect(maybeSameRepository(one, other)).toBe(true);
    expect(maybeSameRepository(other, one)).toBe(true);
  });

  it.each([
    ['https://git.example/shop/deploy.git', 'https://git.example/shop/charts.git'],
    ['https://git.example/shop/deploy.git', 'https://git.example/search/deploy.git'],
  ])('%s and %s are not', (one, other) => expect(maybeSameRepository(one, other)).toBe(false));

  it('are shown without what is secret in them', () => {
    expect(shownRepository('https://me:s3cr3t@git.example/shop')).toBe('https://git.example/shop');
  });
});
