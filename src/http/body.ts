import type { FastifyInstance, FastifyRequest } from 'fastify';
import { CodedError } from '../errors.ts';
import type { CheckSignature } from './authentication.ts';
import { invalid } from './problem.ts';

/** No schema of the API is deeper than eight levels; webhooks of others may carry more. */
const MAX_DEPTH = 32;
const MAX_ENTRIES = 100_000;
const SOMETHING = /\S/;

/**
 * Bodies are JSON and nothing else. An empty one is no body, so that `POST …/cancel` works with and without a content
 * type. `__proto__` and `constructor.prototype` are refused as fastify's own parser does (secure-json-parse). A signature is checked on the text before anything is made of it.
 */
export function acceptJson(app: FastifyInstance, checkSignature: CheckSignature): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  acceptForms(app);
  const read = (request: FastifyRequest, text: string, done: (error: Error | null, value?: unknown) => void): void => {
    if (request.routeOptions.config.raw === true) {
      done(null, Buffer.from(text));
      return;
    }
    if (!SOMETHING.test(text)) {
      done(null, undefined);
      return;
    }
    void parse(request, text, (error, value: unknown) => {
      if (error === null) done(excess(value) ?? null, value);
      else done(unreadable(text));
    });
  };
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, text: string, done) => {
    if (request.signed === null) {
      read(request, text, done);
      return;
    }
    checkSignature(request, text, (refusal) => {
      if (refusal === undefined) read(request, text, done);
      else done(refusal);
    });
  });
}

/** The default of GitHub's webhooks; nothing else of ours is a form. */
function acceptForms(app: FastifyInstance): void {
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (request, text: string, done) => {
    if (request.routeOptions.config.raw === true) done(null, Buffer.from(text));
    else done(new CodedError('media_type_unsupported', 'send the body as application/json'));
  });
}

/** Levels and list entries without end would cost whoever walks them next far more than their bytes. */
function excess(value: unknown): CodedError | undefined {
  const path = tooMuch(value, 0);
  if (path === undefined) return undefined;
  const message = `lists have at most ${MAX_ENTRIES} entries, and nothing is nested deeper than ${MAX_DEPTH} levels`;
  return invalid('body_invalid', [{ path, message }]);
}

/** JSON pointer of the first thing that is too deep or too long. */
function tooMuch(value: unknown, depth: number): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (depth >= MAX_DEPTH) return '';
  if (Array.isArray(value)) {
    if (value.length > MAX_ENTRIES) return '';
    for (let at = 0; at < value.length; at += 1) {
      const entry: unknown = value[at];
      const below = typeof entry === 'object' ? tooMuch(entry, depth + 1) : undefined;
      if (below !== undefined) return `/${at}${below}`;
    }
    return undefined;
  }
  // In place of Object.entries, which makes an array for every object of every webhook; JSON has own keys only.
  for (const name in value) {
    const entry: unknown = (value as Record<string, unknown>)[name];
    const below = typeof entry === 'object' ? tooMuch(entry, depth + 1) : undefined;
    if (below !== undefined) return `/${escaped(name)}${below}`;
  }
  return undefined;
}

function unreadable(text: string): CodedError {
  try {
    JSON.parse(text);
  } catch (error) {
    const words = error instanceof Error ? error.message : '';
    const place = /at position ([0-9]+)/.exec(words)?.[1] ?? (words.includes('end of JSON input') ? text.length : undefined);
    const message = `the body is not JSON${place === undefined ? '' : `, from ${lineAndColumn(text, Number(place))} on`}`;
    return invalid('body_invalid', [{ path: '', message }]);
  }
  const path = forbidden(JSON.parse(text), 0) ?? '';
  return invalid('body_invalid', [{ path, message: 'the body has a forbidden key: __proto__, or prototype in constructor' }]);
}

/** JSON pointer of the key that the parser refused, as far down as bodies may go. JSON.parse makes own keys of them. */
function forbidden(value: unknown, depth: number): string | undefined {
  if (typeof value !== 'object' || value === null || depth >= MAX_DEPTH) return undefined;
  for (const [name, entry] of Object.entries(value) as [string, unknown][]) {
    if (name === '__proto__') return '/__proto__';
    if (name === 'constructor' && typeof entry === 'object' && entry !== null && Object.hasOwn(entry, 'prototype'))
      return '/constructor/prototype';
    const below = forbidden(entry, depth + 1);
    if (below !== undefined) return `/${escaped(name)}${below}`;
  }
  return undefined;
}

/** @see RFC 6901 */
function escaped(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}

function lineAndColumn(text: string, position: number): string {
  const before = text.slice(0, position);
  const lineStart = before.lastIndexOf('\n') + 1;
  return `line ${before.split('\n').length}, column ${position - lineStart + 1}`;
}
