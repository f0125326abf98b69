import type { FastifyInstance } from 'fastify';
import type { CodedError } from '../errors.ts';
import { invalid } from './problem.ts';

/**
 * Bodies are JSON and nothing else. An empty one is no body, so that `POST …/cancel` works with and without a content
 * type. `__proto__` and `constructor.prototype` are refused as fastify's own parser does (secure-json-parse).
 */
export function acceptJson(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, text: string, done) => {
    if (text.trim() === '') {
      done(null, undefined);
      return;
    }
    void parse(request, text, (error, value) => {
      if (error === null) done(null, value);
      else done(unreadable(text));
    });
  });
}

function unreadable(text: string): CodedError {
  try {
    JSON.parse(text);
  } catch (error) {
    const place = error instanceof Error ? /at position ([0-9]+)/.exec(error.message)?.[1] : undefined;
    const message = `the body is not JSON${place === undefined ? '' : `, from ${lineAndColumn(text, Number(place))} on`}`;
    return invalid('body_invalid', [{ path: '', message }]);
  }
  return invalid('body_invalid', [{ path: '', message: 'the body has a forbidden key: __proto__, or prototype in constructor' }]);
}

function lineAndColumn(text: string, position: number): string {
  const before = text.slice(0, position);
  const lineStart = before.lastIndexOf('\n') + 1;
  return `line ${before.split('\n').length}, column ${position - lineStart + 1}`;
}
