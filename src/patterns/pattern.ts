import { CodedError } from '../errors.ts';
import { parsePattern, type Assertion, type Node, type Test } from './pattern-syntax.ts';

type Instruction =
  | { kind: 'character'; test: Test }
  | { kind: 'assertion'; what: Assertion }
  /** Goes on at both places. */
  | { kind: 'split'; a: number; b: number }
  | { kind: 'jump'; to: number }
  | { kind: 'match' };

/** Steps that a compiled pattern may have; bounds the work for each character of a label value. */
export const MAX_PROGRAM = 2_000;
const NONE = -1;

/**
 * Compiles a regular expression in RE2's syntax to a function that says whether it matches a whole text, as `=~` of
 * PromQL and of an Alertmanager asks. The text is walked once while all ways through the pattern are followed side by side, so that no pattern
 * takes more than (length of the text) x (steps of the pattern): JavaScript's own RegExp can take exponential time, and
 * the patterns here come from configuration and arguments.
 *
 * Method: Thompson's simulation as in https://swtch.com/~rsc/regexp/regexp2.html.
 *
 * @param dotTakesLines see `parsePattern`
 * @throws CodedError `pattern_invalid`, with `details.offset` in the pattern
 */
export function compilePattern(source: string, dotTakesLines = true): (text: string) => boolean {
  const program: Instruction[] = [];
  emit(parsePattern(source, dotTakesLines), program);
  push(program, { kind: 'match' });
  return (text) => run(program, text);
}

function push(program: Instruction[], instruction: Instruction): number {
  if (program.length >= MAX_PROGRAM) {
    throw new CodedError(
      'pattern_invalid',
      `a regular expression may have at most ${MAX_PROGRAM} steps; its repetitions make it longer`,
      {
        details: { offset: 0 },
      },
    );
  }
  return program.push(instruction) - 1;
}

function emit(node: Node, program: Instruction[]): void {
  switch (node.kind) {
    case 'character':
    case 'assertion':
      push(program, node);
      break;
    case 'sequence':
      for (const part of node.nodes) emit(part, program);
      break;
    case 'choice':
      emitChoice(node.nodes, program);
      break;
    case 'repeat':
      emitRepeat(node, program);
      break;
  }
}

function emitChoice(nodes: readonly Node[], program: Instruction[]): void {
  const jumps: { kind: 'jump'; to: number }[] = [];
  for (const [at, part] of nodes.entries()) {
    const last = at === nodes.length - 1;
    const split = { kind: 'split' as const, a: 0, b: 0 };
    if (!last) split.a = push(program, split) + 1;
    emit(part, program);
    if (last) break;
    const jump = { kind: 'jump' as const, to: 0 };
    push(program, jump);
    jumps.push(jump);
    split.b = program.length;
  }
  for (const jump of jumps) jump.to = program.length;
}

function emitRepeat({ node, least, most }: { node: Node; least: number; most: number }, program: Instruction[]): void {
  for (let count = 0; count < least; count++) emit(node, program);
  if (most === Infinity) {
    const split = { kind: 'split' as const, a: 0, b: 0 };
    const at = push(program, split);
    split.a = at + 1;
    emit(node, program);
    push(program, { kind: 'jump', to: at });
    split.b = program.length;
    return;
  }
  const splits: { kind: 'split'; a: number; b: number }[] = [];
  for (let count = least; count < most; count++) {
    const split = { kind: 'split' as const, a: 0, b: 0 };
    split.a = push(program, split) + 1;
    emit(node, program);
    splits.push(split);
  }
  for (const split of splits) split.b = program.length;
}

function run(program: readonly Instruction[], text: string): boolean {
  const seen = new Uint32Array(program.length);
  let round = 1;
  let current: number[] = [];
  let next: number[] = [];
  let matched = follow(program, 0, NONE, text.codePointAt(0) ?? NONE, seen, round, current);
  for (let at = 0; at < text.length;) {
    const code = text.codePointAt(at) ?? NONE;
    at += code > 0xffff ? 2 : 1;
    const after = text.codePointAt(at) ?? NONE;
    round++;
    matched = false;
    for (const step of current) {
      const instruction = program[step];
      if (instruction?.kind === 'character' && instruction.test(code)) {
        if (follow(program, step + 1, code, after, seen, round, next)) matched = true;
      }
    }
    [current, next] = [next, current];
    next.length = 0;
    if (current.length === 0 && at < text.length) return false;
  }
  return matched;
}

/**
 * Adds to `list` every character test that can be reached from `start` without taking a character.
 * @returns whether the end of the pattern can be reached
 */
function follow(
  program: readonly Instruction[],
  start: number,
  before: number,
  after: number,
  seen: Uint32Array,
  round: number,
  list: number[],
): boolean {
  const open = [start];
  let matched = false;
  for (let step = open.pop(); step !== undefined; step = open.pop()) {
    if (seen[step] === round) continue;
    seen[step] = round;
    const instruction = program[step];
    if (instruction === undefined) continue;
    if (instruction.kind === 'character') list.push(step);
    else if (instruction.kind === 'split') open.push(instruction.b, instruction.a);
    else if (instruction.kind === 'jump') open.push(instruction.to);
    else if (instruction.kind === 'match') matched = true;
    else if (holds(instruction.what, before, after)) open.push(step + 1);
  }
  return matched;
}

function holds(what: Assertion, before: number, after: number): boolean {
  switch (what) {
    case 'text-start':
      return before === NONE;
    case 'text-end':
      return after === NONE;
    case 'line-start':
      return before === NONE || before === 10;
    case 'line-end':
      return after === NONE || after === 10;
    case 'word-edge':
      return isWord(before) !== isWord(after);
    case 'no-word-edge':
      return isWord(before) === isWord(after);
  }
}

function isWord(code: number): boolean {
  return (code >= 48 && code <= 57) || (code >= 65 && code <= 90) || code === 95 || (code >= 97 && code <= 122);
}
