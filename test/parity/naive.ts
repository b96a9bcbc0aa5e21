/**
 * A plan run the slow, obvious way: one loop a formula, no packing, no fusion; the independent reference
 * for plans that Python's libraries have no model for.
 *
 * It runs in f64, or in f32 (every result rounded) to measure what a naive f32 computation loses.
 * Formulas follow native/ops/ops.h and the papers named there.
 */

import type {
  Activation,
  AttentionBlock,
  Block,
  EmbedBlock,
  FeedForwardBlock,
  LinearSpec,
  NormSpec,
  Plan,
  Rotary,
  WeightRef,
} from '../../lib/plan';
import { at } from './comparator';
import { ACTIVATIONS, type Arithmetic, get, type Matrix, matrix, sinusoid } from './naive-math';

export interface NaiveBatch {
  readonly tokens: Int32Array;
  readonly offsets: Int32Array;
  readonly types?: Int32Array;
  /** [weighted parts, T] */
  readonly poolWeights?: Float32Array;
  readonly selected?: Int32Array;
  /** [Tm, memoryWidth] and [B + 1] */
  readonly memory?: Float32Array;
  readonly memoryOffsets?: Int32Array;
}

/** Runs the plan and returns the stream after every block. */
export function runNaive(
  plan: Plan,
  weights: ReadonlyMap<string, Matrix>,
  batch: NaiveBatch,
  arithmetic: Arithmetic,
): Matrix[] {
  const run = new NaiveRun(weights, batch, plan.memoryWidth ?? 0, arithmetic);
  let stream: Matrix = { rows: 0, columns: 0, data: new Float64Array() };
  return plan.blocks.map((block) => {
    stream = run.block(block, stream);
    return stream;
  });
}

class NaiveRun {
  constructor(
    readonly weights: ReadonlyMap<string, Matrix>,
    readonly batch: NaiveBatch,
    readonly memoryWidth: number,
    readonly arithmetic: Arithmetic,
  ) {}

  get round(): (x: number) => number {
    return this.arithmetic.round;
  }

  block(block: Block, x: Matrix): Matrix {
    switch (block.block) {
      case 'embed':
        return this.norm(block.norm, this.embed(block));
      case 'attention': {
        const output = this.attention(block, this.norm(block.normBefore, x));
        return this.norm(block.normAfter, this.sum(x, this.linear(block.output, output)));
      }
      case 'feedForward': {
        const inner = this.inner(block, this.norm(block.normBefore, x));
        return this.norm(block.normAfter, this.sum(x, this.linear(block.down, inner)));
      }
      case 'norm':
        return this.norm(block.norm, x);
      case 'project':
        return this.activate(block.activation, this.linear(block.linear, x, block.scale));
      case 'pool':
        return this.pool(block.parts, x);
      case 'select': {
        const { selected } = this.batch;
        return selected
          ? matrix(selected.length, x.columns, (r, j) => get(x, at(selected, r), j))
          : x;
      }
    }
  }

  /** The view: transposed if asked, then a range or groups of rows. A vector is one column. */
  view(ref: WeightRef): Matrix {
    const stored = this.weights.get(ref.tensor);
    if (!stored) throw new Error(`naive: no weight ${ref.tensor}`);
    const all = ref.transpose
      ? matrix(stored.columns, stored.rows, (i, j) => get(stored, j, i))
      : stored;
    const rows = Array.from({ length: all.rows }, (_, i) => i).filter((i) => {
      const [begin, end] = ref.rows ?? [0, all.rows];
      if (!ref.groups) return begin <= i && i < end;
      const [first, length, step] = ref.groups;
      return i >= first && (i - first) % step < length;
    });
    return matrix(rows.length, all.columns, (i, j) => get(all, at(rows, i), j));
  }

  embed({ tokens, types, positions, scale = 1 }: EmbedBlock): Matrix {
    const { round, batch } = this;
    const words = this.view(tokens);
    const segments = types && this.view(types.table);
    const learned = positions?.kind === 'learned' ? this.view(positions.table) : undefined;
    const width = words.columns;
    const local = localPositions(batch.offsets);
    return matrix(batch.tokens.length, width, (t, j) => {
      let value = round(scale * get(words, at(batch.tokens, t), j));
      if (segments) value = round(value + get(segments, batch.types ? at(batch.types, t) : 0, j));
      if (learned && positions?.kind === 'learned') {
        value = round(value + get(learned, at(local, t) + (positions.offset ?? 0), j));
      }
      if (positions?.kind === 'sinusoidal') {
        value = round(value + sinusoid(at(local, t), j, width, positions.layout ?? 'interleaved'));
      }
      return value;
    });
  }

  linear({ weight, bias }: LinearSpec, x: Matrix, scale = 1): Matrix {
    const { round } = this;
    const w = this.view(weight);
    const b = bias && this.view(bias);
    return matrix(x.rows, w.rows, (i, n) => {
      const product = this.total(x.columns, (k) => round(get(x, i, k) * get(w, n, k)));
      const total = round(scale * product);
      return b ? round(total + get(b, n, 0)) : total;
    });
  }

  /** activation(up(x)), or activation(gate(x)) · up(x). */
  inner({ gate, up, activation }: FeedForwardBlock, x: Matrix): Matrix {
    if (!gate) return this.activate(activation, this.linear(up, x));
    const open = this.activate(activation, this.linear(gate, x));
    const values = this.linear(up, x);
    return matrix(x.rows, values.columns, (i, j) =>
      this.round(get(open, i, j) * get(values, i, j)),
    );
  }

  sum(a: Matrix, b: Matrix): Matrix {
    return matrix(a.rows, a.columns, (i, j) => this.round(get(a, i, j) + get(b, i, j)));
  }

  activate(activation: Activation, x: Matrix): Matrix {
    const f = ACTIVATIONS[activation];
    return matrix(x.rows, x.columns, (i, j) => this.round(f(get(x, i, j))));
  }

  norm(spec: NormSpec | undefined, x: Matrix): Matrix {
    if (!spec) return x;
    const { round } = this;
    const gain = spec.gain && this.view(spec.gain);
    const bias = spec.bias && this.view(spec.bias);
    const n = x.columns;
    const rows = Array.from({ length: x.rows }, (_, i) => {
      const mean = spec.kind === 'layer' ? this.total(n, (j) => get(x, i, j)) / n : 0;
      const centred = (j: number) => round(get(x, i, j) - round(mean));
      const squares = this.total(n, (j) => round(centred(j) ** 2));
      const size =
        spec.kind === 'l2'
          ? Math.max(Math.sqrt(squares), spec.epsilon)
          : Math.sqrt(squares / n + spec.epsilon);
      return { centred, size: round(size) };
    });
    return matrix(x.rows, n, (i, j) => {
      const { centred, size } = rows[i] as (typeof rows)[number];
      let value = round(centred(j) / size);
      if (gain) value = round(value * get(gain, j, 0));
      return bias ? round(value + get(bias, j, 0)) : value;
    });
  }

  /** The sum of value(0) .. value(count - 1), rounded at each step. */
  total(count: number, value: (i: number) => number): number {
    const { round, order } = this.arithmetic;
    let total = 0;
    for (const i of order(count)) total = round(total + value(i));
    return total;
  }

  attention(block: AttentionBlock, x: Matrix): Matrix {
    const { round, batch } = this;
    const { heads, headDim: d, keyHeads = heads } = block;
    const [source, offsets] = this.keySource(block, x);
    const query = this.headRows(block, block.queryNorm, this.linear(block.query, x));
    const key = this.headRows(block, block.keyNorm, this.linear(block.key, source));
    const value = this.linear(block.value, source);
    const score = this.scorer(block, query, key);
    const sequence = sequenceIndex(batch.offsets);
    const out = new Float64Array(x.rows * heads * d);
    for (let i = 0; i < x.rows; i++) {
      const visible = range(offsets, at(sequence, i)).filter(
        (j) =>
          (block.mask !== 'causal' || j <= i) &&
          (block.window === undefined || Math.abs(i - j) <= block.window),
      );
      for (let h = 0; h < heads; h++) {
        const g = Math.floor(h / (heads / keyHeads));
        const scores = visible.map((j) => score(h, i, g, j));
        const largest = Math.max(...scores);
        const powers = scores.map((s) => round(Math.exp(round(s - largest))));
        const denominator = this.total(powers.length, (n) => at(powers, n));
        for (let c = 0; c < d; c++) {
          const weighted = this.total(visible.length, (n) =>
            round(round(at(powers, n) / denominator) * get(value, at(visible, n), g * d + c)),
          );
          out[(i * heads + h) * d + c] = weighted;
        }
      }
    }
    return { rows: x.rows, columns: heads * d, data: out };
  }

  /** The rows that keys and values come from, and where each sequence's begin. */
  keySource({ keysFrom }: AttentionBlock, x: Matrix): [Matrix, Int32Array] {
    const { batch, memoryWidth } = this;
    if (keysFrom !== 'memory') return [x, batch.offsets];
    const { memory, memoryOffsets } = batch;
    if (!memory || !memoryOffsets) throw new Error('naive: no memory');
    const rows = memory.length / memoryWidth;
    return [{ rows, columns: memoryWidth, data: Float64Array.from(memory) }, memoryOffsets];
  }

  /** Queries or keys: each head normed, then turned. */
  headRows(block: AttentionBlock, norm: NormSpec | undefined, x: Matrix): Matrix {
    const { headDim, rotary } = block;
    const heads = x.columns / headDim;
    const single = { rows: x.rows * heads, columns: headDim, data: x.data };
    const { data } = this.norm(norm, single);
    const normed = { ...x, data };
    return rotary ? this.rotate(rotary, headDim, normed) : normed;
  }

  /** Su et al. 2021: the pair (a, b) as the complex number a + bi, times magnitude · e^(i · position · frequency). */
  rotate(rotary: Rotary, headDim: number, x: Matrix): Matrix {
    const { round } = this;
    const { frequencies, pairs = 'halves', magnitude = 1 } = rotary;
    const count = frequencies.length;
    const local = localPositions(this.batch.offsets);
    return matrix(x.rows, x.columns, (t, column) => {
      const c = column % headDim;
      if (c >= 2 * count) return get(x, t, column);
      const [pair, isReal] =
        pairs === 'halves' ? [c % count, c < count] : [Math.floor(c / 2), c % 2 === 0];
      const distance = pairs === 'halves' ? count : 1;
      const other = get(x, t, isReal ? column + distance : column - distance);
      const angle = round(at(local, t) * at(frequencies, pair));
      const cosine = round(magnitude * round(Math.cos(angle)));
      const sine = round(magnitude * round(Math.sin(angle)));
      const kept = round(get(x, t, column) * cosine);
      return round(isReal ? kept - round(other * sine) : kept + round(other * sine));
    });
  }

  /** The score of head h's query i with key head g's key j, of which i and j count packed rows. */
  scorer(block: AttentionBlock, query: Matrix, key: Matrix) {
    const { round } = this;
    const { headDim: d, slopes, relativeBias, scale = 1 / Math.sqrt(d) } = block;
    const table = relativeBias && this.view(relativeBias.table);
    return (h: number, i: number, g: number, j: number): number => {
      const product = this.total(d, (c) =>
        round(get(query, i, h * d + c) * get(key, j, g * d + c)),
      );
      let score = round(scale * product);
      if (slopes) score = round(score + round(at(slopes, h) * (j - i)));
      if (relativeBias && table) {
        const limit = (relativeBias.buckets.length - 1) / 2;
        const distance = Math.min(Math.max(j - i, -limit), limit);
        score = round(score + get(table, at(relativeBias.buckets, limit + distance), h));
      }
      return score;
    };
  }

  pool(parts: readonly ('weighted' | 'max')[], x: Matrix): Matrix {
    const { round, batch } = this;
    const width = x.columns;
    const weightRows = parts.map((part, p) =>
      part === 'max' ? -1 : parts.slice(0, p).filter((other) => other === 'weighted').length,
    );
    return matrix(batch.offsets.length - 1, parts.length * width, (b, column) => {
      const part = Math.floor(column / width);
      const tokens = range(batch.offsets, b);
      const value = (n: number) => get(x, at(tokens, n), column % width);
      if (tokens.length === 0) return 0;
      if (parts[part] === 'max') return Math.max(...tokens.map((_, n) => value(n)));
      const first = at(weightRows, part) * x.rows;
      return this.total(tokens.length, (n) => {
        const weight = at(batch.poolWeights as Float32Array, first + at(tokens, n));
        return round(weight * value(n));
      });
    });
  }
}

/** The token indices of sequence `b`. */
function range(offsets: Int32Array, b: number): number[] {
  const start = at(offsets, b);
  return Array.from({ length: at(offsets, b + 1) - start }, (_, i) => start + i);
}

function sequenceIndex(offsets: Int32Array): number[] {
  return Array.from({ length: offsets.length - 1 }, (_, b) =>
    range(offsets, b).map(() => b),
  ).flat();
}

function localPositions(offsets: Int32Array): number[] {
  return Array.from({ length: offsets.length - 1 }, (_, b) =>
    range(offsets, b).map((_t, i) => i),
  ).flat();
}
