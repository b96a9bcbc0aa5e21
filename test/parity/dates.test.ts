/**
 * The trained example (examples/dates) against its own PyTorch model: every layer of both stacks, and the answers to
 * all held-back inputs, from Seq2SeqLM and by forwards over whole sequences, which use neither its tokenizer nor a
 * cache.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ForwardOutput, type Plan, Seq2SeqLM, Transformer } from '../../lib/index';
import { readModelFolder } from '../../lib/models';
import type { Tensor } from '../../lib/weights/memory';
import { at, compare, type Numbers, policyTolerance, Report } from './comparator';
import { GOLDEN, Golden, readArrays } from './goldens';

const FOLDER = join(__dirname, '..', '..', 'examples', 'dates');
const WIDTH = 64;

const golden = new Golden(join(GOLDEN, 'dates'));
const report = new Report('dates');

let encoder: Transformer;
let decoder: Transformer;

beforeAll(async () => {
  encoder = await Transformer.load(FOLDER, { device: 'cpu' });
  decoder = await decoderOf(FOLDER);
});
afterAll(async () => {
  report.print();
  await Promise.all([encoder?.dispose(), decoder?.dispose()]);
});

/** The decoder with its head, the weights read by the goldens' own reader. */
async function decoderOf(folder: string): Promise<Transformer> {
  const { decoder: stack, heads } = await readModelFolder(folder);
  if (!stack || !heads.language) throw new Error(`${folder}: no decoder, or no head`);
  const plan: Plan = {
    ...stack,
    blocks: [...stack.blocks, { block: 'select' }, ...heads.language],
  };
  const weights = readArrays(join(folder, 'model.safetensors')) as Map<string, Tensor>;
  return await Transformer.create(plan, weights, { device: 'cpu' });
}

const encode = (transformer: Transformer) =>
  transformer.forward({
    tokens: golden.ints('source'),
    offsets: golden.ints('source_offsets'),
    outputHiddenStates: true,
  });

const decode = (memory: Float32Array) =>
  decoder.forward({
    tokens: golden.ints('target'),
    offsets: golden.ints('target_offsets'),
    memory,
    memoryOffsets: golden.ints('source_offsets'),
    outputHiddenStates: true,
    outputLogits: true,
  });

/** Compares layer by layer with a golden [layers, T, columns]; throws at the first that disagrees. */
function compareLayers(stack: string, layers: readonly Float32Array[]): void {
  const [count = 0, tokens = 0, columns = 0] = golden.shape(`${stack}_f64`);
  expect(layers).toHaveLength(count);
  const expected = golden.floats(`${stack}_f64`);
  const naive = golden.floats(`${stack}_torch_f32_max_abs`);
  layers.forEach((layer, i) => {
    const size = tokens * columns;
    const reference: Numbers = expected.subarray(i * size, (i + 1) * size);
    const tolerance = policyTolerance(reference, at(naive, i));
    report.add(compare(`${stack}, state ${i}`, layer, reference, columns, tolerance));
  });
}

const layersOf = ({ layers }: ForwardOutput): Float32Array[] => layers ?? [];

describe('layer by layer', () => {
  test('the encoder', async () => {
    compareLayers('encoder', layersOf(await encode(encoder)));
  });

  test('the decoder and its logits', async () => {
    const output = await decode((await encode(encoder)).hidden);
    compareLayers('decoder', layersOf(output));
    compareLayers('logits', output.logits ? [output.logits] : []);
  });

  test('a memory in another order is seen, in the first layer that reads it', async () => {
    const { hidden } = await encode(encoder);
    const moved = Float32Array.from([...hidden.subarray(WIDTH), ...hidden.subarray(0, WIDTH)]);
    const layers = layersOf(await decode(moved));
    expect(() => compareLayers('decoder', layers)).toThrow('decoder, state 1: row');
  });
});

interface Row {
  readonly format: string;
  readonly input: string;
  readonly expected: string;
  readonly output: string;
}

const ROWS: readonly Row[] = readFileSync(join(FOLDER, 'held-back.jsonl'), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line));

const share = (rows: readonly Row[]) =>
  rows.filter(({ expected, output }) => expected === output).length / rows.length;

test('the model is as good as its README says, in every format', () => {
  const formats = [...new Set(ROWS.map(({ format }) => format))];
  expect(formats).toHaveLength(12);
  for (const format of formats) {
    const rows = ROWS.filter((row) => row.format === format);
    expect(rows).toHaveLength(100);
    expect(share(rows)).toBeGreaterThanOrEqual(0.99);
  }
});

describe("every held-back answer is PyTorch's", () => {
  const inputs = ROWS.map(({ input }) => input);
  const outputs = ROWS.map(({ output }) => output);

  test('from Seq2SeqLM', async () => {
    const model = await Seq2SeqLM.load(FOLDER, { device: 'cpu' });
    try {
      const answers = await model.generate(inputs);
      expect(answers.map(({ text }) => text)).toEqual(outputs);
      expect(new Set(answers.map(({ finishReason }) => finishReason))).toEqual(new Set(['eos']));
    } finally {
      await model.dispose();
    }
  });

  test('from whole forwards', async () => {
    expect(await greedy(inputs)).toEqual(outputs);
  });
});

/** The most likely token, again and again, of all texts at once; the decoder reads each answer from its start. */
async function greedy(texts: readonly string[]): Promise<string[]> {
  const { vocab }: { vocab: Record<string, number> } = readJson('tokenizer.json').model;
  const characters: string[] = [];
  for (const [character, id] of Object.entries(vocab)) characters[id] = character;
  const settings = readJson('generation_config.json');
  const stop: number = settings.eos_token_id;
  const source = pack(texts.map((text) => [...[...text].map((c) => vocab[c] as number), stop]));
  const { hidden: memory } = await encoder.forward(source);
  const answers: number[][] = texts.map(() => [settings.decoder_start_token_id]);
  for (let step = 0; step < settings.max_new_tokens; step += 1) {
    const batch = pack(answers);
    const { logits } = await decoder.forward({
      ...batch,
      memory,
      memoryOffsets: source.offsets,
      selected: batch.offsets.slice(1).map((end) => end - 1),
      outputLogits: true,
    });
    const rows = logits as Float32Array;
    answers.forEach((answer, i) => {
      const row = rows.subarray(i * characters.length, (i + 1) * characters.length);
      answer.push(row.indexOf(Math.max(...row)));
    });
  }
  return answers.map((answer) => {
    const end = answer.indexOf(stop);
    return answer
      .slice(1, end < 0 ? undefined : end)
      .map((id) => characters[id])
      .join('');
  });
}

function readJson(name: string) {
  return JSON.parse(readFileSync(join(FOLDER, name), 'utf8'));
}

function pack(sequences: readonly (readonly number[])[]) {
  const offsets = new Int32Array(sequences.length + 1);
  sequences.forEach(({ length }, i) => {
    offsets[i + 1] = at(offsets, i) + length;
  });
  return { tokens: Int32Array.from(sequences.flat()), offsets };
}
