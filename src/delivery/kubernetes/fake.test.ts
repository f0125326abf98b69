import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { FakeKubernetes } from '../../../test/support/fake-kubernetes.ts';

interface Captured {
  wire: { method: string; url: string; headers: Record<string, string>; body: unknown; status: number }[];
}

describe('the API server of these tests', () => {
  it('answers what a real one was captured answering', async () => {
    const file = new URL('../../../test/fixtures/kubernetes/api-calls.json', import.meta.url);
    const { wire } = JSON.parse(await readFile(file, 'utf8')) as Captured;
    const fake = new FakeKubernetes();
    fake.put({
      apiVersion: 'argoproj.io/v1alpha1',
      kind: 'Rollout',
      metadata: { name: 'demo', namespace: 'default' },
      status: {},
    });
    fake.denied.add('list pods');
    const aborted: unknown[] = [];
    for (const { method, url, headers, body, status } of wire) {
      const text = body === '' ? '' : JSON.stringify(body);
      const answer = fake.handle({ method, path: url, headers, body: text });
      expect({ method, url, body, status: answer.kind === 'answer' ? answer.status : null }).toMatchObject({ status });
      const abort = fake.get('argoproj.io/v1alpha1', 'rollouts', 'default', 'demo')?.status?.['abort'];
      if (text === '{"status":{"abort":true}}') aborted.push([url.split('/').at(-1), abort]);
    }
    // The main endpoint says 200 and does nothing.
    expect(aborted).toEqual([
      ['demo', undefined],
      ['status', true],
      ['status', true],
      ['status', true],
    ]);
  });
});
