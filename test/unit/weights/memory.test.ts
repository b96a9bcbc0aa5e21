/** Tensors in memory become rows, or are refused with their name. */

import { runInNewContext } from 'node:vm';
import { tableOf } from '../../../lib/weights/memory';
import { errorOf, expectError } from '../../binding/support/errors';

const tensor = (shape: readonly number[] = [2], count = 2) => ({
  shape,
  data: new Float32Array(count),
});

test('an object, one without prototype and a Map give the same rows', () => {
  const entries: [string, ReturnType<typeof tensor>][] = [
    ['a', tensor([2, 3], 6)],
    ['b', tensor([], 1)],
    ['c', tensor([0, 5], 0)],
  ];
  const rows = tableOf(Object.fromEntries(entries)).tensors;
  expect(rows).toEqual([
    { name: 'a', dtype: 'f32', shape: [2, 3], source: 0, offset: 0, byteLength: 24 },
    { name: 'b', dtype: 'f32', shape: [], source: 1, offset: 0, byteLength: 4 },
    { name: 'c', dtype: 'f32', shape: [0, 5], source: 2, offset: 0, byteLength: 0 },
  ]);
  const bare = Object.assign(Object.create(null), Object.fromEntries(entries));
  expect(tableOf(bare).tensors).toEqual(rows);
  expect(tableOf(new Map(entries)).tensors).toEqual(rows);
  const ForeignMap = runInNewContext('Map') as MapConstructor;
  expect(tableOf(new ForeignMap(entries)).tensors).toEqual(rows);
});

test('a view gives its own bytes only', () => {
  const data = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
  const [source] = tableOf({ a: { shape: [2], data } }).sources;
  const bytes = (source as { data: Uint8Array }).data;
  expect([...new Float32Array(bytes.slice().buffer)]).toEqual([2, 3]);
});

test('the shape is copied', () => {
  const shape = [2];
  const { tensors } = tableOf({ a: tensor(shape) });
  shape[0] = 7;
  expect(tensors[0]?.shape).toEqual([2]);
});

test.each([
  [undefined],
  [null],
  [7],
  ['weights'],
  [[]],
  [new Float32Array(2)],
  [{ a: undefined }],
  [{ a: null }],
  [{ a: [1, 2] }],
  [{ a: new Float32Array(2) }],
  [{ a: { ...tensor(), dtype: 'f32' } }],
  [{ a: { shape: [2] } }],
  [{ a: { shape: [2], data: [1, 2] } }],
  [{ a: { shape: [2], data: new Float64Array(2) } }],
  [{ a: { shape: 2, data: new Float32Array(2) } }],
  [{ a: { shape: [-2], data: new Float32Array(2) } }],
  [{ a: { shape: [1.5], data: new Float32Array(2) } }],
  [{ a: { shape: ['2'], data: new Float32Array(2) } }],
  [{ a: { shape: [2 ** 53], data: new Float32Array(2) } }],
  [{ a: { shape: new Array(1), data: new Float32Array(1) } }],
  [{ a: { shape: new Array(1e9), data: new Float32Array(1) } }],
  [new Map([[1, tensor()]])],
  [{ [Symbol.toStringTag]: 'Map', a: 1 }],
])('INVALID_ARGUMENT: case %#', async (weights) => {
  const error = await errorOf(() => tableOf(weights));
  expect(error.code).toBe('INVALID_ARGUMENT');
  expect(error.details.where).toMatch(/^weights/);
});

test('another number of values than the shape says', async () => {
  await expectError(
    () => tableOf({ 'x.y': tensor([2, 2], 3) }),
    'SHAPE_MISMATCH',
    'weights["x.y"].data: 3 values, expected 4 for shape [2, 2]',
  );
});

test('a tensor whose memory was given away', async () => {
  const data = new Float32Array(2);
  structuredClone(data, { transfer: [data.buffer] });
  await expectError(() => tableOf({ a: { shape: [2], data } }), 'SHAPE_MISMATCH', '0 values');
});
