import { Type, type TSchema } from 'typebox';

const MAX_PAGE = 100;
export const DEFAULT_PAGE = 20;

/** An answer of an operation as JSON, for its schema: what it means, its body, its headers by name and meaning. */
export function json<const S extends TSchema>(description: string, schema: S, headers: Readonly<Record<string, string>> = {}) {
  return {
    description,
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, meaning]) => [name, { type: 'string', description: meaning }]),
    ),
    content: { 'application/json': { schema } },
  };
}

/** The address of what was made. */
export const LOCATION = { Location: 'Address of the resource.' };

/** One page of a listing, newest first. */
export function pageOf<S extends TSchema>(item: S) {
  return Type.Object({
    items: Type.Array(item, { maxItems: MAX_PAGE }),
    next: Type.Union([Type.String(), Type.Null()], { description: 'Cursor of the next page; null on the last.' }),
  });
}

/** The parameters of a listing that choose its page. */
export const pageQuery = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_PAGE, default: DEFAULT_PAGE, description: 'Entries a page.' })),
  cursor: Type.Optional(Type.String({ pattern: '^[\\x21-\\x7e]{1,500}$', description: '`next` of the page before; opaque.' })),
};

/** Ids are made by davylamp; what cannot be one is not looked up. */
export const idParams = (description: string) =>
  Type.Object({ id: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$', description }) });
