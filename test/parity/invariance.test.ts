/**
 * Batch invariance, bitwise: a text gives the same bits alone, in any batch, in any order, next to empty
 * sequences and with any number of threads; through Transformer.forward and through SentenceEncoder.encode.
 */

import { join } from 'node:path';
import { SentenceEncoder, Transformer } from '../../lib/index';
import { at, expectSameBits } from './comparator';
import { GOLDEN, Golden, goldenCases, readTexts, sequenceOf } from './goldens';
import { minilmFolder } from './model';
import { Random } from './random';

const THREADS = [1, 2, 3];

interface Sequence {
  readonly tokens: Int32Array;
  readonly types: Int32Array;
}

function pack(sequences: readonly Sequence[]) {
  const offsets = new Int32Array(sequences.length + 1);
  for (const [i, { tokens }] of sequences.entries())
    offsets[i + 1] = at(offsets, i) + tokens.length;
  const joined = (key: keyof Sequence) => Int32Array.from(sequences.flatMap((s) => [...s[key]]));
  return { tokens: joined('tokens'), types: joined('types'), offsets };
}

describe.each(goldenCases('bert'))('Transformer.forward, %s', (name) => {
  const golden = new Golden(join(GOLDEN, 'bert', name));
  const width = golden.shape('layers_f64')[2] as number;
  const offsets = golden.ints('offsets');
  const sequences: Sequence[] = Array.from({ length: offsets.length - 1 }, (_, i) => ({
    tokens: sequenceOf(golden.ints('tokens'), offsets, i),
    types: sequenceOf(golden.ints('types'), offsets, i),
  }));
  const empty: Sequence = { tokens: new Int32Array(0), types: new Int32Array(0) };

  test('the same bits alone, in any batch and order, beside empty sequences, with any threads', async () => {
    let alone: Float32Array[][] | undefined;
    for (const threads of THREADS) {
      const transformer = await Transformer.load(golden.folder, { device: 'cpu', threads });
      const states = async (batch: readonly Sequence[]) => {
        const { layers = [] } = await transformer.forward({
          ...pack(batch),
          outputHiddenStates: true,
        });
        return layers;
      };
      alone ??= await Promise.all(sequences.map((sequence) => states([sequence])));
      const random = new Random(100 + threads);
      for (let round = 0; round < 4; round++) {
        const indices = [...sequences.keys(), ...sequences.keys(), -1, -1];
        for (const part of random.partition(indices, indices.length)) {
          const layers = await states(part.map((i) => sequences[i] ?? empty));
          const packed = pack(part.map((i) => sequences[i] ?? empty)).offsets;
          part.forEach((sequence, place) => {
            if (sequence < 0) return;
            layers.forEach((layer, l) => {
              const where = `sequence ${sequence} in [${part}], layer ${l}, ${threads} threads, seed ${random.seed}`;
              const expected = alone?.[sequence]?.[l] as Float32Array;
              expectSameBits(where, sequenceOf(layer, packed, place, width), expected);
            });
          });
        }
      }
      transformer.dispose();
    }
  });
});

describe('SentenceEncoder.encode, MiniLM', () => {
  // Every kind of text, and few of the long ones: they cost most and differ least.
  const texts = readTexts().filter(({ text }, i) => text.length < 300 || i % 6 === 0);
  let folder: string;
  let alone: Float32Array[];

  beforeAll(async () => {
    folder = minilmFolder();
    const model = await SentenceEncoder.load(folder, { device: 'cpu', threads: 1 });
    alone = [];
    for (const { text } of texts) alone.push((await model.encode(text)).data);
    model.dispose();
  }, 600_000);

  test.each(THREADS)('the same bits alone and in random batches, %i threads', async (threads) => {
    const model = await SentenceEncoder.load(folder, { device: 'cpu', threads });
    const random = new Random(200 + threads);
    for (const part of random.partition([...texts.keys()], 40)) {
      const batch = await model.encode(part.map((i) => texts[i]?.text as string));
      part.forEach((i, place) => {
        const where = `${texts[i]?.name} in a batch of ${part.length}, ${threads} threads, seed ${random.seed}`;
        expectSameBits(where, batch.at(place), alone[i] as Float32Array);
      });
    }
    model.dispose();
  });

  test('the same bits in one batch of all, forwards and backwards, at the same time', async () => {
    const model = await SentenceEncoder.load(folder, { device: 'cpu' });
    const all = texts.map(({ text }) => text);
    const [forwards, backwards] = await Promise.all([
      model.encode(all),
      model.encode([...all].reverse()),
    ]);
    texts.forEach(({ name }, i) => {
      expectSameBits(`${name}, forwards`, forwards.at(i), alone[i] as Float32Array);
      expectSameBits(
        `${name}, backwards`,
        backwards.at(texts.length - 1 - i),
        alone[i] as Float32Array,
      );
    });
    model.dispose();
  });
});
