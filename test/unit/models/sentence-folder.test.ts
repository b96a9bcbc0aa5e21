/** What a sentence-transformers folder says: modules, poolings, Dense, prompts, limits; and hostile ones. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSentenceFolder } from '../../../lib/sentence-folder';
import { expectError } from '../../binding/support/errors';
import { type Change, copyOf, golden, readJson, removeFolders, SENTENCE } from '../support/folders';

afterAll(removeFolders);

const read = async (changes: Record<string, Change>, source = SENTENCE) =>
  await readSentenceFolder(await copyOf(source, changes));
const tail = async (changes: Record<string, Change>, source = SENTENCE) =>
  (await read(changes, source)).plan.blocks.slice(5);

const moduleOf = (kind: string, path: string) => ({
  type: `sentence_transformers.models.${kind}`,
  path,
});
const TRANSFORMER = moduleOf('Transformer', '');
const POOLING = moduleOf('Pooling', '1_Pooling');
const NORMALIZE = moduleOf('Normalize', '2_Normalize');
const L2 = { block: 'norm', norm: { kind: 'l2', epsilon: 1e-12 } };
const MEAN = { block: 'pool', parts: ['weighted'] };
const pooling = (values: object) => ({
  '1_Pooling/config.json': { word_embedding_dimension: 18, ...values },
});

describe('modules', () => {
  test('none: mean pooling', async () => {
    const folder = await read({ 'modules.json': null, '1_Pooling': null });
    expect(folder).toMatchObject({
      poolings: ['mean'],
      normalize: false,
      dimensions: 18,
      prompt: '',
    });
    expect(folder.plan.blocks.slice(5)).toEqual([MEAN, L2]);
  });

  test('Transformer alone: mean pooling', async () => {
    expect(await tail({ 'modules.json': [TRANSFORMER] })).toEqual([MEAN, L2]);
  });

  test('a last Normalize becomes the default, an earlier one a block', async () => {
    const one = { 'modules.json': [TRANSFORMER, POOLING, NORMALIZE] };
    expect(await read(one)).toMatchObject({ normalize: true });
    expect(await tail(one)).toEqual([MEAN, L2]);
    const two = { 'modules.json': [TRANSFORMER, POOLING, NORMALIZE, NORMALIZE] };
    expect(await tail(two)).toEqual([MEAN, L2, L2]);
  });

  test('the Transformer in a folder of its own', async () => {
    const names = ['config.json', 'model.safetensors', 'sentence_bert_config.json'] as const;
    const moved = names.map((name) => [
      `0_Transformer/${name}`,
      readFileSync(join(SENTENCE, name)),
    ]);
    const gone = names.map((name) => [name, null]);
    const folder = await read({
      ...Object.fromEntries([...moved, ...gone]),
      'modules.json': [moduleOf('Transformer', '0_Transformer'), POOLING],
    });
    expect(folder).toMatchObject({ maxLength: 32, dimensions: 18 });
  });

  test.each([
    [[], 'no module'],
    [[POOLING], 'Pooling'],
    [[moduleOf('CLIPModel', '')], 'CLIPModel'],
    [[TRANSFORMER, NORMALIZE], 'Normalize'],
    [[TRANSFORMER, POOLING, moduleOf('LayerNorm', '2_LayerNorm')], 'LayerNorm'],
    [[TRANSFORMER, POOLING, POOLING], 'Pooling'],
  ])('%j: UNSUPPORTED', async (modules, got) => {
    await expectError(
      () => read({ 'modules.json': modules }),
      'UNSUPPORTED',
      `modules.json: ${got}`,
    );
  });

  test.each([
    [{}],
    ['{'],
    [[7]],
    [[{ type: 'Transformer' }]],
    [[{ path: '' }]],
    [[{ type: 1, path: '' }]],
  ])('%j: INVALID_ARGUMENT', async (modules) => {
    await expectError(() => read({ 'modules.json': modules }), 'INVALID_ARGUMENT', 'modules.json');
  });

  test.each(['..', '../x', 'a/../../x', '/etc', '\\etc', 'a\\..\\..\\x', 'a/..'])(
    'the path %j is refused',
    async (path) => {
      const modules = [TRANSFORMER, { ...POOLING, path }];
      await expectError(
        () => read({ 'modules.json': modules }),
        'INVALID_ARGUMENT',
        'expected a folder inside the model',
      );
    },
  );

  test.each(['nowhere', 'a\0b', '...'])('the path %j leads nowhere', async (path) => {
    const modules = [TRANSFORMER, { ...POOLING, path }];
    await expectError(() => read({ 'modules.json': modules }), 'FILE_ERROR', 'config.json');
  });
});

describe('pooling', () => {
  test.each([
    [{ pooling_mode_max_tokens: true }, ['max'], ['max']],
    [{ pooling_mode_lasttoken: true }, ['lasttoken'], ['weighted']],
    [
      {
        pooling_mode_mean_tokens: true,
        pooling_mode_cls_token: true,
        pooling_mode_max_tokens: true,
      },
      ['cls', 'max', 'mean'],
      ['weighted', 'max', 'weighted'],
    ],
    [{ pooling_mode: 'cls' }, ['cls'], ['weighted']],
    [
      { pooling_mode: ['mean', 'weightedmean'] },
      ['mean', 'weightedmean'],
      ['weighted', 'weighted'],
    ],
    [{}, ['mean'], ['weighted']],
    [{ pooling_mode_mean_tokens: null }, ['mean'], ['weighted']],
  ])('%j', async (values, poolings, parts) => {
    const folder = await read(pooling(values));
    expect(folder).toMatchObject({ poolings, dimensions: 18 * parts.length });
    expect(folder.plan.blocks[5]).toEqual({ block: 'pool', parts });
  });

  test.each([
    [
      { word_embedding_dimension: 17 },
      "word_embedding_dimension: 17, expected the model's width, 18",
    ],
    [{ embedding_dimension: 20 }, 'embedding_dimension: 20'],
    [{ word_embedding_dimension: '18' }, 'word_embedding_dimension: "18"'],
    [{ pooling_mode: 'median' }, 'pooling_mode: "median"'],
    [{ pooling_mode: [] }, 'pooling_mode: no mode'],
    [{ pooling_mode: 7 }, 'pooling_mode: 7'],
    [{ pooling_mode_cls_token: 'yes' }, 'pooling_mode_cls_token: "yes"'],
    [{ include_prompt: 1 }, 'include_prompt: 1'],
  ])('%j is refused by its key', async (values, text) => {
    await expectError(() => read(pooling(values)), 'INVALID_ARGUMENT', text);
  });
});

describe('Dense', () => {
  const DENSE = golden('sentence', 'dense-tanh');
  const config = readJson(join(DENSE, '2_Dense', 'config.json'));
  const dense = (values: object) => ({ '2_Dense/config.json': { ...config, ...values } });

  test("projects, and its weights are the folder's", async () => {
    const folder = await read({}, DENSE);
    expect(folder.plan.blocks[6]).toMatchObject({ block: 'project', activation: 'tanh' });
    expect(folder.dimensions).toBe(config['out_features']);
    expect(folder.weights.sources).toHaveLength(2);
    const names = folder.weights.tensors.map(({ name }) => name);
    expect(names).toContain('2_Dense/linear.weight');
  });

  test.each([
    ['Identity', 'torch.nn.modules.linear.Identity', 'identity'],
    ['ReLU', 'torch.nn.modules.activation.ReLU', 'relu'],
    ['GELU', 'torch.nn.modules.activation.GELU', 'gelu'],
    ['SiLU', 'torch.nn.modules.activation.SiLU', 'silu'],
    ['none, which is Tanh', null, 'tanh'],
  ])('%s', async (_, activation_function, activation) => {
    const blocks = await tail(dense({ activation_function, bias: false }), DENSE);
    expect(blocks[1]).toMatchObject({
      activation,
      linear: { weight: { tensor: '2_Dense/linear.weight' } },
    });
    expect(blocks[1]).not.toHaveProperty('linear.bias');
  });

  test.each([
    [{ in_features: 19 }, 'INVALID_ARGUMENT', 'in_features: 19, expected 18'],
    [{ in_features: null }, 'INVALID_ARGUMENT', 'in_features: undefined'],
    [{ out_features: 0 }, 'INVALID_ARGUMENT', 'out_features: 0'],
    [{ bias: 'no' }, 'INVALID_ARGUMENT', 'bias: "no"'],
    [
      { activation_function: 'torch.nn.Mish' },
      'UNSUPPORTED',
      'activation_function: "torch.nn.Mish"',
    ],
    [{ activation_function: 'toString' }, 'UNSUPPORTED', 'activation_function'],
    [{ use_residual: true }, 'UNSUPPORTED', 'use_residual: true'],
    [{ module_input_name: 'token_embeddings' }, 'UNSUPPORTED', 'module_input_name'],
  ] as const)('%j is refused', async (values, code, text) => {
    await expectError(() => read(dense(values), DENSE), code, text);
  });

  test('without safetensors', async () => {
    const changes = { '2_Dense/model.safetensors': null, '2_Dense/pytorch_model.bin': 'x' };
    await expectError(
      () => read(changes, DENSE),
      'UNSUPPORTED',
      '2_Dense: weights only as pytorch',
    );
  });
});

describe('settings', () => {
  const prompts = (values: object) => ({ 'config_sentence_transformers.json': values });

  test('prompts', async () => {
    const both = { default_prompt_name: 'q', prompts: { q: 'query: ', d: '' } };
    expect(await read(prompts(both))).toMatchObject({ prompt: 'query: ', promptCounts: true });
    expect(await read(prompts({ prompts: { q: 'query: ' } }))).toMatchObject({ prompt: '' });
    expect(await read({ 'config_sentence_transformers.json': null })).toMatchObject({ prompt: '' });
  });

  test.each([
    [{ default_prompt_name: 'q' }],
    [{ default_prompt_name: 'q', prompts: {} }],
    [{ default_prompt_name: 'toString', prompts: {} }],
    [{ default_prompt_name: 7, prompts: { 7: 'x' } }],
    [{ default_prompt_name: 'q', prompts: { q: 7 } }],
    [{ default_prompt_name: 'q', prompts: ['q'] }],
  ])('the prompts %j are refused', async (values) => {
    await expectError(() => read(prompts(values)), 'INVALID_ARGUMENT', 'default_prompt_name: ');
  });

  test('a prompt that must not count cannot be left out of a maximum', async () => {
    const changes = {
      ...prompts({ default_prompt_name: 'q', prompts: { q: 'query: ' } }),
      ...pooling({ pooling_mode: 'max', include_prompt: false }),
    };
    await expectError(() => read(changes), 'UNSUPPORTED', 'include_prompt');
  });

  test('max_seq_length and do_lower_case', async () => {
    const settings = (values: object) => ({ 'sentence_bert_config.json': values });
    expect(await read(settings({ max_seq_length: 7, do_lower_case: true }))).toMatchObject({
      maxLength: 7,
      lowerCase: true,
    });
    expect(await read(settings({ max_seq_length: null }))).toMatchObject({
      maxLength: undefined,
      lowerCase: false,
    });
    for (const wrong of [{ max_seq_length: 0 }, { max_seq_length: 'x' }, { do_lower_case: 'no' }]) {
      await expectError(
        () => read(settings(wrong)),
        'INVALID_ARGUMENT',
        'sentence_bert_config.json: ',
      );
    }
  });
});
