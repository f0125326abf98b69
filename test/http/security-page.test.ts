import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { resolveDefaults } from '../../src/config/defaults.ts';
import { loadConfig } from '../../src/config/load.ts';
import { SCOPES } from '../../src/config/server.ts';
import { Credentials } from '../../src/http/auth/credentials.ts';
import { completed } from '../support/minimal-configuration.ts';
import { callers, handClock } from './serving.ts';

const page = await readFile(new URL('../../docs/reference/security.md', import.meta.url), 'utf8');
const snippets = [...page.matchAll(/### ([^\n]+)\n|## ([^\n]+)\n|```yaml\n(server:[^]*?)```/g)].reduce<{
  title: string;
  found: [string, string][];
}>(
  ({ title, found }, [, third, second, text]) =>
    text === undefined ? { title: third ?? second ?? title, found } : { title, found: [...found, [title, text]] },
  { title: '', found: [] },
).found;

describe('the page about security', () => {
  it('has a configuration for every way to know a caller', () => {
    expect(snippets.length).toBeGreaterThanOrEqual(6);
    const keys = new Set(snippets.flatMap(([, text]) => Object.keys((parse(text) as { server?: object }).server ?? {})));
    for (const key of ['tokens', 'basic', 'oidc', 'signers', 'clients', 'tls', 'probes', 'rates']) expect(keys).toContain(key);
  });

  it.each(snippets)(
    '%s: its configuration is accepted as it stands, and lets nobody in who sends nothing',
    async (_title, text) => {
      const whole = stringify(completed(parse(text) as Record<string, unknown>));
      const loaded = await loadConfig({ file: '/etc/davylamp.yaml', environment: {}, readFile: () => Promise.resolve(whole) });
      expect(loaded.warnings.filter(({ path }) => path.startsWith('server'))).toEqual([]);
      const { server } = resolveDefaults(loaded.config);
      const { configured } = new Credentials(server.tokens, callers(server), handClock());
      expect(configured).toBe(server.listen !== '127.0.0.1:8080');
    },
  );

  it('explains every scope', () => {
    for (const scope of SCOPES) expect(page).toMatch(new RegExp(`^\\| \`${scope}\` +\\| \\w`, 'm'));
  });
});
