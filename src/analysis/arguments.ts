import { CodedError } from '../errors.ts';
import { fillPromql } from '../promql/fill.ts';

/** Every analysis has these by itself: what it is about, whatever the configuration or a request says. */
export const GIVEN_ARGUMENTS: readonly string[] = ['application', 'revision'];

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

/**
 * A request sets only those arguments that the application leaves to it: any other could point an analysis at the metrics
 * of something else.
 *
 * @throws CodedError `argument_refused`, with every refused one in `details.errors`
 */
export function refuseUnlisted(
  requested: Readonly<Record<string, string>>,
  application: { name: string; requestArguments: readonly string[] },
): void {
  const refused = Object.keys(requested).filter((name) => !application.requestArguments.includes(name));
  const [first] = refused;
  if (first === undefined) return;
  throw new CodedError(
    'argument_refused',
    `/arguments/${first}: a request may not set it; leave it out, or list ${refused.join(', ')} in applications.${application.name}.requestArguments of the configuration`,
    { details: { errors: refused.map((name) => ({ path: `/arguments/${name}`, message: 'a request may not set it' })) } },
  );
}

/** Fills `${name}` in the value of a label that is compared as a whole, where nothing needs escaping. */
export function fillPlain(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\{([a-zA-Z_][a-zA-Z0-9_]*)\}/g, (_, name: string) => valueOf(name, values));
}

/**
 * Fills `${name}` in a selector or query in the language of PromQL, so that no argument can change its shape.
 *
 * @throws CodedError `argument_missing`, `argument_unsafe`
 */
export function fillSelector(text: string, values: Readonly<Record<string, string>>): string {
  return fillPromql(text, (name) => valueOf(name, values));
}
