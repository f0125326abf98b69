import { CodedError } from '../errors.ts';
import type { Notice } from './port.ts';

const PLACE = /\$\{([a-z]+(?:\.[A-Za-z0-9_-]+)?)\}/g;

/** @throws CodedError `notice_template_invalid` for a text that is no JSON or names what is not there */
export function templateIn(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CodedError('notice_template_invalid', 'template is no JSON; write it as the body that is to be sent', {
      cause: error,
    });
  }
  const [unknown] = unknownPlaces(value);
  if (unknown === undefined) return value;
  throw new CodedError('notice_template_invalid', `template names ${unknown}; there are: ${[...NAMES].join(', ')}`);
}

/** A JSON value in whose texts the places `${…}` are filled in: never in a key, and never as markup of JSON. */
export function filled(template: unknown, notice: Notice): unknown {
  if (typeof template === 'string') return template.replaceAll(PLACE, (place, name: string) => valueOf(name, notice) ?? place);
  if (Array.isArray(template)) return template.map((item) => filled(item, notice));
  if (typeof template !== 'object' || template === null) return template;
  return Object.fromEntries(Object.entries(template).map(([key, value]) => [key, filled(value, notice)]));
}

/** Places in a template that name nothing. */
function unknownPlaces(template: unknown): string[] {
  const found: string[] = [];
  const look = (value: unknown): void => {
    if (typeof value === 'string') {
      for (const [place, name = ''] of value.matchAll(PLACE)) if (!NAMES.has(name.split('.')[0] ?? '')) found.push(place);
    } else if (typeof value === 'object' && value !== null) Object.values(value).forEach(look);
  };
  look(template);
  return found;
}

const NAMES: ReadonlySet<string> = new Set([
  'title',
  'sentence',
  'event',
  'code',
  'urgency',
  'application',
  'incident',
  'id',
  'at',
  'link',
  'facts',
  'links',
]);

function valueOf(name: string, notice: Notice): string | null {
  const [head = '', key] = name.split('.');
  if (!NAMES.has(head)) return null;
  if (key !== undefined) {
    if (head === 'facts') return Object.hasOwn(notice.facts, key) ? String(notice.facts[key] ?? '') : '';
    return head === 'links' && Object.hasOwn(notice.links, key) ? (notice.links[key] ?? '') : '';
  }
  if (head === 'at') return new Date(notice.at).toISOString();
  if (head === 'link') return Object.values(notice.links)[0] ?? '';
  const value: unknown = notice[head as keyof Notice];
  return typeof value === 'string' ? value : '';
}
