// Small seeded models with weights in memory, for tests and for the child processes that they start.
const { join } = require('node:path');

const ROOT = join(__dirname, '..', '..', '..');

/** The path of the addon under test: the one that node-gyp-build finds, MULTIHEAD_PREBUILD included. */
function addonPath() {
  return require('node-gyp-build').path(ROOT);
}

/** Mulberry32: uniform in [-0.5, 0.5). */
function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32 - 0.5;
  };
}

/** Collects tensors; `finish` gives what the addon's load takes. */
class Tensors {
  constructor(seed) {
    this.next = random(seed);
    this.rows = [];
    this.values = [];
  }

  tensor(name, shape) {
    const count = shape.reduce((a, b) => a * b, 1);
    const scale = shape.length === 2 ? 2 / Math.sqrt(shape[1]) : 1;
    this.rows.push({
      name,
      dtype: 'f32',
      shape,
      source: 0,
      offset: this.values.length * 4,
      byteLength: count * 4,
    });
    for (let i = 0; i < count; i++) this.values.push(this.next() * scale);
    return { tensor: name };
  }

  linear(name, out, inputs) {
    return {
      weight: this.tensor(`${name}.weight`, [out, inputs]),
      bias: this.tensor(`${name}.bias`, [out]),
    };
  }

  norm(name, columns) {
    return {
      kind: 'layer',
      epsilon: 1e-12,
      gain: this.tensor(`${name}.weight`, [columns]),
      bias: this.tensor(`${name}.bias`, [columns]),
    };
  }

  finish() {
    const data = new Uint8Array(new Float32Array(this.values).buffer);
    return { sources: [{ data }], tensors: this.rows };
  }
}

/** A BERT-like encoder with mean pooling: { plan, weights, last } where `last` is the pool's block. */
function makeModel({ width = 32, heads = 4, inner = 64, layers = 2, seed = 1 } = {}) {
  const tensors = new Tensors(seed);
  const blocks = [
    {
      block: 'embed',
      vocabulary: 100,
      tokens: tensors.tensor('tokens', [100, width]),
      types: { table: tensors.tensor('types', [2, width]), count: 2 },
      positions: {
        kind: 'learned',
        table: tensors.tensor('positions', [128, width]),
        count: 128,
      },
      norm: tensors.norm('embed.norm', width),
    },
  ];
  for (let i = 0; i < layers; i++) {
    blocks.push({
      block: 'attention',
      heads,
      headDim: width / heads,
      query: tensors.linear(`${i}.query`, width, width),
      key: tensors.linear(`${i}.key`, width, width),
      value: tensors.linear(`${i}.value`, width, width),
      output: tensors.linear(`${i}.output`, width, width),
      normAfter: tensors.norm(`${i}.attention.norm`, width),
    });
    blocks.push({
      block: 'feedForward',
      inner,
      activation: 'gelu',
      up: tensors.linear(`${i}.up`, inner, width),
      down: tensors.linear(`${i}.down`, width, inner),
      normAfter: tensors.norm(`${i}.feedForward.norm`, width),
    });
  }
  blocks.push({ block: 'pool', parts: ['weighted'] });
  return { plan: { width, blocks }, weights: tensors.finish(), last: blocks.length - 1 };
}

/** A batch of random tokens, weighted for mean pooling. */
function makeBatch(lengths, seed = 1) {
  const next = random(seed);
  const total = lengths.reduce((a, b) => a + b, 0);
  const offsets = [0];
  const poolWeights = [];
  for (const length of lengths) {
    offsets.push(offsets[offsets.length - 1] + length);
    for (let i = 0; i < length; i++) poolWeights.push(1 / length);
  }
  return {
    tokens: Int32Array.from({ length: total }, () => Math.floor((next() + 0.5) * 100)),
    offsets: Int32Array.from(offsets),
    types: Int32Array.from({ length: total }, () => (next() < 0 ? 0 : 1)),
    poolWeights: Float32Array.from(poolWeights),
  };
}

/** A model and a batch whose forward takes many event-loop turns on any machine. */
function makeSlowWork() {
  const model = makeModel({ width: 128, heads: 4, inner: 512, layers: 12 });
  return { ...model, batch: makeBatch(Array(64).fill(64)) };
}

module.exports = { ROOT, addonPath, makeBatch, makeModel, makeSlowWork, random };
