/** The naive reference checked: run in f64 it must equal torch's f64, on tiny BERTs and on plans with every field. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Activation, Block, LinearSpec, NormSpec, Plan } from '../../lib/plan';
import { checkPlan } from '../../lib/plan-check';
import { compare } from './comparator';
import { GOLDEN, Golden, goldenCases, readArrays } from './goldens';
import { runNaive } from './naive';
import { erf, exact, type Matrix } from './naive-math';

/** Every activation that BERT checkpoints use, three numbers of types, and a checkpoint in two files. */
const CASES = ['h1x8', 'h3x12', 'h2x24', 'h3x11', 'h7x9', 'large-values'];

const ACTIVATIONS: Record<string, Activation> = {
  gelu: 'gelu',
  gelu_new: 'gelu_tanh',
  relu: 'relu',
  silu: 'silu',
};

interface BertConfig {
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly intermediate_size: number;
  readonly hidden_act: string;
  readonly layer_norm_eps: number;
  readonly vocab_size: number;
  readonly type_vocab_size: number;
  readonly max_position_embeddings: number;
}

function bertPlan(config: BertConfig, prefix: string): Plan {
  const linear = (name: string): LinearSpec => ({
    weight: { tensor: `${name}.weight` },
    bias: { tensor: `${name}.bias` },
  });
  const norm = (name: string): NormSpec => ({
    kind: 'layer',
    epsilon: config.layer_norm_eps,
    gain: { tensor: `${name}.weight` },
    bias: { tensor: `${name}.bias` },
  });
  const table = (name: string) => ({ tensor: `${prefix}embeddings.${name}_embeddings.weight` });
  const layer = (i: number): Block[] => {
    const base = `${prefix}encoder.layer.${i}`;
    return [
      {
        block: 'attention',
        heads: config.num_attention_heads,
        headDim: config.hidden_size / config.num_attention_heads,
        query: linear(`${base}.attention.self.query`),
        key: linear(`${base}.attention.self.key`),
        value: linear(`${base}.attention.self.value`),
        output: linear(`${base}.attention.output.dense`),
        normAfter: norm(`${base}.attention.output.LayerNorm`),
      },
      {
        block: 'feedForward',
        inner: config.intermediate_size,
        activation: ACTIVATIONS[config.hidden_act] as Activation,
        up: linear(`${base}.intermediate.dense`),
        down: linear(`${base}.output.dense`),
        normAfter: norm(`${base}.output.LayerNorm`),
      },
    ];
  };
  return {
    width: config.hidden_size,
    blocks: [
      {
        block: 'embed',
        vocabulary: config.vocab_size,
        tokens: table('word'),
        types: { table: table('token_type'), count: config.type_vocab_size },
        positions: {
          kind: 'learned',
          table: table('position'),
          count: config.max_position_embeddings,
        },
        norm: norm(`${prefix}embeddings.LayerNorm`),
      },
      ...Array.from({ length: config.num_hidden_layers }, (_, i) => layer(i)).flat(),
    ],
  };
}

function readWeights(folder: string): Map<string, Matrix> {
  const files = readdirSync(folder).filter((file) => /^model.*\.safetensors$/.test(file));
  const weights = new Map<string, Matrix>();
  for (const file of files) {
    for (const [name, { shape, data }] of readArrays(join(folder, file))) {
      const [rows = 1, columns = 1] = shape;
      weights.set(name, { rows, columns, data: Float64Array.from(data) });
    }
  }
  return weights;
}

test.each(CASES)('%s: every layer equals torch in f64', (name) => {
  const golden = new Golden(join(GOLDEN, 'bert', name));
  const config = JSON.parse(readFileSync(join(golden.folder, 'config.json'), 'utf8'));
  const weights = readWeights(golden.folder);
  const prefix = weights.has('bert.embeddings.LayerNorm.weight') ? 'bert.' : '';
  const batch = {
    tokens: golden.ints('tokens'),
    offsets: golden.ints('offsets'),
    types: golden.ints('types'),
  };
  const streams = runNaive(bertPlan(config, prefix), weights, batch, exact);
  const layers = streams.filter((_, i) => i % 2 === 0);
  const expected = golden.floats('layers_f64');
  const size = expected.length / layers.length;
  layers.forEach(({ data, columns }, i) => {
    const reference = expected.subarray(i * size, (i + 1) * size);
    compare(`${name}, layer ${i}`, data, reference, columns, 1e-12);
  });
});

test.each(goldenCases('plans'))('plan %s: every block equals torch in f64', (name) => {
  const golden = new Golden(join(GOLDEN, 'plans', name));
  const plan: Plan = JSON.parse(readFileSync(join(golden.folder, 'plan.json'), 'utf8'));
  const batch = {
    tokens: golden.ints('tokens'),
    offsets: golden.ints('offsets'),
    types: golden.ints('types'),
    poolWeights: golden.floats('poolWeights') as Float32Array,
    selected: golden.ints('selected'),
    memory: golden.floats('memory') as Float32Array,
    memoryOffsets: golden.ints('memoryOffsets'),
  };
  const streams = runNaive(checkPlan(plan), readWeights(golden.folder), batch, exact);
  streams.forEach(({ data, columns }, i) => {
    const where = `${name}, block ${i} (${plan.blocks[i]?.block})`;
    compare(where, data, golden.floats(`stream_${i}`), columns, 1e-12);
  });
});

// Abramowitz & Stegun 1964, table 7.1, and erf(5) = 1 - 1.5374597944280349e-12.
test.each([
  [0, 0],
  [0.1, 0.1124629160182849],
  [0.5, 0.5204998778130465],
  [1, 0.8427007929497149],
  [2, 0.9953222650189527],
  [5, 1 - 1.5374597944280349e-12],
  [7, 1],
])('erf(%f)', (x, value) => {
  expect(Math.abs(erf(x) - value)).toBeLessThan(1e-15);
  expect(erf(-x)).toBe(-erf(x));
});
