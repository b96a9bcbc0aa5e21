/** Texts to ids by the model's own tokenizer.json: truncation, odd texts, malformed files. */

import { join } from 'node:path';
import { Tokenizer, type TokenizerOptions } from '../../lib/tokenizer';
import { errorOf, expectError } from '../binding/support/errors';
import { type Change, copyOf, golden, readJson, removeFolders, SENTENCE } from './support/folders';

afterAll(removeFolders);

const JSON_FILE = readJson(join(SENTENCE, 'tokenizer.json'));
const [CLS, SEP, A, B] = [2, 3, 5, 6];

async function load(
  changes: Record<string, Change> = {},
  options?: TokenizerOptions,
  source = SENTENCE,
) {
  return await Tokenizer.load(await copyOf(source, changes), options);
}
async function ids(tokenizer: Tokenizer, text: string, maxLength = 32): Promise<number[]> {
  const [sequence] = await tokenizer.encode([text], maxLength, (i) => `texts[${i}]`);
  return [...(sequence?.ids ?? [])];
}
const changed = (change: object) => ({ 'tokenizer.json': { ...JSON_FILE, ...change } });

describe('truncation', () => {
  test('keeps the special tokens and the begin of the text', async () => {
    const tokenizer = await load();
    const sequences = await tokenizer.encode(['a b a b', 'a'], 4, String);
    expect(sequences.map((s) => [[...s.ids], s.fullLength])).toEqual([
      [[CLS, A, B, SEP], 6],
      [[CLS, A, SEP], 3],
    ]);
    expect(await ids(tokenizer, 'a b a b', 2)).toEqual([CLS, SEP]);
    expect(await ids(tokenizer, 'a b a b', 6)).toEqual([CLS, A, B, A, B, SEP]);
  });

  test('keeps the end of the text where tokenizer_config.json says left', async () => {
    const tokenizer = await load({ 'tokenizer_config.json': { truncation_side: 'left' } });
    expect(await ids(tokenizer, 'a a a b', 4)).toEqual([CLS, A, B, SEP]);
    expect(await ids(tokenizer, 'a b', 2)).toEqual([CLS, SEP]);
  });

  test('and padding that tokenizer.json asks for are off', async () => {
    const tokenizer = await load(
      changed({
        truncation: { max_length: 3, strategy: 'LongestFirst', stride: 0, direction: 'Right' },
        padding: {
          ...{ strategy: { Fixed: 20 }, direction: 'Right', pad_to_multiple_of: null },
          ...{ pad_id: 0, pad_type_id: 0, pad_token: '[PAD]' },
        },
      }),
    );
    expect(await ids(tokenizer, 'a b a b')).toEqual([CLS, A, B, A, B, SEP]);
  });
});

describe('texts', () => {
  test('empty, blank, NUL and special tokens written out', async () => {
    const tokenizer = await load();
    expect(tokenizer.specialTokens).toBe(2);
    expect(tokenizer.specialTokensAfter).toBe(1);
    expect(await ids(tokenizer, '')).toEqual([CLS, SEP]);
    expect(await ids(tokenizer, ' \n\t')).toEqual([CLS, SEP]);
    expect(await ids(tokenizer, 'a \0 b')).toEqual([CLS, A, B, SEP]);
    expect(await ids(tokenizer, '[CLS] a [SEP]')).toEqual([CLS, CLS, A, SEP, SEP]);
    expect(await ids(tokenizer, '😀 a')).toEqual([CLS, 1, A, SEP]);
    expect(await tokenizer.encode([], 5, String)).toEqual([]);
  });

  test.each(['\uD800', 'a\uDC00b', '\uDC00\uD800', 'a\uD83D'])(
    'a lone surrogate in %j is refused, by the place of its text',
    async (text) => {
      const tokenizer = await load();
      const encode = () => tokenizer.encode(['a', text], 5, (i) => `texts[${i + 10}]`);
      await expectError(encode, 'INVALID_ARGUMENT', 'texts[11]: a lone surrogate');
    },
  );

  test('long ones', async () => {
    const tokenizer = await load();
    const [sequence] = await tokenizer.encode(['a '.repeat(50_000)], 9, String);
    expect([sequence?.ids.length, sequence?.fullLength]).toEqual([9, 50_002]);
  });
});

describe('lower case', () => {
  const CASED = golden('sentence', 'cased');
  test('on demand, before any normalizer and after none', async () => {
    expect(await ids(await load({}, {}, CASED), 'B')).not.toEqual([CLS, B, SEP]);
    expect(await ids(await load({}, { lowerCase: true }, CASED), 'B')).toEqual([CLS, B, SEP]);
    const none = await load(changed({ normalizer: null }), { lowerCase: true });
    expect(await ids(none, 'B')).toEqual([CLS, B, SEP]);
    const sequence = { type: 'Sequence', normalizers: [{ type: 'NFC' }] };
    const chained = await load(changed({ normalizer: sequence }), { lowerCase: true });
    expect(await ids(chained, 'B')).toEqual([CLS, B, SEP]);
  });
});

describe('limits', () => {
  test.each([
    [{ model_max_length: 16 }, 16],
    [{ model_max_length: 1e30 }, undefined],
    [{ model_max_length: '16' }, undefined],
    [{}, undefined],
  ])('%j', async (config, expected) => {
    expect((await load({ 'tokenizer_config.json': config })).maxLength).toBe(expected);
  });

  test('no tokenizer_config.json is needed', async () => {
    expect((await load({ 'tokenizer_config.json': null })).maxLength).toBeUndefined();
  });
});

describe('files that are refused', () => {
  test('a missing one', async () => {
    await expectError(
      () => load({ 'tokenizer.json': null }),
      'FILE_ERROR',
      'tokenizer.json: no such file',
    );
  });

  const model = JSON_FILE['model'] as object;
  test.each<[string, Change]>([
    ['no JSON', '{"version": '],
    ['no object', '[]'],
    ['empty', {}],
    ['no model', { ...JSON_FILE, model: null }],
    ['an unknown model', { ...JSON_FILE, model: { type: 'Telepathy', vocab: {} } }],
    ['a vocabulary that is a list', { ...JSON_FILE, model: { ...model, vocab: [] } }],
    ['ids that are no numbers', { ...JSON_FILE, model: { ...model, vocab: { a: 'b' } } }],
    ['a normalizer that is a number', { ...JSON_FILE, normalizer: 7 }],
    ['an unknown pre-tokenizer', { ...JSON_FILE, pre_tokenizer: { type: 'Telepathy' } }],
    [
      'no token for the unknown',
      { ...JSON_FILE, model: { ...model, vocab: { '[CLS]': 2, '[SEP]': 3 } }, added_tokens: [] },
    ],
  ])('%s', async (_, content) => {
    const error = await errorOf(() => load({ 'tokenizer.json': content }));
    expect(error.code).toBe('INVALID_ARGUMENT');
    expect(error.details.where).toContain('tokenizer.json');
    expect(
      (await errorOf(() => load({ 'tokenizer.json': content }, { lowerCase: true }))).code,
    ).toBe('INVALID_ARGUMENT');
  });

  test('one that finds no token in a text', async () => {
    const empty = { type: 'Replace', pattern: { Regex: '.' }, content: '' };
    await expectError(() => load(changed({ normalizer: empty })), 'UNSUPPORTED', "the text 'a'");
  });

  test('a side that is none', async () => {
    const changes = { 'tokenizer_config.json': { truncation_side: 'top' } };
    await expectError(() => load(changes), 'INVALID_ARGUMENT', 'truncation_side: "top"');
  });
});
