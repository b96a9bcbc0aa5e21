/** Builders of what decoders need: what they put into a plan, and how they name weights. */

import type { BlockBuilder } from '../../../lib/blocks';
import { attention, embed, feedForward, norm, plan, project, select } from '../../../lib/blocks';
import { MultiheadError } from '../../../lib/errors';
import type { AttentionBlock, Plan } from '../../../lib/plan';
import { planWeights } from '../../../lib/plan-weights';
import { alibiSlopes, relativeBuckets, rotaryFrequencies } from '../../../lib/positions';

const start = () => embed({ vocabulary: 10, name: 'words' });
const built = (...blocks: BlockBuilder[]): Plan => plan({ width: 16 }, [start(), ...blocks]);
const one = (builder: BlockBuilder) => built(builder).blocks[1];
const names = (value: Plan) => planWeights(value).map(({ name }) => name);

describe('rotary', () => {
  test('turns all columns of a head by base 10000 where nothing is said', () => {
    expect(one(attention({ heads: 2, rotary: {} }))).toMatchObject({
      rotary: rotaryFrequencies({ dims: 8 }),
    });
  });

  test('takes base, columns, scaling and pairs', () => {
    const options = {
      base: 500000,
      dims: 4,
      scaling: { kind: 'yarn', factor: 4, originalLength: 2048 },
    } as const;
    const { rotary } = one(
      attention({ heads: 2, rotary: { ...options, pairs: 'neighbours' } }),
    ) as AttentionBlock;
    expect(rotary).toEqual({ ...rotaryFrequencies(options), pairs: 'neighbours' });
    expect(rotary?.frequencies).toHaveLength(2);
    expect(rotary?.magnitude).toBeGreaterThan(1);
  });

  test('takes frequencies as they are', () => {
    const rotary = { frequencies: [1, 0.5], pairs: 'halves' } as const;
    expect(one(attention({ heads: 2, rotary }))).toMatchObject({ rotary });
  });
});

test('alibi: the slopes of so many heads', () => {
  expect(one(attention({ heads: 4, alibi: true }))).toMatchObject({ slopes: alibiSlopes(4) });
  expect(one(attention({ heads: 4, alibi: false }))).not.toHaveProperty('slopes');
});

describe('relative bias', () => {
  test('is of both directions, or of one where the mask is causal', () => {
    const options = { buckets: 8, maxDistance: 20 };
    const of = (mask?: 'causal') =>
      (one(attention({ heads: 2, mask, relativeBias: options })) as AttentionBlock).relativeBias;
    expect(of()).toEqual({
      table: { tensor: 'blocks.1.relativeBias' },
      bucketCount: 8,
      buckets: relativeBuckets(options),
    });
    expect(of('causal')?.buckets).toEqual(relativeBuckets({ ...options, bidirectional: false }));
  });

  test('has 32 buckets where nothing is said', () => {
    expect(one(attention({ heads: 2, relativeBias: {} }))).toMatchObject({
      relativeBias: { bucketCount: 32 },
    });
  });

  test('is one table for the layers that give it one name', () => {
    const layer = () => attention({ heads: 2, relativeBias: { name: 'distances' } });
    const tables = names(built(layer(), layer())).filter((name) => name === 'distances');
    expect(tables).toHaveLength(1);
  });
});

test('queryKeyNorm: a norm of each, by name', () => {
  const layer = attention({ heads: 2, queryKeyNorm: 'rms', epsilon: 1e-6, name: 'first' });
  expect(one(layer)).toMatchObject({
    queryNorm: { kind: 'rms', epsilon: 1e-6, gain: { tensor: 'first.queryNorm.gain' } },
    keyNorm: { kind: 'rms', epsilon: 1e-6, gain: { tensor: 'first.keyNorm.gain' } },
  });
  expect(one(attention({ heads: 2, queryKeyNorm: 'l2' }))).toMatchObject({
    queryNorm: { kind: 'l2', epsilon: 1e-12 },
  });
});

test('keysFrom: an attention over the memory of the plan', () => {
  const cross = plan({ width: 16, memoryWidth: 6 }, [
    start(),
    attention({ heads: 2, keysFrom: 'memory' }),
  ]);
  expect(cross).toMatchObject({ memoryWidth: 6, blocks: [{}, { keysFrom: 'memory' }] });
  const key = planWeights(cross).find(({ name }) => name === 'blocks.1.key.weight');
  expect(key?.shape).toEqual([16, 6]);
});

test('gated: a third matrix', () => {
  const gate = { weight: { tensor: 'blocks.1.gate.weight' } };
  expect(one(feedForward({ gated: true, bias: false }))).toMatchObject({ gate });
  expect(one(feedForward())).not.toHaveProperty('gate');
});

test('sinusoids with all sines first', () => {
  const positions = { sinusoidal: 8, layout: 'split' } as const;
  expect(plan({ width: 16 }, [embed({ vocabulary: 4, positions })]).blocks[0]).toMatchObject({
    positions: { kind: 'sinusoidal', count: 8, layout: 'split' },
  });
});

test('select and a projection by the table of the embedding: the end of a language model', () => {
  const model = built(
    attention({ heads: 2, mask: 'causal' }),
    select(),
    norm(),
    project({ width: 10, scale: 0.25, bias: false, weight: 'words.tokens' }),
  );
  expect(model.blocks.slice(2)).toMatchObject([
    { block: 'select' },
    { block: 'norm' },
    { block: 'project', scale: 0.25, linear: { weight: { tensor: 'words.tokens' } } },
  ]);
  expect(names(model).filter((name) => name.startsWith('words'))).toEqual(['words.tokens']);
});

test.each<[string, () => unknown]>([
  ['attention options.rope', () => attention({ heads: 2, rope: true } as never)],
  ['rotary', () => one(attention({ heads: 2, rotary: true as never }))],
  ['rotary.theta', () => one(attention({ heads: 2, rotary: { theta: 1 } as never }))],
  [
    'plan.blocks[1].rotary.base',
    () => one(attention({ heads: 2, rotary: { frequencies: [1], base: 2 } as never })),
  ],
  ['plan.blocks[1].rotary.frequencies', () => one(attention({ heads: 2, rotary: { dims: 10 } }))],
  ['alibi', () => one(attention({ heads: 2, alibi: 8 as never }))],
  ['relativeBias.name', () => one(attention({ heads: 2, relativeBias: { name: '' } }))],
  [
    'relative bias options.max',
    () => one(attention({ heads: 2, relativeBias: { max: 1 } as never })),
  ],
  ['queryKeyNorm', () => one(attention({ heads: 2, queryKeyNorm: true as never }))],
  ['gated', () => feedForward({ gated: 'silu' as never })],
  ['project.weight', () => project({ width: 2, weight: 3 as never })],
  ['plan.memoryWidth', () => one(attention({ heads: 2, keysFrom: 'memory' }))],
  ['plan options.memory', () => plan({ width: 2, memory: 3 } as never, [start()])],
  [
    'embed.positions.cosines',
    () => built(embed({ vocabulary: 4, positions: { sinusoidal: 4, cosines: 1 } as never })),
  ],
])('a wrong value is refused: %s', (where, call) => {
  let caught: unknown;
  try {
    call();
  } catch (error) {
    caught = error;
  }
  expect(caught).toBeInstanceOf(MultiheadError);
  const { code, details } = caught as MultiheadError;
  expect({ code, where: details.where }).toEqual({ code: 'INVALID_ARGUMENT', where });
});
