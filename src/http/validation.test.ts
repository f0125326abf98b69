import fc from 'fast-check';
import { Type } from 'typebox';
import { Check } from 'typebox/schema';
import { describe, expect, it } from 'vitest';
import { Template } from '../analysis/template.ts';
import { JudgementRequest } from './routes/judgements.ts';
import { explain } from './validation.ts';

const shape = Type.Object(
  {
    size: Type.Union([
      Type.Object({ kind: Type.Literal('exact'), n: Type.Integer() }),
      Type.Object({ kind: Type.Literal('any') }),
    ]),
    share: Type.Optional(
      Type.Union([Type.String({ pattern: '^[0-9]+%$' }), Type.Number()], { description: 'a share such as 10%' }),
    ),
  },
  { additionalProperties: false },
);

describe('the explanation of what does not fit', () => {
  it.each<[unknown, { path: string; message: string }[]]>([
    [{ size: { kind: 'exact', n: 'x' } }, [{ path: '/size/n', message: 'expected integer' }]],
    [{ size: { kind: 'exact' } }, [{ path: '/size/n', message: 'is required' }]],
    [{ size: { kind: 'some' } }, [{ path: '/size/kind', message: 'expected one of exact, any' }]],
    [{ size: {} }, [{ path: '/size/kind', message: 'is required' }]],
    [{ size: 3 }, [{ path: '/size', message: 'expected object' }]],
    [{ size: { kind: 'any' }, share: 'ten' }, [{ path: '/share', message: 'expected: a share such as 10%' }]],
    [{ size: { kind: 'any' }, share: true }, [{ path: '/share', message: 'expected string or number' }]],
    [{ size: { kind: 'any' }, 'a/b~c': 1 }, [{ path: '/a~1b~0c', message: 'is not known here; known are size, share' }]],
  ])('of %j speaks of the branch that was meant', (value, errors) => {
    expect(explain(shape, value)).toEqual(errors);
  });

  it('never fails, is never empty and stays small, whatever does not fit', () => {
    for (const schema of [JudgementRequest, Template, shape]) {
      fc.assert(
        fc.property(fc.jsonValue(), (value) => {
          if (Check(schema, value)) return;
          const errors = explain(schema, value);
          expect(errors.length).toBeGreaterThan(0);
          expect(errors.length).toBeLessThanOrEqual(20);
        }),
        { numRuns: 500, seed: 1 },
      );
    }
  });
});
