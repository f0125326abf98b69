import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ownersOf, parseCodeowners, type CodeownersDialect } from './codeowners.ts';

const owners = (text: string, path: string, dialect: CodeownersDialect = 'github') =>
  ownersOf(parseCodeowners(text, dialect), [path]);

/** The example of docs.github.com, "About code owners", shortened. */
const GITHUB = `
# Each line is a pattern and its owners.
*       @global-owner1 @global-owner2
*.js    @js-owner #This is an inline comment.
*.go docs@example.com
*.txt @octo-org/octocats
/build/logs/ @doctocat
docs/* docs@example.com
apps/ @octocat
/docs/ @doctocat
/scripts/ @doctocat @octocat
**/logs @octocat
/apps/ @octocat
/apps/github
`;

describe("GitHub's CODEOWNERS", () => {
  it.each([
    ['README', ['global-owner1', 'global-owner2']],
    ['deep/down/README', ['global-owner1', 'global-owner2']],
    ['src/a.js', ['js-owner']],
    ['main.go', ['docs@example.com']],
    ['deep/notes.txt', ['octo-org/octocats']],
    ['build/logs/a/b.js', ['octocat']],
    ['other/build/logs/x', ['octocat']],
    ['docs/getting-started.md', ['doctocat']],
    ['docs/build-app/troubleshooting.md', ['doctocat']],
    ['lib/apps/x', ['octocat']],
    ['scripts/deploy.sh', ['doctocat', 'octocat']],
    ['apps/shop/x.yaml', ['octocat']],
    ['apps/github/x.yaml', []],
    ['apps/github', []],
  ])('gives %s to %j, as its documentation says', (path, expected) => {
    expect(owners(GITHUB, path)).toEqual(expected);
  });

  it('takes `docs/*` for what lies directly in docs', () => {
    expect(owners('docs/* @a', 'docs/x.md')).toEqual(['a']);
    expect(owners('docs/* @a', 'docs/deep/x.md')).toEqual([]);
    expect(owners('docs/* @a', 'lib/docs/x.md')).toEqual([]);
    expect(owners('/docs/** @a', 'docs/deep/x.md')).toEqual(['a']);
    expect(owners('/docs/** @a', 'docs')).toEqual([]);
  });

  it('lets the last rule that matches decide alone', () => {
    expect(owners('* @all\n*.yaml @yaml\n/apps/shop/ @shop', 'apps/shop/a.yaml')).toEqual(['shop']);
    expect(owners('/apps/shop/ @shop\n* @all', 'apps/shop/a.yaml')).toEqual(['all']);
  });

  it('skips what GitHub cannot read: negation, ranges, words that are no owner', () => {
    const text = '* @all\n!apps/ @no\n[a-z].yaml @no\n*.yaml @no not-an-owner\n\\#x @no';
    expect(owners(text, 'apps/a.yaml')).toEqual(['all']);
    expect(owners(text, '#x')).toEqual(['all']);
  });

  it('minds the case, and a space that is kept by a backslash', () => {
    expect(owners('Apps/ @a', 'apps/x')).toEqual([]);
    expect(owners('with\\ space/ @a', 'with space/x')).toEqual(['a']);
  });

  it('joins the owners of all paths, each once', () => {
    const codeowners = parseCodeowners('/a/ @one @two\n/b/ @two @three', 'github');
    expect(ownersOf(codeowners, ['a/x', 'b/x', 'c/x'])).toEqual(['one', 'two', 'three']);
  });
});

describe("GitLab's CODEOWNERS", () => {
  const SECTIONS = `
* @default
[Documentation][2] @docs-team
ee/docs
README.md @tech-writer

^[Database] @database
model/db/ @db @@maintainers
[documentation]
/docs/**/*.md @root-docs
`;

  it('takes the last rule of every section', () => {
    expect(owners(SECTIONS, 'lib/x', 'gitlab')).toEqual(['default']);
    expect(owners(SECTIONS, 'README.md', 'gitlab')).toEqual(['default', 'tech-writer']);
    expect(owners(SECTIONS, 'lib/README.md', 'gitlab')).toEqual(['default', 'tech-writer']);
    expect(owners(SECTIONS, 'model/db/x.rb', 'gitlab')).toEqual(['default', 'db']);
    // Sections of one name are one, whatever their case.
    expect(owners(SECTIONS, 'docs/a/README.md', 'gitlab')).toEqual(['default', 'root-docs']);
  });

  it('falls back on the owners of the section', () => {
    expect(owners(SECTIONS, 'ee/docs', 'gitlab')).toEqual(['default', 'docs-team']);
  });

  it('matches a pattern without a leading slash at any depth, and no folder by its name alone', () => {
    expect(owners('lib/ @a', 'x/lib/deep/y', 'gitlab')).toEqual(['a']);
    expect(owners('lib @a', 'lib/y', 'gitlab')).toEqual([]);
    expect(owners('/config/ @a', 'x/config/y', 'gitlab')).toEqual([]);
    expect(owners('docs/* @a', 'x/docs/y', 'gitlab')).toEqual(['a']);
    expect(owners('/docs/* @a', 'docs/deep/y', 'gitlab')).toEqual([]);
  });

  it('knows exclusions, escapes, ranges and nested groups', () => {
    expect(owners('*.rb @a\n!gen.rb', 'lib/gen.rb', 'gitlab')).toEqual([]);
    expect(owners('\\#x @a', '#x', 'gitlab')).toEqual(['a']);
    expect(owners('path\\ with\\ spaces/ @a', 'path with spaces/x', 'gitlab')).toEqual(['a']);
    expect(owners('/[a-c]?.y @group/with-nested/subgroup', 'b1.y', 'gitlab')).toEqual(['group/with-nested/subgroup']);
    expect(owners('/[!a-c].y @a', 'b.y', 'gitlab')).toEqual([]);
  });
});

describe('any CODEOWNERS', () => {
  it('is read in bounded time, whatever stands in it', () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 300 }),
        fc.string({ maxLength: 100 }),
        fc.constantFrom('github', 'gitlab'),
        (text, path, dialect) => {
          for (const owner of owners(text, path, dialect as CodeownersDialect)) expect(owner).not.toMatch(/^@|\s/);
        },
      ),
    );
    const hostile = `${'*a'.repeat(400)}b @x`;
    expect(owners(Array.from({ length: 50 }, () => hostile).join('\n'), 'a'.repeat(500))).toEqual([]);
  });
});
