/**
 * The numbers of position schemes, as plans hold them: rotary frequencies, ALiBi slopes, buckets of relative distances.
 *
 * Checkpoints were trained on what Python computes in f32, so each step here rounds to f32 where Python's does.
 */

import {
  checkBoolean,
  checkFinite,
  checkInteger,
  checkLiteral,
  checkObject,
  describe,
  invalid,
  isObject,
} from './check';
import type { Rotary } from './plan';

/**
 * How frequencies are changed for contexts longer than those of the training:
 * `linear`: all divided by `factor` (Chen et al. 2023, arXiv:2306.15595);
 * `llama3`: long wavelengths divided, short ones kept, a ramp between (Llama 3.1, Dubey et al. 2024, arXiv:2407.21783);
 * `yarn`: the same idea with a ramp over the pairs, and larger cosines and sines (Peng et al. 2023, arXiv:2309.00071).
 */
export type RotaryScaling =
  | { readonly kind: 'linear'; readonly factor: number }
  | {
      readonly kind: 'llama3';
      readonly factor: number;
      /** Wavelengths above originalLength / this are divided. Default: 1. */
      readonly lowFrequencyFactor?: number;
      /** Wavelengths below originalLength / this are kept. Default: 4. */
      readonly highFrequencyFactor?: number;
      /** Longest sequence of the training before. */
      readonly originalLength: number;
    }
  | {
      readonly kind: 'yarn';
      readonly factor: number;
      readonly originalLength: number;
      /** Default: 0.1 ln(factor) + 1. */
      readonly attentionFactor?: number;
      /** Pairs that turn more often than this in originalLength are kept. Default: 32. */
      readonly betaFast?: number;
      /** Pairs that turn less often than this are divided. Default: 1. */
      readonly betaSlow?: number;
      /** 'whole': the ends of the ramp are whole pairs; 'exact': they may lie between two. Default: 'whole'. */
      readonly ramp?: 'whole' | 'exact';
    };

export interface RotaryOptions {
  /** Pair i of `dims` columns turns by base^(-2i / dims) a position. Default: 10000. */
  readonly base?: number;
  /** Columns of a head that turn; even. */
  readonly dims: number;
  /** Default: none. */
  readonly scaling?: RotaryScaling;
}

const f32 = Math.fround;

/**
 * Frequencies of rotary positions (Su et al. 2021, arXiv:2104.09864), dims / 2 of them, and YaRN's magnitude.
 *
 * @throws MultiheadError INVALID_ARGUMENT
 * @example
 * attention({ heads: 8, rotary: { ...rotaryFrequencies({ base: 500000, dims: 64 }), pairs: 'neighbours' } })
 */
export function rotaryFrequencies(options: RotaryOptions): Rotary {
  checkObject('rotary options', options, ['base', 'dims', 'scaling']);
  const { base = 10000, scaling } = options;
  checkAbove('rotary.base', base, 1);
  const dims = checkInteger('rotary.dims', options.dims, 2, 2 ** 16);
  if (dims % 2 !== 0) throw invalid('rotary.dims', String(dims), 'an even number of columns');
  const powers = Array.from({ length: dims / 2 }, (_, i) => f32(base ** f32((2 * i) / dims)));
  if (scaling === undefined) return { frequencies: powers.map(inverse) };
  if (!isObject(scaling)) throw invalid('rotary.scaling', describe(scaling), 'an object');
  const kinds = Object.keys(SCALING_KEYS) as RotaryScaling['kind'][];
  const kind = checkLiteral('rotary.scaling.kind', scaling.kind, kinds);
  checkObject('rotary.scaling', scaling, ['kind', 'factor', ...SCALING_KEYS[kind]]);
  checkAbove('rotary.scaling.factor', scaling.factor, 0);
  switch (scaling.kind) {
    case 'linear':
      return { frequencies: powers.map((power) => f32(inverse(power) / scaling.factor)) };
    case 'llama3':
      return { frequencies: llama3(powers, scaling) };
    case 'yarn':
      return yarn(powers, base, scaling);
  }
}

const SCALING_KEYS: { readonly [K in RotaryScaling['kind']]: readonly string[] } = {
  linear: [],
  llama3: ['originalLength', 'lowFrequencyFactor', 'highFrequencyFactor'],
  yarn: ['originalLength', 'attentionFactor', 'betaFast', 'betaSlow', 'ramp'],
};

function inverse(power: number): number {
  return f32(1 / power);
}

function checkAbove(where: string, value: unknown, low: number): number {
  const number = checkFinite(where, value);
  if (number > low) return number;
  throw invalid(where, String(number), `above ${low}`);
}

type Scaling<K> = Extract<RotaryScaling, { kind: K }>;

function llama3(powers: readonly number[], scaling: Scaling<'llama3'>): number[] {
  const { factor, lowFrequencyFactor: low = 1, highFrequencyFactor: high = 4 } = scaling;
  checkAbove('rotary.scaling.lowFrequencyFactor', low, 0);
  checkAbove('rotary.scaling.highFrequencyFactor', high, low);
  const length = checkAbove('rotary.scaling.originalLength', scaling.originalLength, 0);
  return powers.map((power) => {
    const frequency = inverse(power);
    const wavelength = f32((2 * Math.PI) / frequency);
    if (wavelength > length / low) return f32(frequency / factor);
    if (wavelength < length / high) return frequency;
    const kept = f32(f32(f32(length / wavelength) - low) / (high - low));
    return f32(f32(f32(f32(1 - kept) * frequency) / factor) + f32(kept * frequency));
  });
}

function yarn(powers: readonly number[], base: number, scaling: Scaling<'yarn'>): Rotary {
  const { factor, originalLength, betaFast = 32, betaSlow = 1, ramp = 'whole' } = scaling;
  checkAbove('rotary.scaling.originalLength', originalLength, 0);
  checkAbove('rotary.scaling.betaSlow', betaSlow, 0);
  checkAbove('rotary.scaling.betaFast', betaFast, betaSlow);
  checkLiteral('rotary.scaling.ramp', ramp, ['whole', 'exact']);
  const dims = 2 * powers.length;
  /** The pair that turns so often in originalLength positions. */
  const pairOf = (turns: number) =>
    (dims * Math.log(originalLength / (turns * 2 * Math.PI))) / (2 * Math.log(base));
  const [first, last] = [pairOf(betaFast), pairOf(betaSlow)];
  const start = Math.max(ramp === 'whole' ? Math.floor(first) : first, 0);
  // dims - 1, not the last pair: so it is in YaRN's own code and in Python.
  const end = Math.min(ramp === 'whole' ? Math.ceil(last) : last, dims - 1);
  const span = end === start ? 0.001 : end - start;
  const frequencies = powers.map((power, i) => {
    const divided = Math.min(Math.max(f32(f32(i - start) / span), 0), 1);
    const kept = f32(1 - divided);
    const long = f32(1 / f32(factor * power));
    return f32(f32(long * f32(1 - kept)) + f32(inverse(power) * kept));
  });
  const { attentionFactor: magnitude = yarnMagnitude(factor) } = scaling;
  return { frequencies, magnitude: checkFinite('rotary.scaling.attentionFactor', magnitude) };
}

/** YaRN's attention factor, 0.1 · weight · ln(factor) + 1, and 1 where nothing is stretched. */
export function yarnMagnitude(factor: number, weight = 1): number {
  return factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1;
}

/**
 * ALiBi's slopes (Press et al. 2021, arXiv:2108.12409): 2^(-8 k / heads), k from 1. For a number of heads between n and
 * 2n, powers of two, those of n heads and then every second one of 2n heads, as the authors and BLOOM do.
 *
 * @throws MultiheadError INVALID_ARGUMENT
 * @example
 * alibiSlopes(8); // [1/2, 1/4, ... 1/256]
 */
export function alibiSlopes(heads: number): number[] {
  checkInteger('heads', heads, 1, 2 ** 16);
  const power = 2 ** Math.floor(Math.log2(heads));
  const slope = (of: number, k: number) => f32(f32(2 ** (-8 / of)) ** k);
  return Array.from({ length: heads }, (_, h) =>
    h < power ? slope(power, h + 1) : slope(2 * power, 2 * (h - power) + 1),
  );
}

export interface RelativeBucketOptions {
  /** Rows of the table of biases. Default: 32. */
  readonly buckets?: number;
  /** Distances from here on share the last bucket. Default: 128. */
  readonly maxDistance?: number;
  /** Keys after the query have buckets of their own; where false, they share bucket 0. Default: true. */
  readonly bidirectional?: boolean;
}

/**
 * T5's bucket of each distance d = key position - query position from -maxDistance to maxDistance, at index
 * maxDistance + d (Raffel et al. 2019, arXiv:1910.10683, 2.1); what lies beyond has the bucket of the end, so nothing
 * is lost. Half of a direction's buckets hold one distance each; those of the other half grow geometrically.
 *
 * @throws MultiheadError INVALID_ARGUMENT
 * @example
 * const relativeBias = { table: { tensor: 'bias' }, bucketCount: 32, buckets: relativeBuckets() };
 */
export function relativeBuckets(options: RelativeBucketOptions = {}): number[] {
  checkObject('relative bias options', options, ['buckets', 'maxDistance', 'bidirectional']);
  const { buckets = 32, maxDistance = 128, bidirectional = true } = options;
  checkBoolean('relativeBias.bidirectional', bidirectional);
  checkInteger('relativeBias.buckets', buckets, bidirectional ? 4 : 2, 2 ** 20);
  const count = bidirectional ? Math.floor(buckets / 2) : buckets;
  const exact = Math.floor(count / 2);
  checkInteger('relativeBias.maxDistance', maxDistance, exact + 1, 2 ** 20);
  const growth = f32(Math.log(maxDistance / exact));
  const bucket = (distance: number) => {
    if (distance < exact) return distance;
    const steps = f32(f32(f32(Math.log(f32(distance / exact))) / growth) * (count - exact));
    return Math.min(exact + Math.trunc(steps), count - 1);
  };
  return Array.from({ length: 2 * maxDistance + 1 }, (_, i) => {
    const distance = i - maxDistance;
    if (distance <= 0) return bucket(Math.abs(distance));
    return bidirectional ? count + bucket(distance) : 0;
  });
}
