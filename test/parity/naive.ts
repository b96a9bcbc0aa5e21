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
  LinearSpec,
  NormSpec,
  Plan,
  WeightRef,
} from '../../lib/plan';
import { at } from './comparator';
import { Random } from './random';

export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

export interface NaiveBatch {
  readonly tokens: Int32Array;
  readonly offsets: Int32Array;
  readonly types?: Int32Array;
  /** [weighted parts, T] */
  readonly poolWeights?: Float32Array;
}

/** How every result is rounded, and in which order sums are taken. */
export interface Arithmetic {
  round(x: number): number;
  /** The indices 0 .. count - 1, in the order in which they are summed. */
  order(count: number): readonly number[];
}

export const exact: Arithmetic = { round: (x) => x, order: forwards() };

/**
 * f32 in several orders of summation: all are equally naive, and where a result has few values, or a long
 * chain of blocks amplifies the first rounding errors, one order alone can be close to f64 by luck.
 */
export const naiveF32: readonly Arithmetic[] = [
  { round: Math.fround, order: forwards() },
  { round: Math.fround, order: shuffled(1) },
  { round: Math.fround, order: shuffled(2) },
  { round: Math.fround, order: shuffled(3) },
];

function forwards(): Arithmetic['order'] {
  return remembered((count) => Array.from({ length: count }, (_, i) => i));
}

function shuffled(seed: number): Arithmetic['order'] {
  return remembered((count) => new Random(seed).permutation(count));
}

function remembered(order: Arithmetic['order']): Arithmetic['order'] {
  const known = new Map<number, readonly number[]>();
  return (count) => {
    const result = known.get(count) ?? order(count);
    known.set(count, result);
    return result;
  };
}

export function matrix(
  rows: number,
  columns: number,
  value: (i: number, j: number) => number,
): Matrix {
  const data = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) data[i * columns + j] = value(i, j);
  }
  return { rows, columns, data };
}

const get = (m: Matrix, i: number, j: number) => at(m.data, i * m.columns + j);

/** Runs the plan and returns the stream after every block. */
export function runNaive(
  plan: Plan,
  weights: ReadonlyMap<string, Matrix>,
  batch: NaiveBatch,
  arithmetic: Arithmetic,
): Matrix[] {
  const run = new NaiveRun(weights, batch, arithmetic);
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
        const inner = this.linear(block.up, this.norm(block.normBefore, x));
        const activated = this.activate(block.activation, inner);
        return this.norm(block.normAfter, this.sum(x, this.linear(block.down, activated)));
      }
      case 'norm':
        return this.norm(block.norm, x);
      case 'project':
        return this.activate(block.activation, this.linear(block.linear, x));
      case 'pool':
        return this.pool(block.parts, x);
    }
  }

  /** The view: transposed if asked, then a range of rows. A vector is one column. */
  view(ref: WeightRef): Matrix {
    const stored = this.weights.get(ref.tensor);
    if (!stored) throw new Error(`naive: no weight ${ref.tensor}`);
    const all = ref.transpose
      ? matrix(stored.columns, stored.rows, (i, j) => get(stored, j, i))
      : stored;
    const [begin, end] = ref.rows ?? [0, all.rows];
    return matrix(end - begin, all.columns, (i, j) => get(all, begin + i, j));
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
      if (positions?.kind === 'sinusoidal') value = round(value + sinusoid(at(local, t), j, width));
      return value;
    });
  }

  linear({ weight, bias }: LinearSpec, x: Matrix): Matrix {
    const { round } = this;
    const w = this.view(weight);
    const b = bias && this.view(bias);
    return matrix(x.rows, w.rows, (i, n) => {
      const total = this.total(x.columns, (k) => round(get(x, i, k) * get(w, n, k)));
      return b ? round(total + get(b, n, 0)) : total;
    });
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
    const scale = block.scale ?? 1 / Math.sqrt(d);
    const query = this.linear(block.query, x);
    const key = this.linear(block.key, x);
    const value = this.linear(block.value, x);
    const sequence = sequenceIndex(batch.offsets);
    const out = new Float64Array(x.rows * heads * d);
    for (let i = 0; i < x.rows; i++) {
      const visible = range(batch.offsets, at(sequence, i)).filter(
        (j) =>
          (block.mask !== 'causal' || j <= i) &&
          (block.window === undefined || Math.abs(i - j) <= block.window),
      );
      for (let h = 0; h < heads; h++) {
        const g = Math.floor(h / (heads / keyHeads));
        const scores = visible.map((j) =>
          round(
            scale * this.total(d, (c) => round(get(query, i, h * d + c) * get(key, j, g * d + c))),
          ),
        );
        const largest = Math.max(...scores);
        const powers = scores.map((score) => round(Math.exp(round(score - largest))));
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

/** Vaswani et al. 2017, section 3.5, as the f32 that a table of them holds. */
function sinusoid(position: number, column: number, width: number): number {
  const angle = position / 10000 ** ((2 * Math.floor(column / 2)) / width);
  return Math.fround(column % 2 === 0 ? Math.sin(angle) : Math.cos(angle));
}

const ACTIVATIONS: Record<Activation, (x: number) => number> = {
  identity: (x) => x,
  relu: (x) => Math.max(0, x),
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  gelu_tanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  silu: (x) => x / (1 + Math.exp(-x)),
  tanh: Math.tanh,
};

/** 2/√π · exp(-x²) · Σ 2ⁿ x²ⁿ⁺¹ / (2n+1)!!: every term has the sign of x, so nothing cancels (DLMF 7.6.2). */
export function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x); // 1 - erf(6) = 2e-17, below f64's rounding
  let term = x;
  let total = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(total); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    total += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * total;
}
