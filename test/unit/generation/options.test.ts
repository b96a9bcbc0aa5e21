import { checkGenerateOptions } from '../../../lib/generation/options';
import { philox, uniform } from '../../../lib/generation/random';
import { NO_RULES } from './run';

const check = (options: unknown, sequences = 1) =>
  checkGenerateOptions(options, 'text', sequences, NO_RULES);

test('greedy is the default', () => {
  expect(check({})).toMatchObject({
    maxNewTokens: undefined,
    sampling: { temperature: 0, topK: 0, topP: 1 },
    stop: [],
  });
  expect(check({}).beam).toBeUndefined();
});

test('beams take their ranking from the folder unless they are told', () => {
  const config = { ...NO_RULES, lengthPenalty: 2, earlyStopping: true };
  const beamOf = (options: object) => checkGenerateOptions(options, 'tokens', 1, config).beam;
  expect(beamOf({ beams: 4 })).toEqual({ beams: 4, lengthPenalty: 2, earlyStopping: true });
  expect(beamOf({ beams: 4, lengthPenalty: 0, earlyStopping: 'never' })).toEqual({
    beams: 4,
    lengthPenalty: 0,
    earlyStopping: 'never',
  });
});

test.each<[string, unknown]>([
  ['options', 1],
  ['options.top_k', { top_k: 5 }],
  ['options.maxNewTokens', { maxNewTokens: 0 }],
  ['options.maxNewTokens', { maxNewTokens: 2.5 }],
  ['options.temperature', { temperature: -1 }],
  ['options.temperature', { temperature: Number.NaN }],
  ['options.temperature', { temperature: '1' }],
  ['options.topK', { temperature: 1, topK: -1 }],
  ['options.topP', { temperature: 1, topP: 0 }],
  ['options.topP', { temperature: 1, topP: 1.01 }],
  ['options.seed', { temperature: 1, seed: -1 }],
  ['options.seed', { temperature: 1, seed: 2 ** 53 }],
  ['options.seed', { temperature: 1, seed: [1, 2] }],
  ['options.seed[0]', { temperature: 1, seed: ['a'] }],
  ['options.beams', { beams: 0 }],
  ['options.beams', { beams: 257 }],
  ['options.lengthPenalty', { beams: 2, lengthPenalty: Number.POSITIVE_INFINITY }],
  ['options.earlyStopping', { beams: 2, earlyStopping: 'always' }],
  ['options.stop', { stop: '' }],
  ['options.stop[1]', { stop: ['a', ''] }],
  ['options.stop', { stop: '\ud83d' }],
  ['options.stop', { stop: 1 }],
  ['options.signal', { signal: {} }],
  // Contradictions.
  ['options.topK', { topK: 5 }],
  ['options.topP', { topP: 0.9, temperature: 0 }],
  ['options.seed', { seed: 1 }],
  ['options.temperature', { beams: 2, temperature: 1 }],
  ['options.topK', { beams: 2, topK: 5 }],
  ['options.seed', { beams: 2, seed: 5 }],
  ['options.stop', { beams: 2, stop: 'a' }],
  ['options.lengthPenalty', { lengthPenalty: 1 }],
  ['options.earlyStopping', { earlyStopping: true }],
])('%s is refused in %j', (where, options) => {
  expect(() => check(options)).toThrow(
    expect.objectContaining({
      code: 'INVALID_ARGUMENT',
      details: expect.objectContaining({ where }),
    }),
  );
});

test('tokens have no stop strings', () => {
  expect(() => checkGenerateOptions({ stop: 'a' }, 'tokens', 1, NO_RULES)).toThrow(/stop/);
});

describe('random numbers', () => {
  // Random123's known answers for philox4x32-10.
  test.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as const)('Philox at %j under %j', (counter, key, expected) => {
    expect(philox(counter, key)).toEqual(expected);
  });

  test('lie in [0, 1), evenly, and depend on every bit of the seed', () => {
    const values = Array.from({ length: 4000 }, (_, step) => uniform(42, step));
    expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...values)).toBeLessThan(1);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(4 / Math.sqrt(12 * values.length));
    const firsts = Array.from({ length: 53 }, (_, bit) => uniform(2 ** bit, 0));
    expect(new Set([uniform(0, 0), ...firsts]).size).toBe(54);
  });
});
