import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fillPlain, fillSelector, placeholdersIn, refuseUnlisted } from './arguments.ts';

describe('filling arguments into a selector', () => {
  it('puts a value into a label string', () => {
    expect(fillSelector('http_requests_total{service="${service}"}', { service: 'shop' })).toBe(
      'http_requests_total{service="shop"}',
    );
  });

  it('escapes for the quote that is open', () => {
    expect(fillSelector('a{b="${v}"}', { v: 'x"y\\z' })).toBe('a{b="x\\"y\\\\z"}');
    expect(fillSelector("a{b='${v}'}", { v: 'x\'y"z' })).toBe("a{b='x\\'y\"z'}");
  });

  it('makes a value literal inside a regular expression', () => {
    expect(fillSelector('a{b=~"${v}.*"}', { v: 'shop|.+' })).toBe('a{b=~"shop\\\\|\\\\.\\\\+.*"}');
  });

  it('is not fooled by an escaped quote before the placeholder', () => {
    expect(fillSelector('a{b="x\\"${v}"}', { v: '"' })).toBe('a{b="x\\"\\""}');
  });

  it('takes only a name or a duration outside of a string', () => {
    expect(fillSelector('${metric}{a="b"}', { metric: 'http_requests_total' })).toBe('http_requests_total{a="b"}');
    expect(() => fillSelector('${metric}{a="b"}', { metric: 'x} or y{' })).toThrow(
      expect.objectContaining({ code: 'argument_unsafe' }),
    );
  });

  it('names the argument that has no value, also for names of Object.prototype', () => {
    expect(() => fillSelector('a{b="${nope}"}', {})).toThrow(expect.objectContaining({ code: 'argument_missing' }));
    expect(() => fillPlain('${constructor}', {})).toThrow(expect.objectContaining({ code: 'argument_missing' }));
  });

  it('keeps the shape of the query whatever the argument is', () => {
    // Outside of strings the query must stay what it is: cut every string out and compare.
    const shape = (text: string) => text.replaceAll(/"(?:[^"\\]|\\.)*"/gs, '""');
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (value) => {
        const filled = fillSelector('up{a="x${v}y",b=~"${v}",c!="z"}', { v: value });
        expect(shape(filled)).toBe('up{a="",b=~"",c!=""}');
      }),
    );
  });

  it('fills a plain label value as it is', () => {
    expect(fillPlain('${application}-canary', { application: 'shop' })).toBe('shop-canary');
  });

  it('lists the placeholders once each', () => {
    expect(placeholdersIn('${a} ${b} ${a}')).toEqual(['a', 'b']);
  });
});

describe('the arguments of a request', () => {
  const shop = { name: 'shop', requestArguments: ['run', 'constructor'] };

  it('are those that the application lists', () => {
    expect(() => refuseUnlisted({}, shop)).not.toThrow();
    expect(() => refuseUnlisted({ run: '7', constructor: 'x' }, shop)).not.toThrow();
  });

  it('are refused with the place of each, and with what to do', () => {
    expect(() => refuseUnlisted({ run: '7', service: 'x', toString: 'y' }, shop)).toThrow(
      expect.objectContaining({
        code: 'argument_refused',
        message:
          '/arguments/service: a request may not set it; leave it out, or list service, toString in applications.shop.requestArguments of the configuration',
        details: {
          errors: [
            { path: '/arguments/service', message: 'a request may not set it' },
            { path: '/arguments/toString', message: 'a request may not set it' },
          ],
        },
      }),
    );
  });
});
