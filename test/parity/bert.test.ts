/**
 * Tiny random BERTs against transformers' BertModel, layer by layer, so that a failure names the layer;
 * and the proof that these comparisons can fail: each test under "a wrong model" breaks one thing.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Transformer } from '../../lib/index';
import {
  at,
  type Comparison,
  compare,
  expectSameBits,
  policyTolerance,
  Report,
} from './comparator';
import { FolderCopy } from './folder-copy';
import { GOLDEN, Golden, goldenCases } from './goldens';

const CASES = goldenCases('bert');
const report = new Report('tiny BERTs');

afterAll(() => report.print());

const layerName = (i: number) => (i === 0 ? 'embedding output' : `layer ${i - 1}`);

/** Runs the golden's batch through `folder` and returns each layer's output, embedding output first. */
async function layersOf(folder: string, golden: Golden, types = golden.ints('types')) {
  const transformer = await Transformer.load(folder, { device: 'cpu' });
  try {
    const { hidden, layers } = await transformer.forward({
      tokens: golden.ints('tokens'),
      offsets: golden.ints('offsets'),
      types,
      outputHiddenStates: true,
    });
    if (!layers) throw new Error('no layers');
    return { hidden, layers };
  } finally {
    transformer.dispose();
  }
}

/** Compares every layer with the golden; throws at the first that disagrees, naming it. */
function compareLayers(
  name: string,
  layers: readonly Float32Array[],
  golden: Golden,
): Comparison[] {
  const [count = 0, tokens = 0, width = 0] = golden.shape('layers_f64');
  if (layers.length !== count)
    throw new Error(`${name}: ${layers.length} layers, expected ${count}`);
  const expected = golden.floats('layers_f64');
  const torchF32 = golden.floats('torch_f32_max_abs');
  return layers.map((layer, i) => {
    const reference = expected.subarray(i * tokens * width, (i + 1) * tokens * width);
    const tolerance = policyTolerance(reference, at(torchF32, i));
    return compare(`${name}, ${layerName(i)}`, layer, reference, width, tolerance);
  });
}

test('the goldens cover what they claim to', () => {
  const cases = CASES.map(
    (name) => JSON.parse(readFileSync(join(GOLDEN, 'bert', name, 'golden.json'), 'utf8')).case,
  );
  const values = (key: string) => [...new Set(cases.map((entry) => entry[key]))].sort();
  expect(values('activation')).toEqual(['gelu', 'gelu_new', 'gelu_pytorch_tanh', 'relu', 'silu']);
  expect(values('dtype')).toEqual(['bf16', 'f16', 'f32']);
  expect(values('types')).toEqual([1, 2, 3]);
  expect(values('head_dim')).toEqual(expect.arrayContaining([8, 12, 24, 32, 64, 80, 128]));
  expect(values('heads')).toEqual(expect.arrayContaining([1, 2, 3, 5, 7, 12]));
  expect(values('prefix')).toEqual(['', 'bert.']);
  expect(values('shards')).toEqual([1, 2, 3]);
});

test.each(CASES)('%s: every layer within the tolerance policy', async (name) => {
  const golden = new Golden(join(GOLDEN, 'bert', name));
  const { hidden, layers } = await layersOf(golden.folder, golden);
  for (const comparison of compareLayers(name, layers, golden)) {
    report.add(comparison);
    expect(comparison.cosine).toBeGreaterThan(1 - 1e-9);
  }
  expectSameBits(`${name}, hidden`, hidden, layers[layers.length - 1] as Float32Array);
});

describe('a wrong model is seen, at the layer where it goes wrong', () => {
  let copy: FolderCopy;

  afterEach(() => copy.remove());

  function copyOf(name: string): Golden {
    copy = new FolderCopy(join(GOLDEN, 'bert', name));
    return new Golden(copy.folder);
  }

  async function expectFailureAt(where: string, golden: Golden, types?: Int32Array) {
    const { layers } = await layersOf(copy.folder, golden, types);
    expect(() => compareLayers('broken', layers, golden)).toThrow(`broken, ${where}: row`);
  }

  test('an untouched copy passes', async () => {
    const golden = copyOf('h2x24');
    const { layers } = await layersOf(copy.folder, golden);
    expect(compareLayers('copy', layers, golden)).toHaveLength(5);
  });

  test('another layer norm epsilon', async () => {
    const golden = copyOf('h3x11');
    copy.editConfig({ layer_norm_eps: 1e-12 });
    await expectFailureAt('embedding output', golden);
  });

  test('tanh GELU taken for the exact one', async () => {
    const golden = copyOf('h3x12');
    copy.editConfig({ hidden_act: 'gelu' });
    await expectFailureAt('layer 0', golden);
  });

  test('another number of heads', async () => {
    const golden = copyOf('h2x24');
    copy.editConfig({ num_attention_heads: 3 });
    await expectFailureAt('layer 0', golden);
  });

  test('types ignored', async () => {
    const golden = copyOf('h2x24');
    await expectFailureAt('embedding output', golden, new Int32Array(golden.ints('types').length));
  });

  test('two layers swapped', async () => {
    const golden = copyOf('h2x24');
    copy.swap('.layer.1.', '.layer.2.');
    await expectFailureAt('layer 1', golden);
  });

  test('query and key swapped in one layer', async () => {
    const golden = copyOf('h2x24');
    copy.swap('layer.3.attention.self.query.weight', 'layer.3.attention.self.key.weight');
    await expectFailureAt('layer 3', golden);
  });

  test('one weight moved by a thousandth', async () => {
    const golden = copyOf('h2x24');
    copy.editWeights((header, body) => {
      const [begin] = header['encoder.layer.2.output.dense.weight']?.data_offsets ?? [Number.NaN];
      body.writeFloatLE(body.readFloatLE(begin + 4 * 77) + 1e-3, begin + 4 * 77);
    });
    await expectFailureAt('layer 2', golden);
  });
});
