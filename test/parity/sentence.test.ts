/**
 * Folders that the sentence-transformers library wrote (some in its older spelling) against its encode:
 * every pooling, concatenations, Dense, Normalize, lower case, truncation, default prompt.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SentenceEncoder } from '../../lib/index';
import { at, compare, expectSameBits, policyTolerance, Report } from './comparator';
import { GOLDEN, Golden, goldenCases, sequenceOf } from './goldens';

const CASES = goldenCases('sentence');
const TEXTS: string[] = JSON.parse(readFileSync(join(GOLDEN, 'sentence', 'texts.json'), 'utf8'));
const report = new Report('sentence-transformers folders');

afterAll(() => report.print());

test('there is a golden for every pooling and module', () => {
  expect(CASES).toEqual(
    expect.arrayContaining([
      'cls',
      'max',
      'mean',
      'mean-sqrt-len-tokens',
      'weightedmean',
      'lasttoken',
    ]),
  );
  expect(CASES.length).toBeGreaterThanOrEqual(18);
});

describe.each(CASES)('%s', (name) => {
  const golden = new Golden(join(GOLDEN, 'sentence', name));
  const [, columns = 0] = golden.shape('vectors_f64');
  let model: SentenceEncoder;

  beforeAll(async () => {
    model = await SentenceEncoder.load(golden.folder, { device: 'cpu' });
  });
  afterAll(() => model?.dispose());

  test('vectors within the tolerance policy, tokens counted as Python counts them', async () => {
    const reference = golden.floats('vectors_f64');
    const tolerance = policyTolerance(reference, at(golden.floats('torch_f32_max_abs'), 0));
    const offsets = golden.ints('offsets');
    for (const [i, text] of TEXTS.entries()) {
      const { data, count, dimensions, usage } = await model.encode(text);
      expect({ count, dimensions, tokens: usage.tokens }).toEqual({
        count: 1,
        dimensions: columns,
        tokens: sequenceOf(golden.ints('tokens'), offsets, i).length,
      });
      const expected = reference.subarray(i * columns, (i + 1) * columns);
      report.add(compare(`${name}, ${JSON.stringify(text)}`, data, expected, columns, tolerance));
    }
  });

  test('a batch gives the bits of its texts alone', async () => {
    const batch = await model.encode(TEXTS);
    for (const [i, text] of TEXTS.entries()) {
      const alone = await model.encode(text);
      expectSameBits(`${name}, ${JSON.stringify(text)}`, batch.at(i), alone.data);
    }
  });
});
