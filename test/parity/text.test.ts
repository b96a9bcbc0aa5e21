/**
 * Texts to tokens and back, as Python does it with the same tokenizer.json (oracle/text.py): pairs, types, places,
 * truncation, decoding; and the text of a growing sequence, whose pieces have to add up to that.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { TextStream } from '../../lib/generation/text-stream';
import { addedText } from '../../lib/text-offsets';
import { Tokenizer } from '../../lib/tokenizer';
import { at } from './comparator';
import { GOLDEN, goldenCases } from './goldens';

interface Encoded {
  readonly text: string;
  readonly pair?: string;
  readonly max_length?: number;
  readonly ids: number[];
  readonly types: number[];
  /** In code points. */
  readonly offsets: [number, number][];
  readonly sequence: (number | null)[];
}

interface Golden {
  readonly encoded: Encoded[];
  readonly decoded: { readonly ids: number[]; readonly skip: string; readonly keep: string }[];
}

describe.each(goldenCases('text'))('%s', (kind) => {
  const folder = join(GOLDEN, 'text', kind);
  const golden: Golden = JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8'));
  let tokenizer: Tokenizer;

  beforeAll(async () => {
    tokenizer = await Tokenizer.load(folder);
  });

  test('tokens, types and places are Python’s', async () => {
    for (const { max_length: maxLength = 1e6, ...expected } of golden.encoded) {
      const { text, pair = '' } = expected;
      const [found] = await tokenizer.annotate([expected], maxLength, () => 'text');
      const points = (i: number, place: number) =>
        [...(expected.sequence[i] === 1 ? pair : text).slice(0, place)].length;
      expect({
        text,
        ids: [...(found?.ids ?? [])],
        types: [...(found?.types ?? [])],
        sequence: found?.sequence,
        offsets: found?.spans.map(([start, end], i) => [points(i, start), points(i, end)]),
      }).toEqual({
        text,
        ids: expected.ids,
        types: expected.types,
        sequence: expected.sequence,
        offsets: expected.offsets,
      });
    }
  });

  test('a span is what the token stands for, in a string with characters of two units', async () => {
    const text = '😀 the river';
    const [found] = await tokenizer.annotate([{ text }], 1e6, () => 'text');
    const words = found?.spans.map(([start, end]) => text.slice(start, end)) ?? [];
    expect(words.every((word) => word.isWellFormed())).toBe(true);
    expect(words.some((word) => word.includes('😀'))).toBe(true);
    expect(words.at(-2)?.length).toBeGreaterThan(0);
    expect(text.endsWith(words.at(-2) ?? '-')).toBe(true);
  });

  test('decoding is Python’s', async () => {
    for (const { ids, skip, keep } of golden.decoded) {
      expect(await tokenizer.decode(ids, 'skip')).toBe(skip);
      expect(await tokenizer.decode(ids, 'keep')).toBe(keep);
    }
  });

  test('pieces are whole characters and add up to the text', async () => {
    const sequences = golden.decoded.map(({ ids }) => ids);
    for (const ids of sequences) {
      for (const cut of new Set([0, 1, Math.floor(ids.length / 2)])) {
        await expectPieces(tokenizer, ids.slice(0, cut), ids.slice(cut), kind);
      }
    }
  });

  test('so they do after any prompt, for any tokens', async () => {
    const id = fc.nat(120);
    await fc.assert(
      fc.asyncProperty(fc.array(id), fc.array(id, { maxLength: 40 }), async (prompt, tokens) => {
        await expectPieces(tokenizer, prompt, tokens, kind);
      }),
      { numRuns: 100 },
    );
  });
});

async function expectPieces(
  tokenizer: Tokenizer,
  prompt: readonly number[],
  tokens: readonly number[],
  kind: string,
): Promise<void> {
  const stream = await TextStream.after(tokenizer, prompt);
  const pieces: string[] = [];
  for (const token of tokens) pieces.push(await stream.push(token));
  const before = await tokenizer.decode(prompt, 'skip');
  const whole = addedText(before, await tokenizer.decode([...prompt, ...tokens], 'skip'));
  for (const piece of pieces) {
    expect(piece.isWellFormed()).toBe(true);
    expect(piece).not.toMatch(/\ufffd$/);
  }
  pieces.push(await stream.end());
  // Where a run of bytes is no character, this decoder takes back those before it: no stream can.
  if (kind === 'byte-fallback' && /\ufffd/.test(whole)) return;
  expect({ prompt, tokens, text: pieces.join('') }).toEqual({ prompt, tokens, text: whole });
}

test('a character of many tokens comes in one piece', async () => {
  const tokenizer = await Tokenizer.load(join(GOLDEN, 'text', 'byte-bpe'));
  const [found] = await tokenizer.annotate([{ text: '😀' }], 100, () => 'text');
  const tokens = [...(found?.ids ?? [])].slice(1, -1);
  expect(tokens.length).toBeGreaterThan(1);
  const stream = await TextStream.after(tokenizer, []);
  const pieces: string[] = [];
  for (const token of tokens) pieces.push(await stream.push(token));
  expect(pieces).toEqual([...tokens.slice(1).map(() => ''), '😀']);
  // Cut in the middle, it is what Python makes of it.
  const half = await TextStream.after(tokenizer, []);
  expect(await half.push(at(tokens, 0))).toBe('');
  expect(await half.end()).toBe('\ufffd');
});
