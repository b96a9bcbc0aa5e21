/** The checker checked: the comparator must refuse every kind of wrong answer, and accept rounding. */

import { compare, EPS_F32, expectSameBits, policyTolerance } from './comparator';
import { Random } from './random';

const COLUMNS = 7;
const ROWS = 5;
const random = new Random(1);
const reference = Float64Array.from({ length: ROWS * COLUMNS }, () => random.normal());
const tolerance = policyTolerance(reference, 1e-7);
const check = (ours: Float32Array | Float64Array, expected = reference) =>
  compare('layer 3', ours, expected, COLUMNS, tolerance);

/** The reference after `change`, in f32. */
function changed(change: (values: Float32Array) => void): Float32Array {
  const values = Float32Array.from(reference);
  change(values);
  return values;
}

test('accepts the reference rounded to f32 and reports how close it was', () => {
  const { ratio, maxAbs, cosine } = check(Float32Array.from(reference));
  expect(maxAbs).toBeGreaterThan(0);
  expect(ratio).toBeLessThan(0.5);
  expect(cosine).toBeGreaterThan(1 - 1e-12);
});

test('accepts an error just inside the tolerance and refuses one just outside', () => {
  const shifted = (by: number) => Float64Array.from(reference, (x, i) => (i === 9 ? x + by : x));
  expect(check(shifted(0.99 * tolerance)).ratio).toBeCloseTo(0.99, 3);
  expect(() => check(shifted(1.01 * tolerance))).toThrow(/layer 3: row 1, column 2/);
});

test.each<[string, (values: Float32Array) => void]>([
  ['one flipped sign', (v) => v.set([-(v[3] as number)], 3)],
  ['every sign flipped', (v) => v.set(v.map((x) => -x))],
  ['NaN', (v) => v.set([Number.NaN], 34)],
  ['Infinity', (v) => v.set([Number.POSITIVE_INFINITY], 0)],
  ['all zero', (v) => v.fill(0)],
  ['all the same', (v) => v.fill(v[0] as number)],
  ['rows swapped', (v) => v.set([...v.slice(COLUMNS, 2 * COLUMNS), ...v.slice(0, COLUMNS)])],
  ['shifted by one row', (v) => v.copyWithin(COLUMNS, 0)],
  ['shifted by one column', (v) => v.copyWithin(1, 0)],
  ['the last row missing', (v) => v.fill(0, (ROWS - 1) * COLUMNS)],
  ['scaled by 1 + 1e-5', (v) => v.set(v.map((x) => x * (1 + 1e-5)))],
])('refuses %s', (_name, change) => {
  expect(() => check(changed(change))).toThrow('layer 3');
});

test('refuses a wrong length, even where the common part agrees', () => {
  expect(() => check(Float32Array.from(reference).subarray(0, -COLUMNS))).toThrow(
    '28 values, expected 35',
  );
  expect(() => check(new Float32Array([...reference, 0]))).toThrow('36 values');
  expect(() => check(new Float32Array(0), new Float64Array(0))).toThrow('all zero or empty');
});

test('refuses NaN in the reference, on both sides, and a reference of zeros', () => {
  const poisoned = Float64Array.from(reference).fill(Number.NaN, 4, 5);
  expect(() => check(Float32Array.from(reference), poisoned)).toThrow('layer 3');
  expect(() => check(Float32Array.from(poisoned), poisoned)).toThrow('layer 3');
  const zeros = new Float64Array(reference.length);
  expect(() => check(Float32Array.from(zeros), zeros)).toThrow('all zero');
});

test('refuses equal infinities', () => {
  const infinite = Float64Array.from(reference).fill(Number.POSITIVE_INFINITY, 4, 5);
  expect(() => check(Float32Array.from(infinite), infinite)).toThrow('layer 3');
});

test('refuses a tolerance that is no number', () => {
  expect(() => compare('x', reference, reference, COLUMNS, Number.NaN)).toThrow('tolerance NaN');
});

test('the tolerance is twice the naive error and four units of the largest value', () => {
  expect(policyTolerance([0.5, -3, 2], 1e-6)).toBe(2e-6 + 4 * EPS_F32 * 3);
});

test('same bits means bits: -0 is not 0, and one unit in the last place shows', () => {
  const values = new Float32Array([1, 2, 0]);
  expect(() => expectSameBits('x', Float32Array.from(values), values)).not.toThrow();
  expect(() => expectSameBits('x', new Float32Array([1, 2, -0]), values)).toThrow('value 2');
  expect(() => expectSameBits('x', new Float32Array([1, 2 + 2 ** -22, 0]), values)).toThrow(
    'value 1',
  );
  expect(() => expectSameBits('x', values.subarray(0, 2), values)).toThrow('2 values, expected 3');
});
