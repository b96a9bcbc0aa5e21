/** The weights of the linear poolings, and the rows of Embeddings. */

import { Embeddings } from '../../lib/embeddings';
import { POOLING_MODES, type PoolingMode, poolParts, poolWeights } from '../../lib/pooling';
import { expectError } from '../binding/support/errors';

const OFFSETS = Int32Array.of(0, 3, 3, 4);
const rounded = (values: Float32Array) => [...values].map((x) => Math.round(x * 1e6) / 1e6);

test.each<[PoolingMode, number, number[]]>([
  ['cls', 0, [1, 0, 0, 1]],
  ['cls', 1, [0, 1, 0, 1]],
  ['mean', 0, [0.333333, 0.333333, 0.333333, 1]],
  ['mean', 1, [0, 0.5, 0.5, 0]],
  ['mean_sqrt_len_tokens', 0, [0.57735, 0.57735, 0.57735, 1]],
  ['mean_sqrt_len_tokens', 1, [0, Math.SQRT1_2, Math.SQRT1_2, 0]],
  ['weightedmean', 0, [0.166667, 0.333333, 0.5, 1]],
  ['weightedmean', 1, [0, 0.4, 0.6, 0]],
  ['lasttoken', 0, [0, 0, 1, 1]],
  ['lasttoken', 1, [0, 0, 1, 0]],
])('%s, %i skipped', (mode, skipped, expected) => {
  const weights = poolWeights([mode], OFFSETS, { skipped });
  expect(rounded(weights)).toEqual(rounded(Float32Array.from(expected)));
});

test('where all tokens are skipped only cls has a weight, and every weight is finite', () => {
  for (const skipped of [3, 4, 2 ** 31 - 1]) {
    for (const mode of POOLING_MODES) {
      const sum = poolWeights([mode], Int32Array.of(0, 3), { skipped }).reduce((a, b) => a + b, 0);
      expect([mode, sum]).toEqual([mode, mode === 'cls' ? 1 : 0]);
    }
  }
});

test('one row a mode, in order, and none for max', () => {
  const weights = poolWeights(['lasttoken', 'max', 'cls'], Int32Array.of(0, 2));
  expect([...weights]).toEqual([0, 1, 1, 0]);
  expect(poolParts(['lasttoken', 'max', 'cls'])).toEqual(['weighted', 'max', 'weighted']);
  expect(poolWeights(['max'], OFFSETS)).toHaveLength(0);
  expect(poolWeights([], OFFSETS)).toHaveLength(0);
  expect(poolWeights(['mean'], Int32Array.of(0))).toHaveLength(0);
});

const wrong = (value: unknown) => value as never;

test.each<[string, () => unknown]>([
  ['modes', () => poolWeights(wrong('mean'), OFFSETS)],
  ['modes[1]', () => poolWeights(['mean', wrong('median')], OFFSETS)],
  ['modes[0]', () => poolWeights(wrong(new Array(1)), OFFSETS)],
  ['offsets', () => poolWeights(['mean'], wrong([0, 1]))],
  ['offsets[0]', () => poolWeights(['mean'], Int32Array.of())],
  ['offsets[0]', () => poolWeights(['mean'], Int32Array.of(1, 2))],
  ['offsets[2]', () => poolWeights(['mean'], Int32Array.of(0, 2, 1))],
  ['options', () => poolWeights(['mean'], OFFSETS, wrong(null))],
  ['options.skip', () => poolWeights(['mean'], OFFSETS, wrong({ skip: 1 }))],
  ['options.skipped', () => poolWeights(['mean'], OFFSETS, { skipped: -1 })],
  ['options.skipped', () => poolWeights(['mean'], OFFSETS, { skipped: 0.5 })],
])('%s is refused by name', async (where, f) => {
  await expectError(f, 'INVALID_ARGUMENT', `INVALID_ARGUMENT ${where}: `);
});

test('weights that memory cannot hold: OUT_OF_MEMORY', async () => {
  const modes = new Array<PoolingMode>(1e5).fill('mean');
  const f = () => poolWeights(modes, Int32Array.of(0, 2 ** 31 - 1));
  await expectError(f, 'OUT_OF_MEMORY', 'poolWeights: ');
});

describe('Embeddings', () => {
  const rows = [Float32Array.of(1, 2), Float32Array.of(3, 4), Float32Array.of(5, 6)];
  const make = () => new Embeddings(rows, 2, { tokens: 9, truncated: 1 });

  test('hold copies of the rows side by side', () => {
    const made = make();
    expect([...made.data]).toEqual([1, 2, 3, 4, 5, 6]);
    expect(made.count).toBe(3);
    expect(made.toArray()).toEqual([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    made.data.fill(0);
    expect([...(rows[0] as Float32Array)]).toEqual([1, 2]);
    expect(Object.isFrozen(made.usage)).toBe(true);
  });

  test('rows are views, a negative index counts from the end', () => {
    const made = make();
    expect([...made.at(-1)]).toEqual([5, 6]);
    made.at(0)[1] = 7;
    expect(made.data[1]).toBe(7);
  });

  test('no such row', async () => {
    for (const index of [3, -4, 0.5, Number.NaN, wrong('0')]) {
      await expectError(() => make().at(index), 'INVALID_ARGUMENT', 'index: ');
    }
    const none = new Embeddings([], 2, { tokens: 0, truncated: 0 });
    await expectError(() => none.at(0), 'INVALID_ARGUMENT', 'index: 0');
    expect(none.toArray()).toEqual([]);
  });
});
