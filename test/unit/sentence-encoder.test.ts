/** SentenceEncoder: what it refuses and how, truncation, signals, disposal, overlapping calls, broken folders. */

import { getEventListeners } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Embeddings, SentenceEncoder } from '../../lib/index';
import { errorOf, expectError } from '../binding/support/errors';
import { type Change, copyOf, golden, readJson, removeFolders, SENTENCE } from './support/folders';
import { tensorsOf, validFile } from './support/safetensors';

let model: SentenceEncoder;
beforeAll(async () => {
  model = await SentenceEncoder.load(SENTENCE);
});
afterAll(async () => {
  await model?.dispose();
  await removeFolders();
});

const wrong = (value: unknown) => value as never;
const length = (row: Float32Array) => Math.sqrt(row.reduce((sum, x) => sum + x * x, 0));
const LONG = 'a b '.repeat(100);

describe('encode', () => {
  test('one text, many, none', async () => {
    const one = await model.encode('the river');
    expect(one).toMatchObject({ count: 1, dimensions: 18, usage: { tokens: 4, truncated: 0 } });
    const many = await model.encode(['a', 'the river', '']);
    expect(many.count).toBe(3);
    expect(many.at(1)).toEqual(one.data);
    const none = await model.encode([]);
    expect(none).toMatchObject({ count: 0, dimensions: 18, usage: { tokens: 0, truncated: 0 } });
  });

  test.each<[string, unknown, unknown?]>([
    ['texts: undefined', undefined],
    ['texts: null', null],
    ['texts: 42', 42],
    ['texts: an object', {}],
    ['texts: a Set', new Set(['a'])],
    ['texts[1]: 7', ['a', 7]],
    ['texts[0]: undefined', new Array(1)],
    ['texts[0]: an array of 1', [['a']]],
    ['texts[300]: a lone surrogate', [...new Array(300).fill('a'), '\uD800']],
    ['options: null', 'a', null],
    ['options.batch', 'a', { batch: 1 }],
    ['options.normalize', 'a', { normalize: 1 }],
    ['options.truncate', 'a', { truncate: null }],
    ['options.maxLength: 1', 'a', { maxLength: 1 }],
    ['options.maxLength: 41', 'a', { maxLength: 41 }],
    ['options.maxLength: 2.5', 'a', { maxLength: 2.5 }],
    ['options.signal', 'a', { signal: 1 }],
  ])('%s: INVALID_ARGUMENT', async (text, texts, ...[options]) => {
    await expectError(() => model.encode(wrong(texts), wrong(options)), 'INVALID_ARGUMENT', text);
  });

  test('truncation counts, or is refused by the place of the text', async () => {
    const cut = await model.encode(['a', LONG, LONG]);
    expect(cut.usage).toEqual({ tokens: 3 + 32 + 32, truncated: 2 });
    const more = await model.encode(LONG, { maxLength: 40 });
    expect(more.usage).toEqual({ tokens: 40, truncated: 1 });
    const refused = () => model.encode(['a', LONG], { truncate: false });
    await expectError(refused, 'INVALID_ARGUMENT', 'texts[1]: 202 tokens, expected at most 32');
    expect((await model.encode('a', { truncate: false })).count).toBe(1);
  });

  test('normalize', async () => {
    const [plain, unit] = await Promise.all([
      model.encode('the river', { normalize: false }),
      model.encode('the river', { normalize: true }),
    ]);
    // The sum of 18 squares and a division, each rounded once, of a float's 2^-24.
    expect(Math.abs(length(unit.data) - 1)).toBeLessThan(20 * 2 ** -24);
    expect(Math.abs(length(plain.data) - 1)).toBeGreaterThan(0.01);
    expect(model.info.normalize).toBe(false);
    expect((await model.encode('the river')).data).toEqual(plain.data);
  });

  test('hundreds of overlapping calls, each with the bits that it has alone', async () => {
    const words = ['the', 'river', 'quietly', 'boat', 'near', 'bridge'];
    const texts = Array.from({ length: 40 }, (_, i) =>
      Array.from({ length: i % 9 }, (_, k) => words[(i * 5 + k * k) % 6]).join(' '),
    );
    const alone: Embeddings[] = [];
    for (const text of texts) alone.push(await model.encode(text));
    const calls = Array.from({ length: 400 }, (_, i) => {
      const picked = Array.from({ length: i % 5 }, (_, k) => (i * 7 + k * 3) % 40);
      const normalize = i % 3 === 0;
      return { picked, normalize, texts: picked.map((p) => texts[p] as string) };
    });
    const results = await Promise.all(
      calls.map((c) => model.encode(c.texts, { normalize: c.normalize })),
    );
    results.forEach((result, i) => {
      const { picked, normalize } = calls[i] as (typeof calls)[number];
      expect(result.count).toBe(picked.length);
      if (normalize) return;
      picked.forEach((p, row) => {
        expect(result.at(row)).toEqual(alone[p]?.data);
      });
    });
  });

  test('one bad call among many fails alone', async () => {
    const calls = Array.from({ length: 20 }, (_, i) => model.encode(i === 7 ? '\uDC00' : 'a'));
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(1);
    expect(outcomes[7]?.status).toBe('rejected');
  });
});

describe('signals', () => {
  test('before, during and after', async () => {
    await expectError(
      () => model.encode('a', { signal: AbortSignal.abort() }),
      'ABORTED',
      'encode',
    );
    const controller = new AbortController();
    const { signal } = controller;
    const texts = new Array(2000).fill(LONG);
    const running = model.encode(texts, { signal });
    const other = model.encode('a');
    setImmediate(() => controller.abort());
    await expectError(() => running, 'ABORTED', 'encode');
    expect((await other).count).toBe(1);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    const late = new AbortController();
    expect((await model.encode('a', { signal: late.signal })).count).toBe(1);
    late.abort();
  });
});

describe('disposal', () => {
  test('during and after calls: they end, or are DISPOSED', async () => {
    const mine = await SentenceEncoder.load(SENTENCE);
    const calls = Array.from({ length: 50 }, () => mine.encode(new Array(30).fill(LONG)));
    const outcomes = Promise.allSettled(calls);
    setImmediate(() => mine[Symbol.dispose]());
    for (const outcome of await outcomes) {
      if (outcome.status === 'fulfilled') expect(outcome.value.count).toBe(30);
      else expect(outcome.reason).toMatchObject({ code: 'DISPOSED' });
    }
    await mine.dispose();
    for (const texts of ['a', []]) {
      expect((await errorOf(() => mine.encode(texts))).code).toBe('DISPOSED');
    }
  });

  test('by using', async () => {
    let seen: SentenceEncoder;
    {
      await using mine = await SentenceEncoder.load(SENTENCE);
      seen = mine;
    }
    expect((await errorOf(() => seen.encode('a'))).code).toBe('DISPOSED');
  });
});

test('OVERLOADED where more wait than may', async () => {
  const mine = await SentenceEncoder.load(SENTENCE, { maxQueued: 1 });
  const calls = Array.from({ length: 30 }, () => mine.encode(new Array(256).fill(LONG)));
  const outcomes = await Promise.allSettled(calls);
  const failed = outcomes.filter((outcome) => outcome.status === 'rejected');
  expect(failed.length).toBeGreaterThan(0);
  expect(failed.length).toBeLessThan(30);
  for (const { reason } of failed) expect(reason).toMatchObject({ code: 'OVERLOADED' });
  // A call alone may be longer than the limit, however many slices it is tokenized in.
  expect((await mine.encode(new Array(1000).fill(LONG))).count).toBe(1000);
  await mine.dispose();
});

describe('a folder', () => {
  const load = async (changes: Record<string, Change>, source = SENTENCE) => {
    const loaded = await SentenceEncoder.load(await copyOf(source, changes));
    await loaded.dispose();
    return loaded.info;
  };

  test.each(['config.json', 'model.safetensors', 'tokenizer.json', '1_Pooling/config.json'])(
    'without %s: FILE_ERROR',
    async (name) => {
      const error = await errorOf(() => load({ [name]: null }));
      expect(error.code).toBe('FILE_ERROR');
    },
  );

  test.each([
    'modules.json',
    'tokenizer_config.json',
    'sentence_bert_config.json',
    'config_sentence_transformers.json',
  ])('without %s: as Python', async (name) => {
    expect((await load({ [name]: null })).dimensions).toBe(18);
  });

  test('without a tokenizer is one for Transformer only', async () => {
    await expectError(
      () => SentenceEncoder.load(golden('bert', 'h1x8')),
      'FILE_ERROR',
      'tokenizer.json',
    );
  });

  test('limits: the settings, else the tokenizer, never more than positions, never less than a frame', async () => {
    const limits = (seq: unknown, tok: unknown) => ({
      'sentence_bert_config.json': { max_seq_length: seq },
      'tokenizer_config.json': { model_max_length: tok },
    });
    expect((await load(limits(7, 5))).maxLength).toBe(7);
    expect((await load(limits(null, 5))).maxLength).toBe(5);
    expect((await load(limits(null, 1e30))).maxLength).toBe(40);
    expect((await load(limits(1000, 5))).maxLength).toBe(40);
    for (const [seq, tok] of [
      [1, 5],
      [null, 1],
      [null, 0],
      [null, -3],
    ]) {
      await expectError(() => load(limits(seq, tok)), 'INVALID_ARGUMENT', 'special ones');
    }
  });

  test('a Dense that lacks a tensor, and a vocabulary larger than the table', async () => {
    const DENSE = golden('sentence', 'dense-tanh');
    const tensors = tensorsOf(readFileSync(join(DENSE, '2_Dense', 'model.safetensors')));
    delete tensors['linear.bias'];
    await expectError(
      () => load({ '2_Dense/model.safetensors': validFile(tensors) }, DENSE),
      'WEIGHT_MISSING',
      '2_Dense/linear.bias',
    );
    const tokenizer = readJson(join(SENTENCE, 'tokenizer.json')) as {
      model: { vocab: Record<string, number> };
    };
    tokenizer.model.vocab['the'] = 500;
    const mine = await SentenceEncoder.load(
      await copyOf(SENTENCE, { 'tokenizer.json': tokenizer }),
    );
    const calls = [mine.encode('a'), mine.encode('the'), mine.encode('b')];
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect((await errorOf(() => calls[1])).code).toBe('INVALID_ARGUMENT');
    await mine.dispose();
  });

  test('options that are wrong', async () => {
    for (const maxQueued of [0, 1.5, '1', null]) {
      const f = () => SentenceEncoder.load(SENTENCE, { maxQueued: wrong(maxQueued) });
      await expectError(f, 'INVALID_ARGUMENT', 'options.maxQueued');
    }
    await expectError(
      () => SentenceEncoder.load(SENTENCE, wrong({ pooling: 'cls' })),
      'INVALID_ARGUMENT',
      'options.pooling',
    );
    await expectError(
      () => SentenceEncoder.load(SENTENCE, { device: 'cuda' }),
      'DEVICE_UNAVAILABLE',
      'options.device',
    );
    await expectError(
      () => SentenceEncoder.load(SENTENCE, { signal: AbortSignal.abort() }),
      'ABORTED',
      '',
    );
  });
});
