/** The paper's model from a config: what its plans are made of, and what it refuses. */

import { Config } from '../../../lib/json';
import { transformer } from '../../../lib/models/transformer';
import { planWeights } from '../../../lib/plan-weights';

const CONFIG = {
  vocab_size: 70,
  d_model: 64,
  num_heads: 4,
  d_ff: 256,
  num_layers: 2,
  max_position_embeddings: 48,
  layer_norm_eps: 1e-5,
};

const describeWith = (change: Record<string, unknown>, tensors: readonly string[] = []) =>
  transformer.describe(new Config('config.json', { ...CONFIG, ...change }), tensors);

test('two stacks and a head that reads the one embedding', () => {
  const { architecture, plan, decoder, heads, maxLength } = describeWith({});
  expect([architecture, maxLength]).toEqual(['encoder-decoder', 48]);
  const layer = ['attention', 'feedForward'];
  expect(plan.blocks.map(({ block }) => block)).toEqual(['embed', ...layer, ...layer]);
  expect(decoder?.blocks.map(({ block }) => block)).toEqual([
    'embed',
    ...['attention', ...layer],
    ...['attention', ...layer],
  ]);
  expect(decoder?.memoryWidth).toBe(64);
  expect(heads.language).toEqual([
    expect.objectContaining({
      block: 'project',
      width: 70,
      linear: { weight: { tensor: 'shared.tokens' } },
    }),
  ]);
  for (const stack of [plan, decoder]) {
    expect(stack?.blocks[0]).toMatchObject({
      vocabulary: 70,
      tokens: { tensor: 'shared.tokens' },
      scale: 8,
      positions: { kind: 'sinusoidal', count: 48 },
    });
    expect(stack?.blocks[1]).toMatchObject({ heads: 4, headDim: 16, normAfter: { epsilon: 1e-5 } });
    expect(stack?.blocks.at(-1)).toMatchObject({ inner: 256, activation: 'relu' });
  }
});

test('a config that says nothing but the vocabulary is the base model', () => {
  const silent = new Config('config.json', { vocab_size: 37000 });
  const { plan, decoder, maxLength } = transformer.describe(silent, []);
  const layersOf = (stack = plan) =>
    stack.blocks.filter(({ block }) => block === 'feedForward').length;
  expect([layersOf(), layersOf(decoder), maxLength]).toEqual([6, 6, 1024]);
  expect(plan.blocks[1]).toMatchObject({ heads: 8, headDim: 64, normAfter: { epsilon: 1e-6 } });
  expect(plan.blocks[2]).toMatchObject({ inner: 2048 });
  expect(planWeights(plan)[0]).toMatchObject({ name: 'shared.tokens', shape: [37000, 512] });
});

test.each([
  ['INVALID_ARGUMENT', 'num_heads', 5],
  ['INVALID_ARGUMENT', 'num_heads', 0],
  ['INVALID_ARGUMENT', 'num_layers', 1.5],
  ['INVALID_ARGUMENT', 'vocab_size', null],
  ['INVALID_ARGUMENT', 'd_ff', '256'],
  ['INVALID_ARGUMENT', 'layer_norm_eps', -1],
  ['UNSUPPORTED', 'is_encoder_decoder', false],
  ['UNSUPPORTED', 'tie_word_embeddings', false],
])('%s: %s %p', (code, key, value) => {
  expect(() => describeWith({ [key]: value })).toThrow(
    expect.objectContaining({
      code,
      details: expect.objectContaining({ where: `config.json: ${key}` }),
    }),
  );
});

test.each(['encoder.2.attention.query.weight', 'decoder.7.feedForward.up.bias'])(
  'a checkpoint with more layers: %s',
  (name) => {
    expect(() => describeWith({}, [name])).toThrow(
      expect.objectContaining({ code: 'WEIGHT_INVALID', message: expect.stringContaining(name) }),
    );
  },
);
