/** Position schemes against transformers' values (the goldens), and against the papers' own statements. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MultiheadError } from '../../../lib/errors';
import {
  alibiSlopes,
  type RotaryScaling,
  relativeBuckets,
  rotaryFrequencies,
  yarnMagnitude,
} from '../../../lib/positions';

interface Golden {
  readonly rotary: {
    readonly base: number;
    readonly dims: number;
    readonly parameters: Record<string, never>;
    readonly frequencies: number[];
    readonly attention_factor: number;
  }[];
  readonly slopes: number[][];
  readonly relative: {
    readonly buckets: number;
    readonly maxDistance: number;
    readonly bidirectional: boolean;
    readonly values: number[];
  }[];
}

const golden: Golden = JSON.parse(
  readFileSync(join(__dirname, '../../parity/golden/positions/golden.json'), 'utf8'),
);

/** transformers' parameters in our words. */
function scalingOf(parameters: Record<string, unknown>): RotaryScaling | undefined {
  const { rope_type: kind, factor, original_max_position_embeddings: originalLength } = parameters;
  if (kind === 'default') return undefined;
  const names = {
    low_freq_factor: 'lowFrequencyFactor',
    high_freq_factor: 'highFrequencyFactor',
    attention_factor: 'attentionFactor',
    beta_fast: 'betaFast',
    beta_slow: 'betaSlow',
  };
  const others = Object.entries(names).flatMap(([theirs, ours]) =>
    theirs in parameters ? [[ours, parameters[theirs]]] : [],
  );
  return {
    kind,
    factor,
    ...(kind !== 'linear' && { originalLength }),
    ...(parameters['truncate'] === false && { ramp: 'exact' }),
    ...Object.fromEntries(others),
  } as RotaryScaling;
}

/** The largest difference, in units of f32's last place of `scale`, which are the expected values themselves. */
function ulps(
  values: readonly number[],
  expected: readonly number[],
  scale: readonly number[] = expected,
): number {
  expect(values).toHaveLength(expected.length);
  const relative = expected.map(
    (x, i) => Math.abs((values[i] as number) - x) / Math.abs(scale[i] as number),
  );
  return Math.max(...relative) / 2 ** -23;
}

describe('rotary frequencies', () => {
  test.each(golden.rotary)('base $base, $dims columns, $parameters', (theirs) => {
    const { base, dims, parameters } = theirs;
    const scaling = scalingOf(parameters);
    const { frequencies, magnitude = 1 } = rotaryFrequencies({ base, dims, scaling });
    // Python's power in f32 is within a unit of ours, rounded from f64, and its inverse within two. A ramp's
    // weight from 0 to 1 inherits that error, and so a part of the frequency without scaling.
    const isRamp = scaling !== undefined && scaling.kind !== 'linear';
    const scale = isRamp ? rotaryFrequencies({ base, dims }).frequencies : theirs.frequencies;
    expect(ulps(frequencies, theirs.frequencies, scale)).toBeLessThanOrEqual(2);
    expect(magnitude).toBeCloseTo(theirs.attention_factor, 12);
  });

  test('are those of the paper: 10000^(-2i / d), from one radian a position on', () => {
    const { frequencies } = rotaryFrequencies({ dims: 6 });
    const paper = [1, 10000 ** (-2 / 6), 10000 ** (-4 / 6)];
    expect(ulps(frequencies, paper)).toBeLessThan(2);
  });

  test('are f32 values', () => {
    const scaling = { kind: 'yarn', factor: 4, originalLength: 4096 } as const;
    const { frequencies } = rotaryFrequencies({ dims: 64, scaling });
    expect(frequencies).toEqual([...Float32Array.from(frequencies)]);
  });

  test('linear scaling by s is the frequency of position / s', () => {
    const plain = rotaryFrequencies({ dims: 32 }).frequencies;
    const scaled = rotaryFrequencies({ dims: 32, scaling: { kind: 'linear', factor: 8 } });
    expect(scaled.frequencies).toEqual(plain.map((frequency) => frequency / 8));
  });

  test('llama3 keeps the fast pairs and divides the slow ones', () => {
    const scaling = { kind: 'llama3', factor: 8, originalLength: 8192 } as const;
    const plain = rotaryFrequencies({ base: 500000, dims: 128 }).frequencies;
    const { frequencies } = rotaryFrequencies({ base: 500000, dims: 128, scaling });
    expect(frequencies[0]).toBe(plain[0]);
    expect(frequencies.at(-1)).toBe((plain.at(-1) as number) / 8);
  });

  test('the magnitude of YaRN is 0.1 ln(s) + 1, and 1 where nothing is stretched', () => {
    expect(yarnMagnitude(Math.E ** 2)).toBeCloseTo(1.2, 12);
    expect(yarnMagnitude(Math.E ** 2, 0.5)).toBeCloseTo(1.1, 12);
    expect(yarnMagnitude(1)).toBe(1);
    expect(yarnMagnitude(0.5)).toBe(1);
  });

  test.each([
    ['rotary.dims', { dims: 5 }],
    ['rotary.dims', { dims: 0 }],
    ['rotary.base', { dims: 4, base: 1 }],
    ['rotary.base', { dims: 4, base: Number.NaN }],
    ['rotary options.theta', { dims: 4, theta: 1 }],
    ['rotary.scaling', { dims: 4, scaling: null }],
    ['rotary.scaling.kind', { dims: 4, scaling: { kind: 'dynamic', factor: 2 } }],
    ['rotary.scaling.factor', { dims: 4, scaling: { kind: 'linear', factor: 0 } }],
    ['rotary.scaling.beta', { dims: 4, scaling: { kind: 'linear', factor: 2, beta: 1 } }],
    ['rotary.scaling.originalLength', { dims: 4, scaling: { kind: 'llama3', factor: 2 } }],
    [
      'rotary.scaling.highFrequencyFactor',
      {
        dims: 4,
        scaling: { kind: 'llama3', factor: 2, originalLength: 8, highFrequencyFactor: 1 },
      },
    ],
    [
      'rotary.scaling.betaFast',
      { dims: 4, scaling: { kind: 'yarn', factor: 2, originalLength: 8, betaFast: 1 } },
    ],
    [
      'rotary.scaling.ramp',
      { dims: 4, scaling: { kind: 'yarn', factor: 2, originalLength: 8, ramp: true } },
    ],
    [
      'rotary.scaling.attentionFactor',
      { dims: 4, scaling: { kind: 'yarn', factor: 2, originalLength: 8, attentionFactor: '1' } },
    ],
  ])('a wrong value is refused: %s', (where, options) => {
    expectInvalid(where, () => rotaryFrequencies(options as never));
  });
});

describe('ALiBi slopes', () => {
  test.each(golden.slopes.map((slopes) => [slopes.length, slopes] as const))(
    '%i heads',
    (heads, slopes) => {
      // The base is rounded before its powers are taken, here and in Python; a power differs by a unit.
      expect(ulps(alibiSlopes(heads), slopes)).toBeLessThanOrEqual(1);
    },
  );

  test('are those of the paper: 2^-1 to 2^-8 for eight heads, from 2^-0.5 for sixteen', () => {
    expect(alibiSlopes(8)).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((k) => 2 ** -k));
    const sixteen = Array.from({ length: 16 }, (_, k) => 2 ** (-(k + 1) / 2));
    expect(ulps(alibiSlopes(16), sixteen)).toBeLessThan(8);
  });

  test('of twelve heads are those of eight and every second one of sixteen', () => {
    const sixteen = alibiSlopes(16);
    expect(alibiSlopes(12)).toEqual([...alibiSlopes(8), ...[0, 2, 4, 6].map((k) => sixteen[k])]);
  });

  test.each([0, -1, 1.5, '8'])('%p heads are refused', (heads) => {
    expectInvalid('heads', () => alibiSlopes(heads as number));
  });
});

describe('relative buckets', () => {
  test.each(golden.relative)(
    '$buckets to $maxDistance, bidirectional $bidirectional: equal at every distance',
    ({ values, ...options }) => {
      const buckets = relativeBuckets(options);
      const limit = (buckets.length - 1) / 2;
      const furthest = (values.length - 1) / 2;
      expect(furthest).toBeGreaterThan(limit);
      const read = values.map((_, i) => {
        const distance = Math.min(Math.max(i - furthest, -limit), limit);
        return buckets[limit + distance];
      });
      expect(read).toEqual(values);
    },
  );

  /**
   * The paper's words, in f64: an exact bucket up to half of them, then up to maxDistance equal steps of the logarithm.
   * Where a step ends exactly on a distance, rounding decides; such distances are left to the goldens.
   */
  test.each([
    [32, 128],
    [64, 256],
    [40, 100],
  ])('%i buckets to %i are spaced as the paper says', (buckets, maxDistance) => {
    const table = relativeBuckets({ buckets, maxDistance });
    const half = buckets / 2;
    const exact = half / 2;
    for (let distance = 1; distance < maxDistance; distance++) {
      const logarithm = Math.log(distance / exact) / Math.log(maxDistance / exact);
      const step = logarithm * (half - exact);
      if (distance >= exact && Math.abs(step - Math.round(step)) < 1e-5) continue;
      const bucket = distance < exact ? distance : exact + Math.floor(step);
      expect(table[maxDistance - distance]).toBe(bucket);
      expect(table[maxDistance + distance]).toBe(half + bucket);
    }
  });

  test('a causal table has one bucket for all later keys, and that of distance 0', () => {
    const table = relativeBuckets({ buckets: 8, maxDistance: 20, bidirectional: false });
    expect(new Set(table.slice(20))).toEqual(new Set([0]));
    expect(table[0]).toBe(7);
  });

  test.each([
    ['relativeBias.buckets', { buckets: 3 }],
    ['relativeBias.buckets', { buckets: 1, bidirectional: false }],
    ['relativeBias.maxDistance', { buckets: 32, maxDistance: 8 }],
    ['relativeBias.bidirectional', { bidirectional: 1 }],
    ['relative bias options.limit', { limit: 4 }],
  ])('a wrong value is refused: %s', (where, options) => {
    expectInvalid(where, () => relativeBuckets(options as never));
  });
});

function expectInvalid(where: string, call: () => unknown): void {
  let caught: unknown;
  try {
    call();
  } catch (error) {
    caught = error;
  }
  expect(caught).toBeInstanceOf(MultiheadError);
  const { code, details } = caught as MultiheadError;
  expect({ code, where: details.where }).toEqual({ code: 'INVALID_ARGUMENT', where });
}
