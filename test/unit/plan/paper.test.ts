/** The published Transformer: its structure, and its sizes against the paper's table 3. */

import { MultiheadError } from '../../../lib/errors';
import { type PaperOptions, transformer } from '../../../lib/paper';
import type { AttentionBlock, Block, Plan } from '../../../lib/plan';
import { planWeights, randomWeights } from '../../../lib/plan-weights';

/** Elements of all weights, those that both plans read once. */
function parameters(options: PaperOptions): number {
  const { encoder, decoder } = transformer(options);
  const shapes = new Map(
    [encoder, decoder].flatMap((plan) => planWeights(plan).map(({ name, shape }) => [name, shape])),
  );
  return [...shapes.values()].reduce(
    (total, shape) => total + shape.reduce((product, size) => product * size, 1),
    0,
  );
}

const kinds = ({ blocks }: Plan) => blocks.map(({ block }) => block);
const attentions = ({ blocks }: Plan) =>
  blocks.filter((block: Block): block is AttentionBlock => block.block === 'attention');

describe('parameters', () => {
  test('the base model has those that its formula gives', () => {
    const [V, N, E, F] = [37000, 6, 512, 2048];
    const attention = 4 * E * E;
    const feedForward = 2 * E * F + F + E;
    const norm = 2 * E;
    const layers =
      N * (attention + feedForward + 2 * norm + 2 * attention + feedForward + 3 * norm);
    expect(parameters({ vocabulary: V })).toBe(V * E + layers);
  });

  test('which is 63 million with "about 37000 tokens" (5.1), within 4 % of the table', () => {
    const millions = parameters({ vocabulary: 37000 }) / 1e6;
    expect(millions).toBeCloseTo(63.05, 1);
    expect(Math.abs(millions / 65 - 1)).toBeLessThan(0.04);
  });

  // Every row of table 3 that gives a count and changes only sizes agrees with a table of 41003 to 41209 tokens.
  test.each([
    ['base', {}, 65],
    ['N 2', { layers: 2 }, 36],
    ['N 4', { layers: 4 }, 50],
    ['N 8', { layers: 8 }, 80],
    ['d_model 256', { width: 256 }, 28],
    ['d_model 1024', { width: 1024 }, 168],
    ['d_ff 1024', { inner: 1024 }, 53],
    ['d_ff 4096', { inner: 4096 }, 90],
  ])('table 3, %s: to the million', (_name, sizes, millions) => {
    expect(Math.round(parameters({ vocabulary: 41100, ...sizes }) / 1e6)).toBe(millions);
  });

  test('the big model is within 1 % of the table', () => {
    const big = parameters({ vocabulary: 37000, width: 1024, heads: 16, inner: 4096 });
    expect(Math.abs(big / 213e6 - 1)).toBeLessThan(0.01);
  });

  test('tables that are not shared add one or two matrices', () => {
    const sizes = { vocabulary: 100, layers: 1, width: 16, heads: 2, inner: 8 };
    const all = parameters({ ...sizes, shared: 'all' });
    expect(parameters({ ...sizes, shared: 'target' })).toBe(all + 100 * 16);
    expect(parameters({ ...sizes, shared: 'none' })).toBe(all + 2 * 100 * 16);
    const wider = { ...sizes, shared: 'target', sourceVocabulary: 70 } as const;
    expect(parameters(wider)).toBe(all + 70 * 16);
  });
});

describe('structure', () => {
  const { encoder, decoder } = transformer({ vocabulary: 11, layers: 2, width: 8, heads: 2 });

  test('layers are attention (and attention over the memory), then feed-forward', () => {
    const layer = ['attention', 'feedForward'];
    expect(kinds(encoder)).toEqual(['embed', ...layer, ...layer]);
    const cross = ['attention', 'attention', 'feedForward'];
    expect(kinds(decoder)).toEqual(['embed', ...cross, ...cross, 'select', 'project']);
    expect(attentions(encoder).map(({ mask }) => mask)).toEqual(['full', 'full']);
    expect(attentions(decoder).map(({ mask, keysFrom }) => mask ?? keysFrom)).toEqual([
      'causal',
      'memory',
      'causal',
      'memory',
    ]);
  });

  test('every residual ends in a norm, and none begins with one', () => {
    for (const block of [...encoder.blocks, ...decoder.blocks]) {
      if (block.block !== 'attention' && block.block !== 'feedForward') continue;
      expect(block).toMatchObject({ normAfter: { kind: 'layer', epsilon: 1e-6 } });
      expect(block).not.toHaveProperty('normBefore');
    }
  });

  test('embeddings are scaled by √width, and positions alternate sines and cosines', () => {
    for (const { blocks } of [encoder, decoder]) {
      expect(blocks[0]).toMatchObject({ scale: Math.sqrt(8), positions: { kind: 'sinusoidal' } });
      expect(blocks[0]).not.toHaveProperty('positions.layout', 'split');
      expect(blocks[0]).not.toHaveProperty('norm');
    }
  });

  test('attention has no biases, feed-forward has, by ReLU', () => {
    const [, attention, feedForward] = encoder.blocks;
    for (const part of ['query', 'key', 'value', 'output']) {
      expect(attention).not.toHaveProperty(`${part}.bias`);
    }
    expect(feedForward).toMatchObject({ activation: 'relu', up: { bias: {} }, down: { bias: {} } });
  });

  test('the projection is the table of the embedding, not scaled', () => {
    const project = decoder.blocks.at(-1);
    expect(project).toMatchObject({ linear: { weight: { tensor: 'shared.tokens' } } });
    expect(project).not.toHaveProperty('scale');
    expect(encoder.blocks[0]).toMatchObject({ tokens: { tensor: 'shared.tokens' } });
  });

  test('random weights of both plans agree where they are one', () => {
    const ours = randomWeights(encoder, { seed: 1 })['shared.tokens'];
    expect(randomWeights(decoder, { seed: 1 })['shared.tokens']).toEqual(ours);
  });
});

test.each([
  ['transformer.vocabulary', { vocabulary: 0 }],
  ['transformer.vocabulary', {}],
  ['transformer.layers', { vocabulary: 10, layers: 0 }],
  ['transformer.width', { vocabulary: 10, width: '512' }],
  ['plan.blocks[1].heads', { vocabulary: 10, heads: 7 }],
  ['plan.blocks[2].inner', { vocabulary: 10, inner: 0 }],
  ['plan.blocks[0].positions.count', { vocabulary: 10, positions: 0 }],
  ['transformer.shared', { vocabulary: 10, shared: true }],
  ['transformer.sourceVocabulary', { vocabulary: 10, sourceVocabulary: 9 }],
  ['transformer options.dropout', { vocabulary: 10, dropout: 0.1 }],
])('a wrong value is refused: %s', (where, options) => {
  let caught: unknown;
  try {
    transformer(options as never);
  } catch (error) {
    caught = error;
  }
  expect(caught).toBeInstanceOf(MultiheadError);
  const { code, details } = caught as MultiheadError;
  expect({ code, where: details.where }).toEqual({ code: 'INVALID_ARGUMENT', where });
});
