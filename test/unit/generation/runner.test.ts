/** Many prompts in one cache: company, memory, and every way to end early. */

import fc from 'fast-check';
import { pagesNeeded } from '../../../lib/generation/budget';
import type { GenerateTokensOptions } from '../../../lib/generation/options';
import { modelOf, seededTable } from './run';
import { PAGE_BYTES, PAGE_TOKENS } from './table-model';

const table = seededTable(31, 7);
const PROMPTS = [[2], [9, 14, 3], [1, 20, 1, 20, 7, 8, 4, 4, 4], [30, 6, 6]];
const config = { eos: [3, 5] };

const WAYS: [string, GenerateTokensOptions][] = [
  ['greedy', {}],
  ['drawn', { temperature: 1.3, seed: 5 }],
  ['with beams', { beams: 3 }],
];

describe.each(WAYS)('%s', (_, options) => {
  test('a sequence is the same alone, in a batch, in any order and in turns', async () => {
    const { model } = modelOf(table, { config });
    const alone: number[][] = [];
    for (const prompt of PROMPTS) {
      alone.push(...(await model.generateTokens(prompt, { ...options, maxNewTokens: 20 })).tokens);
    }
    const batch = await model.generateTokens(PROMPTS, { ...options, maxNewTokens: 20 });
    expect(batch.tokens).toEqual(alone);
    const reversed = await model.generateTokens([...PROMPTS].reverse(), {
      ...options,
      maxNewTokens: 20,
    });
    expect(reversed.tokens).toEqual([...alone].reverse());
    // Room for the largest only: the others wait.
    const needs = PROMPTS.map(({ length }) =>
      pagesNeeded(
        { promptLength: length, maxNewTokens: 20, rows: options.beams ?? 1 },
        { tokens: PAGE_TOKENS, bytes: PAGE_BYTES },
      ),
    );
    const narrow = modelOf(table, { config, maxCacheBytes: Math.max(...needs) * PAGE_BYTES });
    const turns = await narrow.model.generateTokens(PROMPTS, { ...options, maxNewTokens: 20 });
    expect(turns.tokens).toEqual(alone);
    expect(narrow.log.steps.length).toBeGreaterThan(20);
  });

  test('what is reserved is never exceeded, and freed', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.nat(30), { minLength: 1, maxLength: 18 }), { maxLength: 9 }),
        fc.integer({ min: 1, max: 25 }),
        fc.integer({ min: 1, max: 12 }),
        async (prompts, maxNewTokens, spare) => {
          const page = { tokens: PAGE_TOKENS, bytes: PAGE_BYTES };
          const rows = options.beams ?? 1;
          const most = prompts.reduce(
            (pages, { length: promptLength }) =>
              Math.max(pages, pagesNeeded({ promptLength, maxNewTokens, rows }, page)),
            1,
          );
          const limits = { config, maxCacheBytes: (most + spare) * PAGE_BYTES };
          const { model, decoder, log } = modelOf(table, limits);
          const found = await model.generateTokens(prompts, { ...options, maxNewTokens });
          expect(found.tokens).toHaveLength(prompts.length);
          expect(log.mostPages).toBeLessThanOrEqual(most + spare);
          expect(found.usage.cacheBytes).toBeLessThanOrEqual(limits.maxCacheBytes);
          expect([log.openCaches, decoder.cacheBytes]).toEqual([0, 0]);
        },
      ),
      { numRuns: 60 },
    );
  });
});

test('sequences that ended leave the batch', async () => {
  const { model, log } = modelOf(table, { config });
  const { tokens, finishReasons } = await model.generateTokens(PROMPTS, { maxNewTokens: 30 });
  const lengths = tokens.map(({ length }) => length);
  const running = Array.from({ length: Math.max(...lengths) }, (_, step) =>
    lengths.reduce((count, length) => count + (length > step ? 1 : 0), 0),
  );
  expect(new Set(lengths).size).toBeGreaterThan(1);
  expect(log.steps).toEqual(running);
  tokens.forEach((ids, i) => {
    const ended = config.eos.includes(ids.at(-1) as number);
    expect(finishReasons[i]).toBe(ended ? 'eos' : 'length');
  });
});

test('seeds: one for all or one for each; another one draws otherwise', async () => {
  const { model } = modelOf(table);
  const draw = async (seed: number | number[], prompts = [[2], [2]]) =>
    (await model.generateTokens(prompts, { temperature: 2, seed, maxNewTokens: 12 })).tokens;
  const [first, second] = await draw(1);
  expect(second).toEqual(first);
  const [again, other] = await draw([1, 2 ** 52]);
  expect(again).toEqual(first);
  expect(other).not.toEqual(first);
  expect((await draw(2 ** 52, [[2]]))[0]).toEqual(other);
  const unseeded = await model.generateTokens([[2], [2]], { temperature: 2, maxNewTokens: 30 });
  expect(unseeded.tokens[0]).not.toEqual(unseeded.tokens[1]);
});

test('the model’s length ends a sequence; a prompt that fills it is refused', async () => {
  const { model } = modelOf(table, { positions: 12 });
  const found = await model.generateTokens([[1, 2, 4], new Array(11).fill(4)], {
    maxNewTokens: 50,
  });
  expect(found.tokens.map(({ length }) => length)).toEqual([9, 1]);
  expect(found.finishReasons).toEqual(['length', 'length']);
  await expect(model.generateTokens([[1], new Array(12).fill(4)], {})).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    details: { where: 'prompts[1]', got: '12 tokens' },
  });
});

test('a cache that would be too large is refused before anything runs', async () => {
  const { model, log } = modelOf(table, { maxCacheBytes: 3 * PAGE_BYTES });
  await expect(
    model.generateTokens([[1], [1, 2, 3]], { maxNewTokens: 3 * PAGE_TOKENS }),
  ).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', details: { where: 'prompts[1]' } });
  expect([log.steps, log.openCaches]).toEqual([[], 0]);
});

test.each<[string, unknown, string]>([
  ['no prompt', undefined, 'prompts'],
  ['a text', 'a', 'prompts'],
  ['an empty sequence', [[]], 'prompts[0]'],
  ['an id out of range', [[1], [31]], 'prompts[1][0]'],
  ['half an id', [1, 1.5], 'prompts[0][1]'],
  ['a text among sequences', [[1], 'a'], 'prompts[1]'],
])('%s is refused', async (_, ids, where) => {
  const { model } = modelOf(table);
  await expect(model.generateTokens(ids as never, {})).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    details: { where },
  });
});

test('no prompts, no work', async () => {
  const { model, log } = modelOf(table);
  expect(await model.generateTokens([], {})).toEqual({
    tokens: [],
    finishReasons: [],
    usage: { promptTokens: 0, newTokens: 0, cacheBytes: 0 },
  });
  expect(log.steps).toEqual([]);
});

test('an Int32Array is a sequence', async () => {
  const { model } = modelOf(table);
  const options = { maxNewTokens: 5 };
  const expected = await model.generateTokens([9, 14], options);
  expect(await model.generateTokens(Int32Array.of(9, 14), options)).toEqual(expected);
  expect(await model.generateTokens([Int32Array.of(9, 14)], options)).toEqual(expected);
});

describe('ending early', () => {
  test('a signal ends a call in the middle: ABORTED, the decode cancelled, the cache freed', async () => {
    const { model, native, log } = modelOf(table);
    const controller = new AbortController();
    native.hold = new Promise(() => {});
    const { signal } = controller;
    const call = model.generateTokens(PROMPTS, { maxNewTokens: 100, signal });
    setImmediate(() => controller.abort());
    await expect(call).rejects.toMatchObject({ code: 'ABORTED' });
    expect([log.cancelled, log.openCaches]).toEqual([1, 0]);
    await expect(model.generateTokens([1], { signal })).rejects.toMatchObject({ code: 'ABORTED' });
    expect(log.openCaches).toBe(0);
  });

  test('dispose ends what runs, and what comes later', async () => {
    const { model, native, log } = modelOf(table);
    let release = () => {};
    native.hold = new Promise((resolve) => {
      release = resolve;
    });
    const call = model.generateTokens(PROMPTS, { maxNewTokens: 100 });
    await new Promise(setImmediate);
    expect(log.openCaches).toBe(1);
    model.dispose();
    release();
    await expect(call).rejects.toMatchObject({ code: 'DISPOSED' });
    expect(log.openCaches).toBe(0);
    await expect(model.generateTokens([1], {})).rejects.toMatchObject({ code: 'DISPOSED' });
    model.dispose();
  });

  test('calls overlap', async () => {
    const { model, log } = modelOf(table, { config });
    const expected = await model.generateTokens(PROMPTS, { maxNewTokens: 20 });
    const calls = PROMPTS.map((prompt) => model.generateTokens(prompt, { maxNewTokens: 20 }));
    const found = await Promise.all(calls);
    expect(found.flatMap(({ tokens }) => tokens)).toEqual(expected.tokens);
    expect(log.openCaches).toBe(0);
  });
});
