import { SentenceEncoder } from '../../lib/index';
import { copyOf, removeFolders } from '../unit/support/folders';
import { multihead, tinyModel } from './run';

afterAll(removeFolders);

const info = (...args: string[]) => multihead(['info', ...args]);

test('--json says what loading the model says', async () => {
  const { code, stdout, stderr } = await info(tinyModel, '--json');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const model = await SentenceEncoder.load(tinyModel);
  const { layers, width, parameters, maxLength, dimensions, pooling, normalize } = model.info;
  await model.dispose();
  expect(JSON.parse(stdout)).toEqual({
    ...{ model: tinyModel, folder: tinyModel, family: 'bert', heads: 3, inner: 30, vocabulary: 91 },
    ...{ layers, width, parameters, maxLength, dimensions, pooling, normalize },
    // The pooler's 342 values too, which nothing uses.
    stored: { f16: 2 * (parameters + 342) },
  });
});

test('without it, one line a fact', async () => {
  const { code, stdout } = await info(tinyModel);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^family +bert$/m);
  expect(stdout).toMatch(/^maxLength +32$/m);
  expect(stdout).toMatch(/^pooling +mean$/m);
  expect(stdout).toMatch(/^parameters +0\.0 million$/m);
  expect(stdout).toMatch(/^stored +f16 \d+\.\d MB/m);
});

test('the limit is that of the tokenizer where nothing else says one', async () => {
  const folder = await copyOf(tinyModel, {
    'sentence_bert_config.json': null,
    'tokenizer_config.json': { model_max_length: 11 },
  });
  expect(JSON.parse((await info(folder, '--json')).stdout)).toMatchObject({ maxLength: 11 });
});

test('a folder that is no model fails with its code', async () => {
  const folder = await copyOf(tinyModel, { 'config.json': { model_type: 'gptj' } });
  const { code, stdout, stderr } = await info(folder, '--json');
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/^multihead: UNKNOWN_MODEL: .*model_type: "gptj"/);
});

test('a model is needed', async () => {
  const { code, stderr } = await info();
  expect(code).not.toBe(0);
  expect(stderr).toContain("missing required argument 'model'");
});
