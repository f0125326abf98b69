import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

describe('docs/reference/errors.md', () => {
  const documented = new Set([...read('docs/reference/errors.md').matchAll(/^\| `([a-z_]+)`/gm)].map(([, code]) => code));
  const thrown = new Map<string, string>();
  for (const path of readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })) {
    if (!path.endsWith('.ts') || path.endsWith('.test.ts')) continue;
    for (const [, code = ''] of read(join('src', path)).matchAll(/new CodedError\(\s*'([a-z_]+)'/g)) thrown.set(code, path);
  }

  it('has every code that is thrown', () => {
    expect(thrown.size).toBeGreaterThan(40);
    expect([...thrown].filter(([code]) => !documented.has(code))).toEqual([]);
  });
});

describe('links between the documents', () => {
  const documents = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md'].concat(
    readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.md'))
      .map((path) => `docs/${path}`),
  );

  it.each(documents)('of %s lead to files that exist', (document) => {
    const links = [...read(document).matchAll(/\]\((?!https?:|mailto:|#)([^)\s#]+)/g)].map(([, link = '']) => link);
    const missing = links.filter((link) => !exists(join(document, '..', link)));
    expect(missing).toEqual([]);
  });

  function exists(path: string): boolean {
    try {
      read(path);
      return true;
    } catch (error) {
      return error instanceof Error && 'code' in error && error.code === 'EISDIR';
    }
  }
});
