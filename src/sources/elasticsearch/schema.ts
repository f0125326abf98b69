import { Type, type Static } from 'typebox';

export const ElasticsearchSource = Type.Object(
  {
    type: Type.Literal('elasticsearch'),
    url: Type.String({ pattern: '^https?://', maxLength: 2_000, description: 'Base address.' }),
    apiKeyFile: Type.Optional(Type.String({ minLength: 1, description: 'File that holds the API key.' })),
  },
  { additionalProperties: false },
);
export type ElasticsearchSource = Static<typeof ElasticsearchSource>;
