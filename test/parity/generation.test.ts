/**
 * Greedy search and beam search of every decoder and encoder-decoder against transformers' generate, token by token.
 * The goldens were chosen so that no logit within the tolerance changes a token, and say by how much.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CausalLM, Seq2SeqLM } from '../../lib/index';
import { readModelFolder } from '../../lib/models';
import { familyCases } from './family-folders';
import { Golden, sequenceOf } from './goldens';

const CASES = familyCases()
  .filter(({ folder }) => new Golden(folder).has('greedy'))
  .map(({ name, folder }): [string, string] => [name, folder]);

interface Notes {
  readonly greedyMargin: number;
  readonly logitsTolerance: number;
  readonly beams: number;
  readonly greedyTokens: number;
  readonly beamTokens: number;
}

async function load(folder: string): Promise<CausalLM | Seq2SeqLM> {
  const { architecture } = await readModelFolder(folder);
  const LanguageModel = architecture === 'decoder' ? CausalLM : Seq2SeqLM;
  return await LanguageModel.load(folder, { device: 'cpu' });
}

/** The sequences of a packed array of the golden. */
function unpacked(golden: Golden, tokens: string, offsets: string): number[][] {
  const bounds = golden.ints(offsets);
  return Array.from({ length: bounds.length - 1 }, (_, i) =>
    Array.from(sequenceOf(golden.ints(tokens), bounds, i)),
  );
}

test('every kind of decoder generates, and some sequences end before the limit', () => {
  expect(new Set(CASES.map(([name]) => name.split('/')[0]))).toEqual(
    new Set(['bloom', 'gpt2', 'llama', 'marian', 'mistral', 'qwen2', 'qwen3', 't5']),
  );
  const endings = CASES.map(([, folder]) => {
    const golden = new Golden(folder);
    return unpacked(golden, 'greedy', 'greedy_offsets').some(({ length }) => length < 64);
  });
  expect(new Set(endings)).toEqual(new Set([true, false]));
});

test.each(CASES)('%s', async (_name, folder) => {
  const golden = new Golden(folder);
  const notes: Notes = JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8'));
  expect(notes.greedyMargin).toBeGreaterThan(2 * notes.logitsTolerance);
  const prompts = unpacked(golden, 'tokens', 'offsets');
  const model = await load(folder);
  try {
    const greedy = await model.generateTokens(prompts, { maxNewTokens: notes.greedyTokens });
    expect(greedy.tokens).toEqual(unpacked(golden, 'greedy', 'greedy_offsets'));
    const { beams, beamTokens: maxNewTokens } = notes;
    const best = await model.generateTokens(prompts, { maxNewTokens, beams });
    expect(best.tokens).toEqual(unpacked(golden, 'beam', 'beam_offsets'));
  } finally {
    await model.dispose();
  }
});
