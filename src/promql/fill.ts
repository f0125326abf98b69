import { CodedError } from '../errors.ts';
import { splitQuery, type QueryPart } from './split.ts';
import { escapedFor, literalPattern } from './strings.ts';

const PLACEHOLDER = /\$\{([a-zA-Z_][a-zA-Z0-9_]*)\}/g;

/** What a value may be where it stands outside of a string. */
const FORMS = {
  'the name of a metric': /^[a-zA-Z_:][a-zA-Z0-9_:]{0,200}$/,
  'the name of a label': /^[a-zA-Z_][a-zA-Z0-9_]{0,200}$/,
  'a part of a name': /^[a-zA-Z0-9_]{1,200}$/,
  'a number': /^[0-9]{1,15}(\.[0-9]{1,15})?$/,
  'a duration':
    /^(?=[0-9])([0-9]{1,6}y)?([0-9]{1,6}w)?([0-9]{1,6}d)?([0-9]{1,6}h)?([0-9]{1,9}m(?!s))?([0-9]{1,9}s)?([0-9]{1,12}ms)?$/,
} as const;
type Form = keyof typeof FORMS;

/** Words that mean something else than a name where an expression or a modifier may stand; the case does not matter. */
const RESERVED = new Set(
  (
    'and or unless atan2 by without on ignoring group_left group_right group bool offset start end step inf nan ' +
    'sum avg count min max stddev stdvar topk bottomk count_values quantile limitk limit_ratio ' +
    'anchored smoothed fill fill_left fill_right range'
  ).split(' '),
);

/**
 * Fills `${name}` in PromQL. A value is one literal, escaped for where it stands: in a string for its kind of quotes, and
 * behind `=~` and `!~` for the regular expression as well; outside of strings it is a name, a number or a duration, as
 * the place wants it. So no value can change the shape of the query.
 *
 * @param valueOf the value of a name; throws when there is none
 * @throws CodedError `argument_unsafe`
 */
export function fillPromql(text: string, valueOf: (name: string) => string): string {
  const parts = splitQuery(text);
  return parts
    .map((part, index) => {
      if (part.kind === 'comment') return part.text;
      const before = codeAround(parts.slice(0, index));
      if (part.kind === 'string') return fillString(part.text, /[=!]~\s*$/.test(before), valueOf);
      return fillCode(part, before, codeAround(parts.slice(index + 1)), valueOf);
    })
    .join('');
}

/**
 * The query with each placeholder and variable replaced by something of the same length that may stand there, so that it
 * can be parsed and places in it stay what they are.
 */
export function maskPlaceholders(text: string): string {
  const parts = splitQuery(text);
  return parts
    .map((part, index) => {
      if (part.kind === 'comment') return part.text;
      if (part.kind === 'string') return part.text.replaceAll(PLACEHOLDER, (placeholder) => 'x'.repeat(placeholder.length));
      const before = codeAround(parts.slice(0, index));
      const after = codeAround(parts.slice(index + 1));
      return part.text
        .replaceAll(PLACEHOLDER, (placeholder: string, _name: string, at: number) => {
          const left = (before + part.text.slice(0, at)).replaceAll(PLACEHOLDER, 'x');
          const right = (part.text.slice(at + placeholder.length) + after).replaceAll(PLACEHOLDER, 'x');
          const [form] = formsAt(left, right);
          if (form === 'a duration') return `${'1'.repeat(placeholder.length - 1)}s`;
          return (form === 'a number' ? '1' : 'x').repeat(placeholder.length);
        })
        .replaceAll(/\$__range_m?s\b/g, (variable) => '1'.repeat(variable.length))
        .replaceAll(/\$__range\b/g, '1111111s')
        .replaceAll(/\$__side\b/g, 'xxx="x"');
    })
    .join('');
}

/** Code without its comments and with empty strings, where only its shape matters. */
function codeAround(parts: readonly QueryPart[]): string {
  return parts.map(({ kind, text }) => (kind === 'code' ? text : kind === 'string' ? '""' : ' ')).join('');
}

function fillString(literal: string, pattern: boolean, valueOf: (name: string) => string): string {
  const quote = literal.charAt(0);
  return literal.replaceAll(PLACEHOLDER, (placeholder, name: string, at: number) => {
    const value = valueOf(name);
    const slashes = /\\*$/.exec(literal.slice(0, at))?.[0].length ?? 0;
    const escapes = quote === '`' ? 1 : 2;
    if ((quote !== '`' && slashes % 2 === 1) || (pattern && Math.floor(slashes / escapes) % 2 === 1)) {
      throw unsafe(name, 'stands behind a backslash, which would take its first sign');
    }
    // A repetition behind it is meant for the whole value.
    const repeated = pattern && /^[*+?{]/.test(literal.slice(at + placeholder.length));
    const meant = pattern ? literalPattern(value) : value;
    const inner = repeated ? `(?:${meant})` : meant;
    if (quote !== '`') return escapedFor(inner, quote);
    if (!inner.includes('`') && !inner.includes('\r')) return inner;
    throw unsafe(
      name,
      'holds a back-tick or a carriage return and stands in a back-tick string; quote the string with " instead',
    );
  });
}

function fillCode(part: QueryPart, before: string, after: string, valueOf: (name: string) => string): string {
  return part.text.replaceAll(PLACEHOLDER, (placeholder, name: string, at: number) => {
    const value = valueOf(name);
    // Other placeholders are names for the shape; what they become is checked where they stand.
    const left = (before + part.text.slice(0, at)).replaceAll(PLACEHOLDER, 'x');
    const right = (part.text.slice(at + placeholder.length) + after).replaceAll(PLACEHOLDER, 'x');
    const forms = formsAt(left, right);
    if (!forms.some((form) => FORMS[form].test(value))) throw unsafe(name, `stands where only ${forms.join(' or ')} may stand`);
    const word = (/[a-zA-Z0-9_:]*$/.exec(left)?.[0] ?? '') + value + (/^[a-zA-Z0-9_:]*/.exec(right)?.[0] ?? '');
    // The parser looks words up in an object, where it finds these, too.
    if (RESERVED.has(word.toLowerCase()) || word in Object.prototype)
      throw unsafe(name, `would become the word "${word.slice(0, 30)}", which is part of the language`);
    if (/^\s*\(/.test(right) && FORMS['the name of a metric'].test(value)) throw unsafe(name, 'stands where a function is named');
    return value;
  });
}

/** What may stand between the two. */
function formsAt(left: string, right: string): readonly Form[] {
  const open = openBrackets(left);
  if (open === '[') return /[a-zA-Z0-9]$/.test(left) ? ['a number'] : ['a duration', 'a number'];
  const word = /[a-zA-Z0-9_:]+$/.exec(left)?.[0] ?? '';
  if (/^[0-9]/.test(word)) return ['a number'];
  if (word !== '') return ['a part of a name'];
  if (/^[a-zA-Z0-9_:]/.test(right)) return [open === '{' ? 'the name of a label' : 'the name of a metric'];
  if (/\boffset\s*[-+]?\s*$/i.test(left)) return ['a duration', 'a number'];
  if (/@\s*$/.test(left)) return ['a number'];
  if (open === '{' || /\b(by|without|on|ignoring|group_left|group_right)\s*\([^()]*$/i.test(left)) return ['the name of a label'];
  if (/^\s*[{[]/.test(right)) return ['the name of a metric'];
  return ['the name of a metric', 'a number', 'a duration'];
}

/** The bracket that is open at the end of the text. */
function openBrackets(text: string): string {
  const open: string[] = [];
  for (const sign of text) {
    if (sign === '{' || sign === '[' || sign === '(') open.push(sign);
    else if (sign === '}' || sign === ']' || sign === ')') open.pop();
  }
  return open.at(-1) ?? '';
}

function unsafe(name: string, why: string): CodedError {
  return new CodedError('argument_unsafe', `\${${name}} ${why}`);
}
