import { readFile } from 'node:fs/promises';
import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { expect, it } from 'vitest';
import { Comments, Issue, Login, Pull, RepositoryAnswer } from '../../src/forge/github/shapes.ts';
import { githubDialect } from '../support/forges/github.ts';
import type { Dialect, HubAnswer, HubRequest } from '../support/forges/hub.ts';
import { forgeWorld } from '../support/forges/worlds.ts';

interface Spec {
  type?: string;
  enum?: unknown[];
  maximum?: number;
  items?: Spec;
  any?: Spec[];
}
interface Operation {
  query: Record<string, Spec>;
  statuses: number[];
  body?: { required: string[]; properties: Record<string, Spec> };
  /** Of each field that is read, the way to it. */
  answer?: Record<string, { name: string; required: boolean; nullable: boolean }[] | null>;
}

const file = new URL('../fixtures/forges/github-rest.json', import.meta.url);
const { operations } = JSON.parse(await readFile(file, 'utf8')) as { operations: Record<string, Operation> };
const never = new AbortController().signal;
const ROOT = '/api/v3';

function operationOf({ method, path }: Pick<HubRequest, 'method' | 'path'>): [string, Operation] | null {
  const parts = path.slice(ROOT.length).split('/');
  const found = Object.entries(operations).find(([name]) => {
    const [verb = '', template = ''] = name.split(' ');
    const wanted = template.split('/');
    return (
      verb === method && wanted.length === parts.length && wanted.every((part, at) => part.startsWith('{') || part === parts[at])
    );
  });
  return found ?? null;
}

function fits(value: unknown, spec: Spec): boolean {
  if (spec.any !== undefined) return spec.any.some((one) => fits(value, one));
  if (spec.enum !== undefined && !spec.enum.includes(value)) return false;
  if (spec.type === 'array') return Array.isArray(value) && value.every((one) => fits(one, spec.items ?? {}));
  if (spec.type === 'integer') return Number.isInteger(Number(value)) && Number(value) <= (spec.maximum ?? Infinity);
  return spec.type === undefined || spec.type === 'object' || typeof value === spec.type;
}

/** What the specification of GitHub has against a request, or against the status that the stand-in answered it with. */
function deviations({ method, path, query, body }: HubRequest, answer: HubAnswer): string[] {
  const found = operationOf({ method, path });
  if (found === null) return [`${method} ${path} is in no specification`];
  const [name, operation] = found;
  const wrong: string[] = [];
  for (const [key, value] of query) {
    const spec = operation.query[key];
    const isNumber = spec?.type === 'integer';
    if (spec === undefined || !fits(isNumber ? Number(value) : value, spec)) wrong.push(`${name}: query ${key}=${value}`);
  }
  for (const [key, value] of Object.entries(body)) {
    const spec = operation.body?.properties[key];
    if (spec === undefined || !fits(value, spec)) wrong.push(`${name}: body ${key}`);
  }
  for (const key of operation.body?.required ?? []) if (!(key in body)) wrong.push(`${name}: body without ${key}`);
  if (!operation.statuses.includes(answer.status)) wrong.push(`${name}: answer ${answer.status}`);
  return wrong;
}

it('calls GitHub as its specification says, for everything that is done there', async () => {
  const wrong = new Set<string>();
  const called = new Set<string>();
  const dialect = githubDialect();
  const checking: Dialect = (request, hub) => {
    const answer = dialect(request, hub);
    if (answer === null || request.path === '/api/graphql') return answer;
    for (const one of deviations(request, answer)) wrong.add(one);
    called.add(operationOf(request)?.[0] ?? '');
    return answer;
  };
  const world = await forgeWorld('github', { dialect: checking });
  try {
    const order = {
      branch: 'davylamp/rb-1',
      base: 'main',
      title: 'Revert "x"',
      body: 'why',
      labels: ['davylamp', 'bug'],
      reviewers: ['robin', 'nobody', 'acme/platform'],
      autoMerge: true,
    };
    await world.branch(order.branch);
    const { number } = await world.forge.propose(order, never);
    await world.forge.propose(order, never);
    await world.end(number, 'person');
    await world.forge.proposalOf(order.branch, never);
    await world.forge.revertsOf({ sha: 'b'.repeat(40), subject: 'x' }, never);
    await world.forge.comment(number, 'said', never);
    const status = {
      commit: 'b'.repeat(40),
      state: 'failure',
      description: 'd',
      url: 'https://x.example',
      context: 'davylamp/shop',
    };
    await world.forge.setStatus({ ...status, state: 'failure' }, never);
    await world.forge.check(never);
    expect([...wrong]).toEqual([]);
    // The two of an App have a test of their own.
    const others = Object.keys(operations).filter((name) => !name.includes('/app'));
    expect([...called].sort()).toEqual(others.sort());
  } finally {
    await world.close();
  }
});

const SHAPES: Record<string, TSchema> = {
  'GET /repos/{owner}/{repo}': RepositoryAnswer,
  'GET /user': Login,
  'GET /repos/{owner}/{repo}/pulls': Pull,
  'POST /repos/{owner}/{repo}/pulls': Pull,
  'GET /repos/{owner}/{repo}/issues/{issue_number}': Issue,
};
const SAMPLES: Record<string, unknown> = {
  number: 1,
  html_url: 'https://github.com/acme/deploy/pull/1',
  state: 'open',
  archived: false,
  allow_auto_merge: true,
  push: true,
  auto_merge: { merge_method: 'merge' },
};
const LISTS: ReadonlySet<string> = new Set(['labels', 'requested_reviewers', 'requested_teams']);

/** An answer with all fields that are read, or with the least that the specification promises. */
function answerOf(fields: NonNullable<Operation['answer']>, least: boolean): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  for (const steps of Object.values(fields)) {
    let at = root;
    for (const [index, { name, required, nullable }] of (steps ?? []).entries()) {
      if (least && !required) break;
      const isLast = index === (steps?.length ?? 0) - 1;
      if (least && nullable) {
        at[name] = null;
        break;
      }
      if (isLast) {
        at[name] = SAMPLES[name] ?? 'text';
        break;
      }
      const inner: Record<string, unknown> = {};
      const known = at[name];
      if (known === undefined || known === null) at[name] = LISTS.has(name) ? [inner] : inner;
      at = (LISTS.has(name) ? (at[name] as Record<string, unknown>[])[0] : (at[name] as Record<string, unknown>)) ?? inner;
    }
  }
  return root;
}

it.each(Object.entries(SHAPES))('reads what %s promises, the least and all of it', (name, shape) => {
  const fields = operations[name]?.answer ?? {};
  expect(Object.entries(fields).filter(([, steps]) => steps === null)).toEqual([]);
  for (const least of [true, false]) {
    const answer = answerOf(fields, least);
    expect([...Value.Errors(shape, answer)].map(({ instancePath, message }) => `${instancePath} ${message}`)).toEqual([]);
  }
});

it('reads comments without a text', () => {
  expect(operations['GET /repos/{owner}/{repo}/issues/{issue_number}/comments']?.answer?.['body']).toEqual([
    { name: 'body', required: false, nullable: false },
  ]);
  expect(Value.Check(Comments, [{}])).toBe(true);
});
