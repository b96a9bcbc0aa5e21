/**
 * Tasks against the pipelines of transformers and the CrossEncoder of sentence-transformers (oracle/tasks.py): the same
 * words, labels, orders and places, and scores within the tolerance policy.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Aggregation,
  CrossEncoder,
  MaskedLM,
  type MultiheadError,
  SequenceClassifier,
  TokenClassifier,
} from '../../lib/index';
import { at } from './comparator';
import { GOLDEN, goldenCases } from './goldens';

const CASES = goldenCases('tasks');
const folderOf = (name: string) => join(GOLDEN, 'tasks', name);

function readGolden<T>(name: string): T & { readonly tolerance: number } {
  return JSON.parse(readFileSync(join(folderOf(name), 'golden.json'), 'utf8'));
}

const named = (prefix: string) => CASES.filter((name) => name.startsWith(prefix));

function expectClose(
  where: string,
  ours: readonly number[],
  golden: readonly number[],
  tolerance: number,
) {
  expect(ours.length).toBe(golden.length);
  golden.forEach((value, i) => {
    const distance = Math.abs(at(ours, i) - value);
    if (!(distance <= tolerance)) {
      throw new Error(`${where}, ${i}: got ${ours[i]}, expected ${value} within ${tolerance}`);
    }
  });
}

interface Fill {
  readonly score: number;
  readonly token: number;
  readonly token_str: string;
  readonly sequence: string;
}

describe.each(named('masked'))('%s', (name) => {
  const golden = readGolden<{ cases: { text: string; fills: Fill[][] }[] }>(name);
  let model: MaskedLM;
  beforeAll(async () => {
    model = await MaskedLM.load(folderOf(name), { device: 'cpu' });
  });
  afterAll(() => model?.dispose());

  test('gaps are filled as the pipeline fills them', async () => {
    for (const { text, fills } of golden.cases) {
      const found = await model.fillMask(text, { topK: 4 });
      expect(found.map((gap) => gap.map(({ score: _, ...rest }) => rest))).toEqual(
        fills.map((gap) =>
          gap.map(({ token, token_str: word, sequence }) => ({ token, word, text: sequence })),
        ),
      );
      const scores = found.flat().map(({ score }) => score);
      const expected = fills.flat().map(({ score }) => score);
      expectClose(text, scores, expected, golden.tolerance);
    }
  });

  test('concurrent calls share batches and change no bit', async () => {
    const texts = golden.cases.map(({ text }) => text);
    const together = await Promise.all(texts.map((text) => model.fillMask(text)));
    for (const [i, text] of texts.entries()) {
      expect(together[i]).toEqual(await model.fillMask(text));
    }
  });

  test('a text without a gap, one that is too long and a wrong option are refused', async () => {
    const calls = [
      () => model.fillMask('no gap'),
      () => model.fillMask(`<mask>${' river'.repeat(80)}`),
      () => model.fillMask('<mask>', { topK: 0 }),
      () => model.fillMask('<mask>', { top_k: 5 } as never),
      () => model.fillMask(['<mask>'] as never),
    ];
    for (const call of calls)
      await expect(call()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe.each(named('sequence'))('%s', (name) => {
  const golden = readGolden<{
    cases: { text: string; text_pair?: string; labels: { label: string; score: number }[] }[];
  }>(name);
  const inputs = golden.cases.map(({ text, text_pair: pair }) =>
    pair === undefined ? text : { text, pair },
  );
  let model: SequenceClassifier;
  beforeAll(async () => {
    model = await SequenceClassifier.load(folderOf(name), { device: 'cpu' });
  });
  afterAll(() => model?.dispose());

  test('labels and scores are the pipeline’s, of one, many and pairs', async () => {
    const found = await model.classify(inputs, { topK: 99 });
    for (const [i, { labels }] of golden.cases.entries()) {
      const ours = found[i] ?? [];
      expect(ours.map(({ label }) => label)).toEqual(labels.map(({ label }) => label));
      const scores = labels.map(({ score }) => score);
      expectClose(
        `case ${i}`,
        ours.map(({ score }) => score),
        scores,
        golden.tolerance,
      );
      expect(await model.classify(inputs[i] as string)).toEqual(ours.slice(0, 1));
    }
  });

  test('a text that is too long is cut, or refused', async () => {
    const long = 'river '.repeat(100);
    const [found] = await model.classify(long);
    expect(found).toBeDefined();
    await expect(model.classify(['a', long], { truncate: false })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      details: { where: 'texts[1]' },
    });
  });
});

interface GoldenEntity {
  readonly entity?: string;
  readonly entity_group?: string;
  readonly score: number;
  readonly index?: number;
  readonly word: string;
  /** In code points. */
  readonly start: number;
  readonly end: number;
}

describe.each(named('tokens'))('%s', (name) => {
  const golden = readGolden<{
    cases: {
      text: string;
      aggregation: Aggregation;
      ignored: string[];
      entities: GoldenEntity[];
    }[];
  }>(name);
  let model: TokenClassifier;
  beforeAll(async () => {
    model = await TokenClassifier.load(folderOf(name), { device: 'cpu' });
  });
  afterAll(() => model?.dispose());

  test.each(['none', 'simple', 'first', 'average', 'max'] as const)('%s', async (aggregation) => {
    const cases = golden.cases.filter((each) => each.aggregation === aggregation);
    expect(cases.some(({ entities }) => entities.length > 0)).toBe(true);
    for (const { text, ignored, entities } of cases) {
      const found = await model.classify(text, { aggregation, ignoreLabels: ignored });
      const points = [...text];
      const units = (place: number) => points.slice(0, place).join('').length;
      expect(found.map(({ score: _, ...rest }) => rest)).toEqual(
        entities.map(({ entity, entity_group: group, index, word, start, end }) => ({
          label: entity ?? group,
          word,
          start: units(start),
          end: units(end),
          ...(index !== undefined && { index }),
        })),
      );
      const expected = entities.map(({ score }) => score);
      expectClose(
        text,
        found.map(({ score }) => score),
        expected,
        golden.tolerance,
      );
    }
  });

  test('of many texts each is as alone; what is asked wrongly is refused', async () => {
    const texts = golden.cases.slice(0, 6).map(({ text }) => text);
    const found = await model.classify(texts, { aggregation: 'simple' });
    for (const [i, text] of texts.entries()) {
      expect(found[i]).toEqual(await model.classify(text, { aggregation: 'simple' }));
    }
    for (const options of [{ aggregation: 'word' }, { ignoreLabels: 'O' }, { stride: 3 }]) {
      await expect(model.classify('a', options as never)).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      });
    }
    await expect(model.classify([{ text: 'a' }] as never)).rejects.toMatchObject({
      details: { where: 'texts[0]' },
    });
  });
});

describe.each(named('cross'))('%s', (name) => {
  const golden = readGolden<{
    pairs: [string, string][];
    scores: (number | number[])[];
    documents: string[];
    ranked: { index: number; score: number }[];
  }>(name);
  let model: CrossEncoder;
  beforeAll(async () => {
    model = await CrossEncoder.load(folderOf(name), { device: 'cpu' });
  });
  afterAll(() => model?.dispose());

  test('scores are the library’s, alone and together', async () => {
    const scores = await model.predict(golden.pairs);
    expectClose(name, [...scores], golden.scores.flat(), golden.tolerance);
    const { labels } = model.info;
    for (const [i, pair] of golden.pairs.entries()) {
      const row = scores.slice(i * labels, (i + 1) * labels);
      expect(await model.predict([pair])).toEqual(row);
    }
    expect(await model.predict([])).toHaveLength(0);
  });

  test('documents rank as the library ranks them', async () => {
    const ranked = model.rank('the river', golden.documents);
    if (golden.ranked.length === 0) {
      await expect(ranked).rejects.toMatchObject({ code: 'UNSUPPORTED' });
      return;
    }
    const found = await ranked;
    expect(found.map(({ index }) => index)).toEqual(golden.ranked.map(({ index }) => index));
    const expected = golden.ranked.map(({ score }) => score);
    expectClose(
      name,
      found.map(({ score }) => score),
      expected,
      golden.tolerance,
    );
    expect(await model.rank('the river', golden.documents, { topK: 2 })).toEqual(found.slice(0, 2));
  });

  test('malformed pairs and options are refused', async () => {
    const calls = [
      () => model.predict('ab' as never),
      () => model.predict([['a']] as never),
      () => model.predict([['a', 'b', 'c']] as never),
      () => model.predict([['a', 'b']], { activation: 'softmax' as never }),
      () => model.predict([['a', 'x '.repeat(99)]], { truncate: false }),
    ];
    for (const call of calls)
      await expect(call()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('ends', () => {
  test('a model of another kind names the classes that fit', async () => {
    const failures = await Promise.all(
      [
        SequenceClassifier.load(folderOf('masked-bert')),
        MaskedLM.load(folderOf('tokens-bert')),
        TokenClassifier.load(folderOf('cross-one')),
        MaskedLM.load(folderOf('causal')),
      ].map((load) => load.then(fail, (error: MultiheadError) => error)),
    );
    expect(failures.map(({ code }) => code)).toEqual([
      'WEIGHT_MISSING',
      'WEIGHT_MISSING',
      'WEIGHT_MISSING',
      'UNSUPPORTED',
    ]);
    const fits = ['MaskedLM', 'TokenClassifier', 'SequenceClassifier', 'CausalLM'];
    failures.forEach(({ message }, i) => {
      expect(message).toContain(fits[i]);
    });
  });

  test('disposed in the middle: what waits is told, and nothing is left', async () => {
    const model = await SequenceClassifier.load(folderOf('sequence-one'));
    const calls = Array.from({ length: 8 }, () => model.classify(new Array(200).fill('a river')));
    await model.dispose();
    for (const result of await Promise.allSettled(calls)) {
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'DISPOSED' });
    }
    await expect(model.classify('a')).rejects.toMatchObject({ code: 'DISPOSED' });
  });

  test('an aborted call', async () => {
    await using model = await SequenceClassifier.load(folderOf('sequence-one'));
    const controller = new AbortController();
    const call = model.classify(new Array(500).fill('a river'), { signal: controller.signal });
    controller.abort();
    await expect(call).rejects.toMatchObject({ code: 'ABORTED' });
  });
});

function fail(): never {
  throw new Error('it loaded');
}
