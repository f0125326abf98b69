import { describe, expect, it } from 'vitest';
import { readArguments } from './command-line.ts';

const shape = { values: ['config'], flags: ['json'], positionals: ['FILE'] };

describe('arguments of a command', () => {
  it('are values, flags and positionals, in any order', () => {
    for (const args of [
      ['a.yaml', '--config', 'x', '--json'],
      ['--json', '--config=x', 'a.yaml'],
    ]) {
      const parsed = readArguments(args, shape);
      expect(parsed.values.get('config')).toBe('x');
      expect(parsed.flags.has('json')).toBe(true);
      expect(parsed.positionals).toEqual(['a.yaml']);
    }
  });

  it('may begin with a dash after --', () => {
    expect(readArguments(['--', '-a.yaml'], shape).positionals).toEqual(['-a.yaml']);
  });

  it.each([
    [['a', '--jsn'], "there is no option '--jsn'; did you mean --json?"],
    [['a', '--no-json'], "there is no option '--no-json'; did you mean --json?"],
    [['a', '-x'], "there is no option '-x'"],
    [['a', '--config'], '--config needs a value'],
    [['a', '--config='], '--config needs a value'],
    [['a', '--config', 'x', '--config', 'y'], '--config is given twice'],
    [['a', '--json=yes'], '--json takes no value'],
    [[], 'FILE is missing'],
    [['a', 'b'], "'b' is one argument too many"],
  ])('%j are refused: %s', (args, message) => {
    expect(() => readArguments(args, shape)).toThrowError(expect.objectContaining({ code: 'usage', message }));
  });
});
