import { describe, expect, it } from 'vitest';
import { crossCheck } from './cross-checks.ts';

const application = { repository: 'deploy', paths: ['apps/shop'], template: 'plain' };

function errors(parts: Record<string, unknown>): string[] {
  const root = { repositories: { deploy: { url: 'https://h/x' } }, templates: { plain: {} }, ...parts };
  return crossCheck(root).errors.map(
    ({ path, message, hint }) => `${path.join('.')}: ${message}${hint === undefined ? '' : `; ${hint}`}`,
  );
}

describe('clusters', () => {
  it('are named by deliveries and their operators only when they are configured', () => {
    const delivery = { type: 'deployment', namespace: 'a', name: 'b', cluster: 'wset', argocd: { cluster: 'ops' } };
    const clusters = { west: { inCluster: true } };
    expect(errors({ clusters, applications: { shop: { ...application, delivery } } })).toEqual([
      "applications.shop.delivery.cluster: there is no cluster 'wset'; did you mean west?",
      "applications.shop.delivery.argocd.cluster: there is no cluster 'ops'; configured: west",
    ]);
  });

  it('are not reached in the clear, and their addresses hold no credentials', () => {
    const clusters = {
      near: { url: 'http://127.0.0.1:8001' },
      far: { url: 'http://10.0.0.1:6443' },
      named: { url: 'https://me:s3cr3t@10.0.0.1' },
    };
    const found = errors({ clusters });
    expect(found).toHaveLength(2);
    expect(found[0]).toBe('clusters.far.url: http:// to 10.0.0.1 would send the token in the clear; use https://');
    expect(found[1]).toMatch(/^clusters\.named\.url: (?!.*s3cr3t).*credentials come from files/);
  });
});
