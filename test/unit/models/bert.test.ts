/** A BERT config becomes a plan, or an error that names its key. */

import { join } from 'node:path';
import { Config } from '../../../lib/json';
import { readModelFolder } from '../../../lib/models';
import { bert } from '../../../lib/models/bert';
import { checkPlan } from '../../../lib/plan-check';
import { planWeights } from '../../../lib/plan-weights';
import { errorOf, expectError } from '../../binding/support/errors';
import { copyOf, readJson, removeFolders, SENTENCE } from '../support/folders';

afterAll(removeFolders);

const SMALL = {
  hidden_size: 6,
  num_attention_heads: 3,
  num_hidden_layers: 2,
  intermediate_size: 10,
  vocab_size: 20,
  max_position_embeddings: 9,
};
const describeModel = (values: object = {}, tensors: string[] = []) =>
  bert.describe(new Config('config.json', { ...SMALL, ...values }), tensors);

test('a plan of the size that the config says, which passes the check', () => {
  const { plan, maxLength } = describeModel({ layer_norm_eps: 1e-6 });
  expect(checkPlan(plan)).toEqual(plan);
  expect(maxLength).toBe(9);
  expect(plan.blocks.map(({ block }) => block)).toEqual([
    ...['embed', 'attention', 'feedForward', 'attention', 'feedForward'],
  ]);
  expect(plan.blocks[1]).toMatchObject({ heads: 3, headDim: 2, normAfter: { epsilon: 1e-6 } });
  const shapes = planWeights(plan).map(({ name, shape }) => `${name} ${shape.join('x')}`);
  expect(shapes).toEqual(
    expect.arrayContaining([
      'embeddings.word_embeddings.weight 20x6',
      'embeddings.token_type_embeddings.weight 2x6',
      'embeddings.position_embeddings.weight 9x6',
      'embeddings.LayerNorm.weight 6',
      'encoder.layer.1.attention.self.value.bias 6',
      'encoder.layer.1.intermediate.dense.weight 10x6',
      'encoder.layer.1.output.LayerNorm.bias 6',
    ]),
  );
  expect(shapes).toHaveLength(5 + 2 * 16);
});

test("what the config leaves out is as in transformers' BertConfig", () => {
  const { plan, maxLength } = bert.describe(new Config('config.json', {}), []);
  expect(maxLength).toBe(512);
  expect(plan.width).toBe(768);
  expect(plan.blocks).toHaveLength(25);
  expect(plan.blocks[0]).toMatchObject({
    vocabulary: 30522,
    types: { count: 2 },
    positions: { count: 512 },
    norm: { epsilon: 1e-12 },
  });
  expect(plan.blocks[1]).toMatchObject({ heads: 12, headDim: 64 });
  expect(plan.blocks[2]).toMatchObject({ inner: 3072, activation: 'gelu' });
});

test.each([
  ['gelu', 'gelu'],
  ['gelu_python', 'gelu'],
  ['gelu_new', 'gelu_tanh'],
  ['gelu_pytorch_tanh', 'gelu_tanh'],
  ['relu', 'relu'],
  ['silu', 'silu'],
  ['swish', 'silu'],
  [null, 'gelu'],
])('hidden_act %s is %s', (hidden_act, activation) => {
  expect(describeModel({ hidden_act }).plan.blocks[2]).toMatchObject({ activation });
});

test('names with the prefix of a model with a head, and of the first release', () => {
  const names = (tensors: string[]) =>
    planWeights(describeModel({}, tensors).plan).map((w) => w.name);
  const all = names(['bert.embeddings.word_embeddings.weight', 'bert.embeddings.LayerNorm.gamma']);
  expect(all.every((name) => name.startsWith('bert.'))).toBe(true);
  expect(all).toContain('bert.embeddings.LayerNorm.gamma');
  expect(all).toContain('bert.embeddings.LayerNorm.beta');
  expect(all).toContain('bert.encoder.layer.0.output.LayerNorm.weight');
});

test('heads and position ids are expected leftovers, layers are not', () => {
  const { isExpectedLeftover } = describeModel();
  const left = ['pooler.dense.weight', 'bert.pooler.dense.bias', 'cls.predictions.bias'];
  expect([...left, 'classifier.weight', 'embeddings.position_ids'].every(isExpectedLeftover)).toBe(
    true,
  );
  expect(['encoder.layer.0.x', 'mypooler.x', 'extra'].some(isExpectedLeftover)).toBe(false);
});

test.each<[string, unknown, string?]>([
  ['hidden_size', 0],
  ['hidden_size', '6'],
  ['hidden_size', 6.5],
  ['num_attention_heads', 4],
  ['num_attention_heads', -1],
  ['num_hidden_layers', 0],
  ['num_hidden_layers', 2_000_000_000],
  ['intermediate_size', Number.NaN],
  ['vocab_size', 2 ** 31],
  ['type_vocab_size', 0],
  ['max_position_embeddings', []],
  ['layer_norm_eps', Number.NaN],
  ['layer_norm_eps', -1],
  ['layer_norm_eps', Number.POSITIVE_INFINITY],
  ['hidden_act', 7],
  ['hidden_act', 'mish', 'UNSUPPORTED'],
  ['hidden_act', 'constructor', 'UNSUPPORTED'],
  ['position_embedding_type', 'relative_key', 'UNSUPPORTED'],
  ['is_decoder', true, 'UNSUPPORTED'],
  ['add_cross_attention', true, 'UNSUPPORTED'],
])('%s %p is refused by its key', async (key, value, ...[code]) => {
  const error = await errorOf(() => describeModel({ [key]: value }));
  expect([error.code, error.details.where]).toEqual([
    code ?? 'INVALID_ARGUMENT',
    `config.json: ${key}`,
  ]);
});

test('a layer beyond those of the config is WEIGHT_INVALID; a name without number is not one', async () => {
  const tensors = ['encoder.layer.1.output.dense.weight', 'encoder.layer.x.weight'];
  expect(describeModel({}, tensors).plan.blocks).toHaveLength(5);
  await expectError(
    () => describeModel({}, ['encoder.layer.2.output.dense.weight']),
    'WEIGHT_INVALID',
    'a tensor of layer 2, expected layers 0 to 1: config.json says num_hidden_layers 2',
  );
});

describe('a folder', () => {
  test('is read without its weights', async () => {
    const model = await readModelFolder(SENTENCE);
    expect(model).toMatchObject({ modelType: 'bert', folder: SENTENCE, maxLength: 40 });
    expect(model.weights.tensors.length).toBeGreaterThan(30);
  });

  test.each([
    [{ model_type: 'gptj' }, 'UNKNOWN_MODEL', 'model_type: "gptj", expected bert'],
    [{ model_type: 'Bert' }, 'UNKNOWN_MODEL', '"Bert"'],
    [{ model_type: 7 }, 'INVALID_ARGUMENT', 'model_type: 7'],
    [{ model_type: null }, 'INVALID_ARGUMENT', 'model_type: undefined'],
  ] as const)('with %j', async (change, code, text) => {
    const values = { ...readJson(join(SENTENCE, 'config.json')), ...change };
    const folder = await copyOf(SENTENCE, { 'config.json': values });
    await expectError(() => readModelFolder(folder), code, text);
  });
});
