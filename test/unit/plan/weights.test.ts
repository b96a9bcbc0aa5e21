/** The tensors that a plan needs, and random ones. */

import { attention, embed, feedForward, norm, plan, pool, project } from '../../../lib/blocks';
import type { Block, Plan, WeightRef } from '../../../lib/plan';
import { planWeights, randomWeights } from '../../../lib/plan-weights';
import { errorOf, expectError } from '../../binding/support/errors';

const shapes = (given: Plan) =>
  Object.fromEntries(planWeights(given).map(({ name, shape }) => [name, shape]));

/** A plan whose only matrices are projects, each from 8 to `width` columns and back. */
const projects = (...list: [number, WeightRef][]): Plan => ({
  width: 8,
  blocks: [
    { block: 'embed', vocabulary: 3, tokens: { tensor: 'tokens' } },
    ...list.flatMap(([width, weight], i): Block[] => [
      { block: 'project', width, activation: 'identity', linear: { weight } },
      {
        block: 'project',
        width: 8,
        activation: 'identity',
        linear: { weight: { tensor: `back${i}` } },
      },
    ]),
  ],
});

test('names, shapes and roles in the order of use', () => {
  const weights = planWeights(
    plan({ width: 8 }, [
      embed({ vocabulary: 10, types: 2, positions: 6, norm: 'after', name: 'e' }),
      attention({ heads: 4, keyHeads: 2, headDim: 3, norm: 'before', normKind: 'rms', name: 'a' }),
      feedForward({ inner: 5, bias: false, norm: 'none', name: 'f' }),
      norm({ kind: 'l2' }),
      pool({ parts: ['weighted', 'max'] }),
      project({ width: 3, name: 'p' }),
    ]),
  );
  expect(weights.map(({ name, shape, role }) => `${name} ${shape.join('x')} ${role}`)).toEqual([
    'e.tokens 10x8 table',
    'e.types 2x8 table',
    'e.positions 6x8 table',
    'e.norm.gain 8 gain',
    'e.norm.bias 8 bias',
    'a.normBefore.gain 8 gain',
    'a.query.weight 12x8 matrix',
    'a.query.bias 12 bias',
    'a.key.weight 6x8 matrix',
    'a.key.bias 6 bias',
    'a.value.weight 6x8 matrix',
    'a.value.bias 6 bias',
    'a.output.weight 8x12 matrix',
    'a.output.bias 8 bias',
    'f.up.weight 5x8 matrix',
    'f.down.weight 8x5 matrix',
    'p.linear.weight 3x16 matrix',
    'p.linear.bias 3 bias',
  ]);
});

describe('one tensor in several places', () => {
  const t = (rows?: [number, number], transpose?: boolean): WeightRef => ({
    tensor: 't',
    ...(rows && { rows }),
    ...(transpose !== undefined && { transpose }),
  });

  test.each<[string, [number, WeightRef][], number[]]>([
    [
      'the same twice',
      [
        [4, t()],
        [4, t()],
      ],
      [4, 8],
    ],
    [
      'fused rows',
      [
        [4, t([0, 4])],
        [4, t([8, 12])],
        [4, t([4, 8])],
      ],
      [12, 8],
    ],
    [
      'rows of a known whole',
      [
        [12, t()],
        [4, t([8, 12])],
      ],
      [12, 8],
    ],
    [
      'rows before the whole is known',
      [
        [4, t([8, 12])],
        [12, t()],
      ],
      [12, 8],
    ],
    ['transposed', [[4, t(undefined, true)]], [8, 4]],
    [
      'transposed fused rows',
      [
        [4, t([0, 4], true)],
        [4, t([4, 8], true)],
      ],
      [8, 8],
    ],
    [
      'square, as it is and transposed',
      [
        [8, t()],
        [8, t(undefined, true)],
      ],
      [8, 8],
    ],
    [
      'rows as it is, then columns transposed',
      [
        [4, t([0, 4])],
        [3, t([0, 3], true)],
      ],
      [8, 8],
    ],
    [
      'rows as it is, then the whole transposed',
      [
        [4, t([0, 4])],
        [8, t(undefined, true)],
      ],
      [8, 8],
    ],
  ])('%s', (_, list, shape) => {
    expect(shapes(projects(...list))).toMatchObject({ t: shape });
  });

  test.each<[string, [number, WeightRef][]]>([
    [
      'two whole shapes',
      [
        [4, t()],
        [5, t()],
      ],
    ],
    [
      'more rows than the whole',
      [
        [4, t()],
        [4, t([4, 8])],
      ],
    ],
    [
      'a whole smaller than the rows',
      [
        [4, t([4, 8])],
        [4, t()],
      ],
    ],
    ['a range of the wrong length', [[4, t([0, 3])]]],
    [
      'transposed against as it is',
      [
        [4, t()],
        [4, t(undefined, true)],
      ],
    ],
  ])('%s: SHAPE_MISMATCH', async (_, list) => {
    const error = await errorOf(() => planWeights(projects(...list)));
    expect([error.code, error.details.where]).toEqual(['SHAPE_MISMATCH', 't']);
  });

  test('as a vector and as a matrix: SHAPE_MISMATCH', async () => {
    const given = projects([8, { tensor: 't' }]);
    const bias = {
      block: 'norm',
      norm: { kind: 'layer', epsilon: 0, gain: { tensor: 't' } },
    } as const;
    await expectError(
      () => planWeights({ ...given, blocks: [...given.blocks, bias] }),
      'SHAPE_MISMATCH',
      't: needed as [8], expected [8, 8]',
    );
  });

  test('a table that is a projection too', () => {
    const tied = projects([3, { tensor: 'tokens' }]);
    expect(shapes(tied)).toMatchObject({ tokens: [3, 8] });
  });
});

test('a malformed plan is refused', async () => {
  expect((await errorOf(() => planWeights({ width: 0 } as never))).code).toBe('INVALID_ARGUMENT');
});

describe('random weights', () => {
  const model = plan({ width: 32 }, [
    embed({ vocabulary: 200, positions: 9, norm: 'after', name: 'e' }),
    feedForward({ inner: 100, norm: 'none', name: 'f' }),
  ]);
  const values = (seed: number, name: string) =>
    randomWeights(model, { seed })[name]?.data as Float32Array;

  test('are these, on every platform', () => {
    expect([...values(1, 'e.tokens').subarray(0, 4)]).toMatchInlineSnapshot(`
[
  0.2632221281528473,
  0.24377621710300446,
  0.20521791279315948,
  0.10783493518829346,
]
`);
    expect([...values(4294967295, 'f.up.weight').subarray(0, 3)]).toMatchInlineSnapshot(`
[
  0.15416021645069122,
  -0.13702572882175446,
  -0.007512813899666071,
]
`);
  });

  test('are the same again, and others for another seed or name', () => {
    expect(values(7, 'e.tokens')).toEqual(values(7, 'e.tokens'));
    const first = new Set<number>();
    for (const seed of [0, 1, 2, 3, 2 ** 31, 2 ** 32 - 1]) {
      for (const name of ['e.tokens', 'e.positions', 'f.up.weight', 'f.down.weight']) {
        first.add(
          (values(seed, name)[0] as number) * Math.sqrt(name === 'f.down.weight' ? 100 : 32),
        );
      }
    }
    expect(first.size).toBe(24);
  });

  test('have mean 0 and variance 1/columns; gains are 1, biases 0', () => {
    for (const [name, columns] of [
      ['e.tokens', 32],
      ['f.down.weight', 100],
    ] as const) {
      const data = values(3, name);
      const mean = data.reduce((sum, x) => sum + x, 0) / data.length;
      const variance = data.reduce((sum, x) => sum + x * x, 0) / data.length;
      // Six standard errors of a uniform's mean and variance (kurtosis 1.8).
      expect(Math.abs(mean)).toBeLessThan(6 / Math.sqrt(columns * data.length));
      expect(Math.abs(variance * columns - 1)).toBeLessThan(6 * Math.sqrt(0.8 / data.length));
      expect(data.every((x) => Math.abs(x) <= Math.fround(Math.sqrt(3 / columns)))).toBe(true);
    }
    expect(values(3, 'e.norm.gain').every((x) => x === 1)).toBe(true);
    expect(values(3, 'f.up.bias').every((x) => x === 0)).toBe(true);
  });

  test('may belong to a tensor called __proto__', () => {
    const odd = projects([4, { tensor: '__proto__' }]);
    expect(Object.keys(randomWeights(odd, { seed: 1 }))).toContain('__proto__');
  });

  test.each([-1, 2 ** 32, 0.5, Number.NaN, '1', undefined])(
    'the seed %p is refused',
    async (seed) => {
      const error = await errorOf(() => randomWeights(model, { seed: seed as number }));
      expect([error.code, error.details.where]).toEqual(['INVALID_ARGUMENT', 'options.seed']);
    },
  );

  test('that memory cannot hold: OUT_OF_MEMORY', async () => {
    const huge = plan({ width: 2 ** 24 }, [embed({ vocabulary: 2 ** 31 - 1 })]);
    await expectError(() => randomWeights(huge, { seed: 1 }), 'OUT_OF_MEMORY', 'blocks.0.tokens');
  });
});
