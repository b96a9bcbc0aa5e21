/** The guards for values from outside: what passes, and the words for what does not. */

import { runInNewContext } from 'node:vm';
import * as check from '../../lib/check';
import { errorOf, expectError } from '../binding/support/errors';

test.each<[unknown, string]>([
  ['text', '"text"'],
  ['x'.repeat(100), `"${'x'.repeat(80)}…"`],
  ['a\n"b"', '"a\\n\\"b\\""'],
  [7, '7'],
  [Number.NaN, 'NaN'],
  [7n, 'the bigint 7'],
  [true, 'true'],
  [null, 'null'],
  [undefined, 'undefined'],
  [Symbol('s'), 'a symbol'],
  [() => 1, 'a function'],
  [[1, 2], 'an array of 2'],
  [{}, 'an object'],
  [Object.create(null), 'an object'],
  [new Date(0), 'a Date'],
  [new Float32Array(2), 'a Float32Array'],
  [new Int32Array(2), 'an Int32Array'],
  [new Map(), 'a Map'],
])('case %#: described as %3$s', (value, words) => {
  expect(check.describe(value)).toBe(words);
});

test('oneOf joins words as a sentence does', () => {
  expect(check.oneOf([])).toBe('');
  expect(check.oneOf(['a'])).toBe('a');
  expect(check.oneOf(['a', 'b', 'c'])).toBe('a, b or c');
});

test('values that are right come back as they are', () => {
  const object = { a: 1 };
  expect(check.checkObject('x', object, ['a', 'b'])).toBe(object);
  expect(check.checkObject('x', Object.create(null), [])).toEqual({});
  expect(check.checkInteger('x', -3, -3, 5)).toBe(-3);
  expect(check.checkInteger('x', 5, -3, 5)).toBe(5);
  expect(check.checkFinite('x', 0.5)).toBe(0.5);
  expect(check.checkBoolean('x', false)).toBe(false);
  expect(check.checkString('x', 's')).toBe('s');
  expect(check.checkLiteral('x', 'b', ['a', 'b'])).toBe('b');
  expect(check.checkArray('x', [1])).toEqual([1]);
  expect(check.optional(undefined, () => 1)).toBeUndefined();
  expect(check.optional(0, (value) => value + 1)).toBe(1);
  const f = () => 1;
  expect(check.checkFunction('x', f)).toBe(f);
});

test('typed arrays of another realm are typed arrays', () => {
  const floats = runInNewContext('new Float32Array(2)');
  const ints = runInNewContext('new Int32Array(2)');
  expect(check.checkFloat32Array('x', floats)).toBe(floats);
  expect(check.checkInt32Array('x', ints)).toBe(ints);
});

test.each<[string, () => unknown, string]>([
  ['an object', () => check.checkObject('x', null, []), 'x: null, expected an object'],
  ['no array', () => check.checkObject('x', [], []), 'x: an array of 0, expected an object'],
  ['no promise', () => check.checkObject('x', Promise.resolve(), []), 'x: a Promise'],
  ['no typed array', () => check.checkObject('x', new Uint8Array(1), []), 'x: an Uint8Array'],
  [
    'known keys',
    () => check.checkObject('x', { c: 1 }, ['a', 'b']),
    'x.c: not known, expected a or b',
  ],
  [
    'an integer',
    () => check.checkInteger('x', 1.5, 0, 2),
    'x: 1.5, expected an integer from 0 to 2',
  ],
  ['a large enough one', () => check.checkInteger('x', -1, 0, 2), 'x: -1'],
  ['a small enough one', () => check.checkInteger('x', 3, 0, 2), 'x: 3'],
  ['a number', () => check.checkInteger('x', '1', 0, 2), 'x: "1"'],
  ['a finite number', () => check.checkFinite('x', Number.NEGATIVE_INFINITY), 'x: -Infinity'],
  ['a boolean', () => check.checkBoolean('x', 0), 'x: 0, expected true or false'],
  ['a string', () => check.checkString('x', ''), 'x: "", expected a string that is not empty'],
  ['a literal', () => check.checkLiteral('x', 'c', ['a', 'b']), `x: "c", expected 'a' or 'b'`],
  ['an array', () => check.checkArray('x', { length: 0 }), 'x: an object, expected an array'],
  ['a function', () => check.checkFunction('x', {}), 'x: an object, expected a function'],
  ['floats', () => check.checkFloat32Array('x', [1]), 'x: an array of 1, expected a Float32Array'],
  ['ints', () => check.checkInt32Array('x', new Uint32Array(1)), 'expected an Int32Array'],
])('%s', async (_, f, message) => {
  await expectError(f, 'INVALID_ARGUMENT', message);
});

test('what a symbol is called does not matter', async () => {
  expect((await errorOf(() => check.checkString('x', Symbol('s')))).message).toContain('a symbol');
});
