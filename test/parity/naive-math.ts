/** What the naive reference computes with: matrices, roundings and orders of sums, scalar functions. */

import type { Activation } from '../../lib/plan';
import { at } from './comparator';
import { Random } from './random';

export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
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

export const get = (m: Matrix, i: number, j: number) => at(m.data, i * m.columns + j);

/**
 * Vaswani et al. 2017, section 3.5, as the f32 that a table of them holds. Split: pair i's sine stands in column i,
 * its cosine after all sines; of an odd width the sines have one column more.
 */
export function sinusoid(
  position: number,
  column: number,
  width: number,
  layout: 'interleaved' | 'split',
): number {
  const sines = Math.ceil(width / 2);
  const isSine = layout === 'split' ? column < sines : column % 2 === 0;
  const pair = layout === 'split' ? column % sines : Math.floor(column / 2);
  const angle = position / 10000 ** ((2 * pair) / width);
  return Math.fround(isSine ? Math.sin(angle) : Math.cos(angle));
}

export const ACTIVATIONS: Record<Activation, (x: number) => number> = {
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
