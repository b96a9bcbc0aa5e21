/** The real all-MiniLM-L6-v2 against sentence-transformers, on every text of texts.json. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SentenceEncoder } from '../../lib/index';
import { compare, Report } from './comparator';
import { GOLDEN, Golden, readTexts } from './goldens';
import { minilmFolder } from './model';

const WIDTH = 384;
/** Unit vectors; torch's own f32 strays 2e-7 from f64 (torchF32MaxAbsFromF64 in golden.json). */
const TOLERANCE = 1e-5;

const texts = readTexts();
const golden = new Golden(join(GOLDEN, 'minilm'));
const facts = JSON.parse(readFileSync(join(golden.folder, 'golden.json'), 'utf8'));
const report = new Report('MiniLM');
let model: SentenceEncoder;

beforeAll(async () => {
  model = await SentenceEncoder.load(minilmFolder(), { device: 'cpu' });
}, 600_000);
afterAll(() => {
  model?.dispose();
  report.print();
});

test('there is a golden for each of at least 200 texts', () => {
  expect(texts.length).toBeGreaterThanOrEqual(200);
  expect(facts.texts).toBe(texts.length);
  expect(golden.shape('vectors')).toEqual([texts.length, WIDTH]);
});

test('every text: its vector within 1e-5 of sentence-transformers, tokens counted alike', async () => {
  const { data, count, dimensions, usage } = await model.encode(texts.map(({ text }) => text));
  expect({ count, dimensions }).toEqual({ count: texts.length, dimensions: WIDTH });
  expect(usage.tokens).toBe(golden.ints('tokens').length);
  const vectors = golden.floats('vectors');
  for (const [i, { name }] of texts.entries()) {
    const row = (all: Float32Array | Float64Array) => all.subarray(i * WIDTH, (i + 1) * WIDTH);
    report.add(compare(name, row(data), row(vectors), WIDTH, TOLERANCE));
  }
});

test('vectors are unit vectors', async () => {
  const { data } = await model.encode(texts[20]?.text as string);
  expect(Math.hypot(...data)).toBeCloseTo(1, 6);
});

test('a vector of another text is refused by the same comparison', async () => {
  const { data } = await model.encode('A man is eating food.');
  const other = golden.floats('vectors').subarray(0, WIDTH);
  expect(() => compare('another text', data, other, WIDTH, TOLERANCE)).toThrow('another text: row');
});

test('a lone surrogate is refused, as Python refuses it', async () => {
  expect(facts.loneSurrogate.raises).toBe('TypeError');
  await expect(model.encode('a\ud800b')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  await expect(model.encode(['fine', '\udc00'])).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
  });
});
