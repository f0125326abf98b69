import { existsSync, readdirSync, readFileSync } from 'node:fs';
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
    ['docs', 'deploy', 'examples'].flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((path) => path.endsWith('.md'))
        .map((path) => `${folder}/${path}`),
    ),
  );

  it.each(documents)('of %s lead to files and headings that exist', (document) => {
    const links = [...read(document).matchAll(/\]\((?!https?:|mailto:)([^)\s]+)\)/g)].map(([, link = '']) => link);
    const missing = links.filter((link) => {
      const [file = '', heading] = link.split('#');
      const path = file === '' ? document : join(document, '..', file);
      return !existsSync(join(root, path)) || (heading !== undefined && !headingsOf(path).includes(heading));
    });
    expect(missing).toEqual([]);
  });

  /** As forges make the address of a heading from its text. */
  function headingsOf(path: string): string[] {
    return [...read(path).matchAll(/^#+ (.+)$/gm)].map(([, text = '']) =>
      text
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    );
  }
});
