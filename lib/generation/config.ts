/**
 * What a folder says about generation: generation_config.json, and config.json where that says nothing.
 *
 * Source: transformers 5 (GenerationConfig). Settings of how to choose tokens (sampling, beams, penalties) are not
 * defaults here: greedy is. Those that would change a greedy or a beam search and are not applied are listed.
 */

import { checkArray, checkInteger, describe, invalid, isObject } from '../check';
import { Config } from '../json';
import type { EarlyStopping } from './options';

const LARGEST = 2 ** 31 - 1;

/** Token ids and limits of a model's generation. */
export interface GenerationConfig {
  /** Each of them ends a sequence. */
  readonly eos: readonly number[];
  /** The first token that an encoder-decoder's decoder reads. */
  readonly decoderStart: number | undefined;
  readonly forcedFirst: number | undefined;
  readonly forcedLast: readonly number[];
  /** Sequences that must not come about. */
  readonly badWords: readonly (readonly number[])[];
  readonly suppressed: readonly number[];
  readonly suppressedFirst: readonly number[];
  /** Tokens before which no sequence ends, what the decoder began with included. */
  readonly minLength: number;
  readonly minNewTokens: number;
  /** No run of so many tokens comes twice; 0: any may. */
  readonly noRepeatNgram: number;
  readonly maxNewTokens: number | undefined;
  /** Of what the decoder began with and what it adds together. */
  readonly maxLength: number | undefined;
  readonly lengthPenalty: number;
  readonly earlyStopping: EarlyStopping;
  /** Keys that would change a greedy search or one with beams in Python, and are not applied. */
  readonly ignored: readonly string[];
}

/** For each setting that is not implemented, the value at which it does nothing. */
const NEUTRAL: Readonly<Record<string, unknown>> = {
  repetition_penalty: 1,
  encoder_repetition_penalty: 1,
  encoder_no_repeat_ngram_size: 0,
  num_beam_groups: 1,
  diversity_penalty: 0,
  guidance_scale: 1,
  sequence_bias: undefined,
  exponential_decay_length_penalty: undefined,
  watermarking_config: undefined,
  stop_strings: undefined,
  penalty_alpha: undefined,
};

/** @throws MultiheadError INVALID_ARGUMENT: a file or a value is malformed */
export async function readGenerationConfig(
  folder: string,
  modelConfig: Config,
): Promise<GenerationConfig> {
  const own = await Config.readIfPresent(folder, 'generation_config.json');
  const from = (key: string) => (own.has(key) || !modelConfig.has(key) ? own : modelConfig);
  const id = (key: string) => (from(key).has(key) ? from(key).integer(key, 0, LARGEST) : undefined);
  const ids = (key: string) => readIds(from(key), key);
  const count = (key: string) => from(key).integer(key, 0, LARGEST, 0);
  const limit = (key: string) => (own.has(key) ? own.integer(key, 1, LARGEST) : undefined);
  return {
    eos: ids('eos_token_id'),
    decoderStart: id('decoder_start_token_id') ?? id('bos_token_id'),
    forcedFirst: id('forced_bos_token_id'),
    forcedLast: ids('forced_eos_token_id'),
    badWords: readBadWords(from('bad_words_ids')),
    suppressed: ids('suppress_tokens'),
    suppressedFirst: ids('begin_suppress_tokens'),
    minLength: count('min_length'),
    minNewTokens: count('min_new_tokens'),
    noRepeatNgram: count('no_repeat_ngram_size'),
    maxNewTokens: limit('max_new_tokens'),
    maxLength: limit('max_length'),
    lengthPenalty: readNumber(from('length_penalty'), 'length_penalty', 1),
    earlyStopping: readEarlyStopping(from('early_stopping')),
    ignored: Object.keys(NEUTRAL).filter((key) => {
      const value = from(key).get(key);
      return value !== undefined && value !== NEUTRAL[key];
    }),
  };
}

/** A number or an array of numbers; none where the key is absent. */
function readIds(config: Config, key: string): number[] {
  const value = config.get(key);
  if (value === undefined) return [];
  const where = config.where(key);
  const list = Array.isArray(value) ? value : [value];
  return list.map((id) => checkInteger(where, id, 0, LARGEST));
}

function readBadWords(config: Config): number[][] {
  const value = config.get('bad_words_ids');
  if (value === undefined) return [];
  const where = config.where('bad_words_ids');
  return checkArray(where, value).map((word) => {
    const ids = checkArray(where, word).map((id) => checkInteger(where, id, 0, LARGEST));
    if (ids.length === 0) throw invalid(where, 'an empty word', 'one or more tokens each');
    return ids;
  });
}

function readNumber(config: Config, key: string, otherwise: number): number {
  const value = config.get(key) ?? otherwise;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw invalid(config.where(key), describe(value), 'a finite number');
}

function readEarlyStopping(config: Config): EarlyStopping {
  const value = config.get('early_stopping') ?? false;
  if (typeof value === 'boolean' || value === 'never') return value;
  const got = isObject(value) ? 'an object' : describe(value);
  throw invalid(config.where('early_stopping'), got, "true, false or 'never'");
}
