/** The published Transformer run by the library: encoder, memory, decoder and logits against the naive reference. */

import { MultiheadError } from '../../lib/errors';
import { transformer } from '../../lib/paper';
import type { Plan } from '../../lib/plan';
import { planWeights, randomWeights } from '../../lib/plan-weights';
import { type ForwardInput, Transformer } from '../../lib/transformer';
import { at, compare, expectSameBits, maxAbsOf, policyTolerance, Report } from './comparator';
import { type NaiveBatch, runNaive } from './naive';
import { exact, type Matrix, naiveF32 } from './naive-math';

const WIDTH = 24;
const VOCABULARY = 37;
const { encoder, decoder } = transformer({
  vocabulary: VOCABULARY,
  layers: 2,
  width: WIDTH,
  heads: 4,
  inner: 40,
  positions: 80,
});
const weights = {
  ...randomWeights(encoder, { seed: 1 }),
  ...randomWeights(decoder, { seed: 1 }),
};

/** Ids that no two rows share by chance: i, i + step, .. */
const ids = (count: number, step: number) =>
  Int32Array.from({ length: count }, (_, i) => (i * step + step) % VOCABULARY);
const source = { tokens: ids(75, 5), offsets: Int32Array.of(0, 66, 67, 75) };
const target = { tokens: ids(20, 7), offsets: Int32Array.of(0, 1, 13, 20) };
const selected = Int32Array.of(0, 12, 19);

const report = new Report('the paper');
let reader: Transformer;
let writer: Transformer;

beforeAll(async () => {
  reader = await Transformer.create(encoder, weights);
  writer = await Transformer.create(decoder, weights);
});
afterAll(async () => {
  report.print();
  await reader.dispose();
  await writer.dispose();
});

/** Compares one of our outputs with the naive stream after a block. */
function judge(plan: Plan, batch: NaiveBatch, outputs: ReadonlyMap<number, Float32Array>): void {
  const stored = new Map<string, Matrix>(
    planWeights(plan).map(({ name, shape: [rows = 1, columns = 1] }) => [
      name,
      { rows, columns, data: Float64Array.from(weights[name]?.data as Float32Array) },
    ]),
  );
  const reference = runNaive(plan, stored, batch, exact);
  const singles = naiveF32.map((arithmetic) => runNaive(plan, stored, batch, arithmetic));
  for (const [block, ours] of outputs) {
    const { data, columns } = reference[block] as Matrix;
    const naive = maxAbsOf(
      singles.map((single) =>
        maxAbsOf((single[block] as Matrix).data.map((x, i) => x - at(data, i))),
      ),
    );
    const where = `block ${block} (${plan.blocks[block]?.block})`;
    report.add(compare(where, ours, data, columns, policyTolerance(data, naive)));
  }
}

/** Indices of the embedding and of what ends a layer. */
const layersOf = ({ blocks }: Plan) =>
  blocks.flatMap(({ block }, i) => (block === 'embed' || block === 'feedForward' ? [i] : []));

async function memoryOf(input: ForwardInput) {
  const { hidden } = await reader.forward(input);
  return { memory: hidden, memoryOffsets: input.offsets };
}

test('the encoder: every layer, and hidden the last of them', async () => {
  const { hidden, layers = [] } = await reader.forward({ ...source, outputHiddenStates: true });
  expect(layers).toHaveLength(3);
  const outputs = new Map(layersOf(encoder).map((block, i) => [block, layers[i] as Float32Array]));
  judge(encoder, source, outputs);
  expectSameBits('hidden', hidden, layers.at(-1) as Float32Array);
});

test('the decoder: every layer of all rows, logits of the selected ones', async () => {
  const memory = await memoryOf(source);
  const batch = { ...target, ...memory, selected };
  const {
    hidden,
    layers = [],
    logits,
  } = await writer.forward({
    ...batch,
    outputHiddenStates: true,
    outputLogits: true,
  });
  expect(layers).toHaveLength(3);
  expect(hidden).toHaveLength(20 * WIDTH);
  expect(logits).toHaveLength(3 * VOCABULARY);
  const outputs = new Map(layersOf(decoder).map((block, i) => [block, layers[i] as Float32Array]));
  outputs.set(decoder.blocks.length - 1, logits as Float32Array);
  judge(decoder, batch, outputs);
  expectSameBits('hidden', hidden, layers.at(-1) as Float32Array);
});

test('logits of selected rows have the bits of those of all rows', async () => {
  const memory = await memoryOf(source);
  const every = await writer.forward({ ...target, ...memory, outputLogits: true });
  const some = await writer.forward({ ...target, ...memory, selected, outputLogits: true });
  const rows = [...selected].flatMap((row) => [
    ...(every.logits as Float32Array).subarray(row * VOCABULARY, (row + 1) * VOCABULARY),
  ]);
  expectSameBits('logits', some.logits as Float32Array, Float32Array.from(rows));
});

test('a sequence has the same bits alone, its memory alone with it', async () => {
  const together = await writer.forward({
    ...target,
    ...(await memoryOf(source)),
    outputLogits: true,
  });
  for (let b = 0; b < 3; b++) {
    const part = ({ tokens, offsets }: typeof source) => {
      const alone = tokens.slice(at(offsets, b), at(offsets, b + 1));
      return { tokens: alone, offsets: Int32Array.of(0, alone.length) };
    };
    const memory = await memoryOf(part(source));
    const alone = await writer.forward({ ...part(target), ...memory, outputLogits: true });
    const [begin, end] = [at(target.offsets, b), at(target.offsets, b + 1)];
    const logits = (together.logits as Float32Array).slice(begin * VOCABULARY, end * VOCABULARY);
    expectSameBits(`sequence ${b}`, alone.logits as Float32Array, logits);
  }
});

test('without outputLogits there are none', async () => {
  const output = await writer.forward({ ...target, ...(await memoryOf(source)) });
  expect(Object.keys(output)).toEqual(['hidden']);
});

describe('is refused', () => {
  const memory = { memory: new Float32Array(3 * WIDTH), memoryOffsets: Int32Array.of(0, 1, 2, 3) };
  const onEncoder = (input: object) => reader.forward({ ...source, ...input });
  const onDecoder = (input: object) => writer.forward({ ...target, ...memory, ...input });
  test.each<[string, string, () => Promise<unknown>]>([
    ['no memory', 'input.memory', () => onDecoder({ memory: undefined })],
    ['no offsets of it', 'input.memoryOffsets', () => onDecoder({ memoryOffsets: undefined })],
    ['memory of another type', 'input.memory', () => onDecoder({ memory: [1, 2] })],
    ['offsets of another type', 'input.memoryOffsets', () => onDecoder({ memoryOffsets: [0] })],
    ['selected of another type', 'input.selected', () => onDecoder({ selected: [0] })],
    ['a word for a flag', 'input.outputLogits', () => onDecoder({ outputLogits: 'yes' })],
    ['a memory where none is read', 'input', () => onEncoder(memory)],
    ['offsets where none is read', 'input', () => onEncoder({ memoryOffsets: source.offsets })],
    ['logits without a select block', 'input', () => onEncoder({ outputLogits: true })],
    ['selected without a select block', 'input', () => onEncoder({ selected })],
    ['pooled without a pool block', 'input', () => onDecoder({ outputPooled: true })],
    ['pool weights without a pool block', 'input', () => onDecoder({ poolWeights: memory.memory })],
  ])('%s', async (_name, where, call) => {
    const error = await call().catch((reason) => reason);
    expect(error).toBeInstanceOf(MultiheadError);
    const { code, details } = error as MultiheadError;
    expect({ code, where: details.where }).toEqual({ code: 'INVALID_ARGUMENT', where });
  });

  test.each<[string, () => Promise<unknown>]>([
    ['a memory of another length', () => onDecoder({ memory: new Float32Array(WIDTH) })],
    ['offsets of too few', () => onDecoder({ memoryOffsets: Int32Array.of(0, 3) })],
    ['a selected row beyond the last', () => onDecoder({ selected: Int32Array.of(20) })],
    ['selected rows that descend', () => onDecoder({ selected: Int32Array.of(3, 2) })],
  ])('%s, by the core', async (_name, call) => {
    const error = await call().catch((reason) => reason);
    expect(error).toBeInstanceOf(MultiheadError);
    expect((error as MultiheadError).code).toBe('INVALID_ARGUMENT');
  });
});
