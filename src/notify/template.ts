import { CodedError } from '../errors.ts';
import type { Notice } from './port.ts';

/** Names of facts and links have spaces: `${facts.bad commit}`. */
const PLACE = /\$\{([a-z]+(?:\.[A-Za-z0-9_-][A-Za-z0-9_ -]*)?)\}/g;
const ONLY_PLACE = /^\$\{[^{}]+\}$/;

/**
 * @param hasSecret whether there is a secret to fill in
 * @throws CodedError `notice_template_invalid` for a text that is no JSON or names what is not there
 */
export function templateIn(text: string, hasSecret: boolean): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CodedError('notice_template_invalid', 'template is no JSON; write it as the body that is to be sent', {
      cause: error,
    });
  }
  const names = new Set([...NAMES, ...(hasSecret ? ['secret'] : [])]);
  const [unknown] = unknownPlaces(value, names);
  if (unknown === undefined) return value;
  throw new CodedError('notice_template_invalid', `template names ${unknown}; there are: ${[...names].join(', ')}`);
}

/**
 * A JSON value in whose texts the places `${…}` are filled in: never in a key, and never as markup of JSON. A property that is
 * one place and nothing else is left out where the notice has nothing for it, because services refuse an empty address.
 */
export function filled(template: unknown, notice: Notice, secret: string | null): unknown {
  const value = (name: string) => (name === 'secret' ? secret : valueOf(name, notice));
  if (typeof template === 'string') return template.replaceAll(PLACE, (place, name: string) => value(name) ?? place);
  if (Array.isArray(template)) return template.map((item) => filled(item, notice, secret));
  if (typeof template !== 'object' || template === null) return template;
  const properties = Object.entries(template).flatMap(([key, inner]) => {
    const content = filled(inner, notice, secret);
    const isMissing = content === '' && typeof inner === 'string' && ONLY_PLACE.test(inner);
    return isMissing ? [] : [[key, content] as const];
  });
  return Object.fromEntries(properties);
}

/** Places in a template that name nothing. */
function unknownPlaces(template: unknown, names: ReadonlySet<string>): string[] {
  const found: string[] = [];
  const look = (value: unknown): void => {
    if (typeof value === 'string') {
      for (const [place, name = ''] of value.matchAll(PLACE)) if (!names.has(name.split('.')[0] ?? '')) found.push(place);
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
  'severity',
  'action',
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
  // The words of PagerDuty's Events API v2, which Opsgenie, Grafana OnCall and others share.
  if (head === 'severity') return { page: 'critical', warn: 'warning', info: 'info' }[notice.urgency];
  if (head === 'action') return notice.urgency === 'page' ? 'trigger' : 'resolve';
  if (head === 'at') return new Date(notice.at).toISOString();
  if (head === 'link') return Object.values(notice.links)[0] ?? '';
  const value: unknown = notice[head as keyof Notice];
  return typeof value === 'string' ? value : '';
}
