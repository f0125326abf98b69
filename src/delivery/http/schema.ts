import { Type, type Static } from 'typebox';
import { Duration } from '../../analysis/quantities.ts';

/** Calls a URL of yours: docs/reference/delivery-http.md has the contract. */
export const HttpDelivery = Type.Object(
  {
    type: Type.Literal('http'),
    url: Type.String({
      pattern: '^https?://',
      maxLength: 2_000,
      description: 'Base address; GET it for the state, POST /abort, /annotate, /sync.',
    }),
    tokenFile: Type.Optional(Type.String({ minLength: 1, description: 'File that holds a bearer token.' })),
    timeout: Type.Optional(Type.Unsafe<string>({ ...Duration, default: '5s', description: 'For one call.' })),
  },
  { additionalProperties: false },
);
export type HttpDelivery = Static<typeof HttpDelivery>;
