/** Checks of the fields that decoders need, and the weights that plans with them list. */

import { MultiheadError } from '../../../lib/errors';
import type { AttentionBlock, Block, Plan } from '../../../lib/plan';
import { checkPlan } from '../../../lib/plan-check';
import { planWeights } from '../../../lib/plan-weights';

const linear = (name: string) => ({ weight: { tensor: name } });
const embed: Block = { block: 'embed', vocabulary: 10, tokens: { tensor: 'tokens' } };
const select: Block = { block: 'select' };
const pool: Block = { block: 'pool', parts: ['max'] };

const attention = (options: object = {}): AttentionBlock => ({
  block: 'attention',
  heads: 2,
  headDim: 4,
  query: linear('query'),
  key: linear('key'),
  value: linear('value'),
  output: linear('output'),
  ...options,
});
const project = (options: object = {}): Block => ({
  block: 'project',
  width: 5,
  activation: 'identity',
  linear: linear('projection'),
  ...options,
});
const feedForward = (options: object = {}): Block => ({
  block: 'feedForward',
  inner: 6,
  activation: 'silu',
  up: linear('up'),
  down: linear('down'),
  ...options,
});
const planOf = (...blocks: Block[]): Plan => ({ width: 8, blocks: [embed, ...blocks] });
const crossing = (options: object = {}): Plan => ({
  ...planOf(attention({ keysFrom: 'memory', ...options })),
  memoryWidth: 3,
});

const rms = { kind: 'rms', epsilon: 1e-6, gain: { tensor: 'gain' } };
const relativeBias = { table: { tensor: 'bias' }, bucketCount: 3, buckets: [0, 1, 2] };

describe('a plan is accepted, and kept as it is', () => {
  test.each<[string, Plan]>([
    ['keys from a memory', crossing({ queryNorm: rms, keyNorm: rms, mask: 'full' })],
    ['keys from the stream, by name', planOf(attention({ keysFrom: 'stream' }))],
    ['norms of heads', planOf(attention({ queryNorm: rms, keyNorm: rms }))],
    ['a rotation', planOf(attention({ rotary: { frequencies: [1, 0.5] } }))],
    [
      'all of a rotation',
      planOf(attention({ rotary: { frequencies: [1], pairs: 'neighbours', magnitude: 1.2 } })),
    ],
    ['slopes', planOf(attention({ slopes: [0.5, 0.25] }))],
    ['a relative bias', planOf(attention({ relativeBias }))],
    ['a gate', planOf(feedForward({ gate: linear('gate') }))],
    ['a scaled projection of selected rows', planOf(select, project({ scale: 0.5 }))],
    ['a feed-forward of selected rows', planOf(select, feedForward(), project())],
    [
      'groups of rows',
      planOf(attention({ query: { weight: { tensor: 'fused', groups: [0, 4, 12] } } })),
    ],
    [
      'sinusoids with all sines first',
      {
        width: 8,
        blocks: [
          { ...embed, positions: { kind: 'sinusoidal', count: 4, layout: 'split' } } as Block,
        ],
      },
    ],
  ])('%s', (_name, plan) => {
    const checked = checkPlan(plan);
    expect(checked).toEqual(plan);
    expect(Object.isFrozen(checked.blocks)).toBe(true);
  });
});

describe('a wrong value is refused with its path', () => {
  const at1 = (path: string, block: Block): [string, Plan] => [
    `plan.blocks[1]${path}`,
    planOf(block),
  ];
  const rotary = (value: unknown) => attention({ rotary: value });
  const relative = (change: object) => attention({ relativeBias: { ...relativeBias, ...change } });
  const grouped = (groups: unknown) =>
    attention({ query: { weight: { tensor: 'fused', groups } } });
  const onMemory = (path: string, options: object): [string, Plan] => [
    `plan.blocks[1].${path}`,
    crossing(options),
  ];
  test.each<[string, Plan]>([
    at1('.keysFrom', attention({ keysFrom: 'cache' })),
    at1('.queryNorm.kind', attention({ queryNorm: { kind: 'batch', epsilon: 1 } })),
    at1('.keyNorm.bias', attention({ keyNorm: { ...rms, bias: { tensor: 'bias' } } })),
    at1('.rotary', rotary([1])),
    at1('.rotary.base', rotary({ frequencies: [1], base: 10000 })),
    at1('.rotary.frequencies', rotary({})),
    at1('.rotary.frequencies', rotary({ frequencies: [] })),
    at1('.rotary.frequencies', rotary({ frequencies: [1, 1, 1] })),
    at1('.rotary.frequencies[1]', rotary({ frequencies: [1, Number.NaN] })),
    at1('.rotary.pairs', rotary({ frequencies: [1], pairs: 'all' })),
    at1('.rotary.magnitude', rotary({ frequencies: [1], magnitude: '1' })),
    at1('.slopes', attention({ slopes: [1] })),
    at1('.slopes', attention({ slopes: 1 })),
    at1('.slopes[0]', attention({ slopes: [Number.POSITIVE_INFINITY, 1] })),
    at1('.relativeBias.table', relative({ table: undefined })),
    at1('.relativeBias.bucketCount', relative({ bucketCount: 0 })),
    at1('.relativeBias.buckets', relative({ buckets: [0, 1] })),
    at1('.relativeBias.buckets', relative({ buckets: [] })),
    at1('.relativeBias.buckets[2]', relative({ buckets: [0, 1, 3] })),
    at1('.relativeBias.buckets[0]', relative({ buckets: [-1, 1, 2] })),
    at1('.gate.weight', feedForward({ gate: {} })),
    at1('.scale', project({ scale: Number.NaN })),
    at1('.rows', { block: 'select', rows: [1] } as never),
    at1('.query.weight.groups', grouped([0, 4, 12, 1])),
    at1('.query.weight.groups[0]', grouped([-1, 4, 12])),
    at1('.query.weight.groups[1]', grouped([0, 0, 12])),
    at1('.query.weight.groups[2]', grouped([0, 4, 3])),
    at1(
      '.query.weight',
      attention({ query: { weight: { tensor: 'fused', rows: [0, 8], groups: [0, 4, 12] } } }),
    ),
    onMemory('rotary', { rotary: { frequencies: [1] } }),
    onMemory('slopes', { slopes: [1, 1] }),
    onMemory('relativeBias', { relativeBias }),
    onMemory('window', { window: 3 }),
    onMemory('mask', { mask: 'causal' }),
    ['plan.memoryWidth', planOf(attention({ keysFrom: 'memory' }))],
    ['plan.memoryWidth', { ...planOf(attention()), memoryWidth: 3 }],
    ['plan.memoryWidth', { ...crossing(), memoryWidth: 0 }],
    ['plan.blocks[2]', planOf(select, attention())],
    ['plan.blocks[2]', planOf(select, pool)],
    ['plan.blocks[2]', planOf(select, select)],
    ['plan.blocks[2]', planOf(pool, select)],
    [
      'plan.blocks[0].positions.layout',
      {
        width: 8,
        blocks: [{ ...embed, positions: { kind: 'sinusoidal', count: 4, layout: 'all' } } as never],
      },
    ],
    [
      'plan.blocks[0].positions.layout',
      {
        width: 8,
        blocks: [
          {
            ...embed,
            positions: { kind: 'learned', table: { tensor: 't' }, count: 4, layout: 'split' },
          } as never,
        ],
      },
    ],
  ])('%s', (where, plan) => {
    const error = thrown(() => checkPlan(plan));
    expect({ code: error.code, where: error.details.where }).toEqual({
      code: 'INVALID_ARGUMENT',
      where,
    });
  });
});

describe('the weights of', () => {
  const shapes = (plan: Plan) =>
    Object.fromEntries(planWeights(plan).map(({ name, shape }) => [name, shape]));

  test('an attention over a memory: keys and values have its columns', () => {
    expect(shapes(crossing())).toEqual({
      tokens: [10, 8],
      query: [8, 8],
      key: [8, 3],
      value: [8, 3],
      output: [8, 8],
    });
  });

  test('norms of heads: a gain and a bias for the columns of one head', () => {
    const queryNorm = { kind: 'layer', epsilon: 0, gain: { tensor: 'g' }, bias: { tensor: 'b' } };
    expect(shapes(planOf(attention({ queryNorm, keyNorm: rms })))).toMatchObject({
      g: [4],
      b: [4],
      gain: [4],
    });
  });

  test('a relative bias: [buckets, heads], shared by two blocks', () => {
    const plan = planOf(attention({ relativeBias }), attention({ relativeBias }));
    expect(shapes(plan)).toMatchObject({ bias: [3, 2] });
    expect(planWeights(plan).find(({ name }) => name === 'bias')?.role).toBe('table');
  });

  test('a gate: as of the way up', () => {
    const plan = planOf(feedForward({ gate: { ...linear('gate'), bias: { tensor: 'open' } } }));
    expect(shapes(plan)).toMatchObject({ gate: [6, 8], open: [6], up: [6, 8], down: [8, 6] });
  });

  const fused = (begin: number, options: object = {}) => ({
    weight: { tensor: 'fused', groups: [begin, 4, 12] as const, ...options },
    bias: { tensor: 'fusedBias', groups: [begin, 4, 12] as const },
  });

  test('a matrix fused by head: what the last group ends at', () => {
    const plan = planOf(attention({ query: fused(0), key: fused(4), value: fused(8) }));
    expect(shapes(plan)).toMatchObject({ fused: [24, 8], fusedBias: [24] });
    expect(shapes(planOf(attention({ query: fused(0) })))).toMatchObject({ fused: [16, 8] });
  });

  test('the same one stored transposed', () => {
    const transpose = { transpose: true };
    const plan = planOf(attention({ query: fused(0), value: fused(8) }));
    const turned = planOf(attention({ query: fused(0, transpose), value: fused(8, transpose) }));
    expect(shapes(plan)).toMatchObject({ fused: [24, 8] });
    expect(shapes(turned)).toMatchObject({ fused: [8, 24] });
  });

  test.each([
    ['groups that do not make up the rows', attention({ query: fusedOf([0, 3, 12]) })],
    [
      'groups of more rows than another reference leaves',
      attention({ query: fusedOf([0, 4, 12]), key: linear('fused') }),
    ],
    [
      'a third group, which a range of rows needs and two groups do not',
      attention({
        query: fusedOf([0, 4, 12]),
        key: { weight: { tensor: 'fused', rows: [20, 28] } },
      }),
    ],
  ])('%s are refused', (_name, block) => {
    expect(thrown(() => planWeights(planOf(block))).code).toBe('SHAPE_MISMATCH');
  });
});

function fusedOf(groups: readonly number[]) {
  return { weight: { tensor: 'fused', groups } };
}

function thrown(call: () => unknown): MultiheadError {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(MultiheadError);
    return error as MultiheadError;
  }
  throw new Error('nothing was thrown');
}
