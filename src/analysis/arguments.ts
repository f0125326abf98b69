import { CodedError } from '../errors.ts';

const PLACEHOLDER = /\$\{([a-zA-Z_][a-zA-Z0-9_]*)\}/y;
const BARE_VALUE = /^([a-zA-Z_:][a-zA-Z0-9_:]{0,200}|[0-9]{1,9}(ms|s|m|h|d|w|y)?)$/;

/** Names of the arguments that a text asks for, in order, without repeats. */
export function placeholdersIn(text: string): string[] {
  return [...new Set([...text.matchAll(/\$\{([a-zA-Z_][a-zA-Z0-9_]*)\}/g)].map((match) => match[1] ?? ''))];
}

function valueOf(name: string, values: Readonly<Record<string, string>>): string {
  const value = Object.hasOwn(values, name) ? values[name] : undefined;
  if (value === undefined) {
    throw new CodedError(
      'argument_missing',
      `the query asks for \${${name}}, which has no value; set it under "arguments" of the application`,
    );
  }
  return value;
}

/** Fills `${name}` in the value of a label that is compared as a whole, where nothing needs escaping. */
export function fillPlain(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\{([a-zA-Z_][a-zA-Z0-9_]*)\}/g, (_, name: string) => valueOf(name, values));
}

/**
 * Fills `${name}` in a selector in the language of PromQL. An argument is always a literal: inside a string it is
 * escaped for that string, after `=~` and `!~` for the regular expression as well, and outside a string only a name
 * or a duration is taken. So no argument can change the shape of the query.
 *
 * @throws CodedError `argument_missing`, `argument_unsafe`
 */
export function fillSelector(text: string, values: Readonly<Record<string, string>>): string {
  let filled = '';
  let quote = '';
  let regex = false;
  for (let at = 0; at < text.length;) {
    const character = text.charAt(at);
    PLACEHOLDER.lastIndex = at;
    const match = PLACEHOLDER.exec(text);
    if (match !== null) {
      const name = match[1] ?? '';
      filled += escaped(name, valueOf(name, values), quote, regex);
      at += match[0].length;
      continue;
    }
    if (quote === '' && (character === '"' || character === "'" || character === '`')) {
      quote = character;
      regex = /[=!]~\s*$/.test(text.slice(0, at));
    } else if (character === quote) {
      quote = '';
    } else if (character === '\\' && quote !== '' && quote !== '`') {
      filled += character;
      at += 1;
    }
    filled += text.charAt(at);
    at += 1;
  }
  return filled;
}

function escaped(name: string, value: string, quote: string, regex: boolean): string {
  if (quote === '') {
    if (BARE_VALUE.test(value)) return value;
    throw new CodedError('argument_unsafe', `\${${name}} stands outside of a string, where only a name or a duration may stand`);
  }
  const literal = regex ? value.replaceAll(/[\\^$.*+?()[\]{}|]/g, (sign) => `\\${sign}`) : value;
  if (quote === '`') {
    if (!literal.includes('`')) return literal;
    throw new CodedError(
      'argument_unsafe',
      `\${${name}} holds a back-tick and stands in a back-tick string; quote the string with " instead`,
    );
  }
  return literal
    .replaceAll('\\', '\\\\')
    .replaceAll(quote, `\\${quote}`)
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r')
    .replaceAll('\t', '\\t');
}
