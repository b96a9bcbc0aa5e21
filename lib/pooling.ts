/**
 * Sentence-level pooling as weights: every linear pooling is a sum with a weight for each token.
 *
 * Follows Pooling of Python's sentence-transformers (sentence_transformer/modules/pooling.py), names included.
 */

import { zeros } from './allocate';
import {
  checkArray,
  checkInt32Array,
  checkInteger,
  checkLiteral,
  checkObject,
  invalid,
} from './check';
import type { PoolBlock } from './plan';

/** The names that sentence-transformers gives them. */
export type PoolingMode =
  | 'cls'
  | 'max'
  | 'mean'
  | 'mean_sqrt_len_tokens'
  | 'weightedmean'
  | 'lasttoken';

type LinearMode = Exclude<PoolingMode, 'max'>;

/** Writes the weights of a sequence of `row.length` tokens, of which the first `skipped` do not count. */
type FillWeights = (row: Float32Array, skipped: number) => void;

const LINEAR: { readonly [K in LinearMode]: FillWeights } = {
  // Python's argmax over a mask without ones is the first token.
  cls: (row, skipped) => row.fill(1, ...one(skipped < row.length ? skipped : 0)),
  mean: (row, skipped) => row.fill(1 / (row.length - skipped), skipped),
  mean_sqrt_len_tokens: (row, skipped) => row.fill(1 / Math.sqrt(row.length - skipped), skipped),
  weightedmean: (row, skipped) => {
    // A token weighs its place, counted from 1 at the sequence's start.
    const sum = (row.length * (row.length + 1) - skipped * (skipped + 1)) / 2;
    for (let t = skipped; t < row.length; t += 1) row[t] = (t + 1) / sum;
  },
  lasttoken: (row, skipped) => {
    if (skipped < row.length) row.fill(1, row.length - 1);
  },
};

function one(index: number): [number, number] {
  return [index, index + 1];
}

export const POOLING_MODES = [
  'cls',
  'max',
  'mean',
  'mean_sqrt_len_tokens',
  'weightedmean',
  'lasttoken',
] as const satisfies readonly PoolingMode[];

/** The parts of the `pool` block that computes these modes, in their order. */
export function poolParts(modes: readonly PoolingMode[]): PoolBlock['parts'] {
  return modes.map((mode) => (mode === 'max' ? 'max' : 'weighted'));
}

/** {@link poolWeights} without checks; `skipped` as many first tokens of every sequence do not count. */
export function fillPoolWeights(
  modes: readonly PoolingMode[],
  offsets: Int32Array,
  skipped: number,
): Float32Array {
  const linear = modes.filter((mode) => mode !== 'max');
  const tokens = offsets[offsets.length - 1] ?? 0;
  const weights = zeros('poolWeights', linear.length * tokens);
  for (const [part, mode] of linear.entries()) {
    for (let b = 1; b < offsets.length; b += 1) {
      const begin = part * tokens + (offsets[b - 1] as number);
      const row = weights.subarray(begin, part * tokens + (offsets[b] as number));
      if (row.length > 0) LINEAR[mode](row, skipped);
    }
  }
  return weights;
}

/**
 * The weights that a batch brings to a `pool` block: one row of [T] for each mode but 'max', in order.
 *
 * @param modes what each part of the pool block computes; 'max' needs no weights
 * @param offsets [B + 1], as for {@link Transformer.forward}
 * @param options `skipped`: as many first tokens of every sequence do not count (a prompt). Default: 0
 * @returns [modes without 'max', T]
 * @throws MultiheadError INVALID_ARGUMENT · OUT_OF_MEMORY
 * @example
 * poolWeights(['mean'], Int32Array.of(0, 2, 4)); // 0.5, 0.5, 0.5, 0.5
 */
export function poolWeights(
  modes: readonly PoolingMode[],
  offsets: Int32Array,
  options: { readonly skipped?: number } = {},
): Float32Array {
  const list = Array.from(checkArray('modes', modes), (mode, i) =>
    checkLiteral(`modes[${i}]`, mode, POOLING_MODES),
  );
  const { skipped = 0 } = checkObject('options', options, ['skipped']);
  checkInteger('options.skipped', skipped, 0, 2 ** 31 - 1);
  checkOffsets(checkInt32Array('offsets', offsets));
  return fillPoolWeights(list, offsets, skipped as number);
}

function checkOffsets(offsets: Int32Array): void {
  if (offsets[0] !== 0) throw invalid('offsets[0]', String(offsets[0]), '0');
  for (let i = 1; i < offsets.length; i += 1) {
    const [before, at] = [offsets[i - 1] as number, offsets[i] as number];
    if (at < before) throw invalid(`offsets[${i}]`, String(at), `at least ${before}`);
  }
}
