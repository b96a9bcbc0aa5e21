/** The options of a generation, checked. */

import {
  checkArray,
  checkFinite,
  checkInteger,
  checkObject,
  checkSignal,
  checkString,
  describe,
  invalid,
  optional,
} from '../check';
import type { GenerationConfig } from './config';

/** When a search with beams ends; see {@link GenerateTokensOptions.earlyStopping}. */
export type EarlyStopping = boolean | 'never';

export interface GenerateTokensOptions {
  /** Default: as the folder says (max_new_tokens; max_length where there is an encoder), else 128. */
  readonly maxNewTokens?: number;
  /** 0: the most likely token, always. Above: softmax(logits / temperature) is drawn from. Default: 0. */
  readonly temperature?: number;
  /** Draw from so many of the most likely tokens; 0: from all. Needs a temperature. Default: 0. */
  readonly topK?: number;
  /** Draw from the most likely tokens that together reach this probability, in (0, 1]; after topK. Default: 1. */
  readonly topP?: number;
  /**
   * 0 to 2^53 - 1; an array has one for each sequence. The draws of a sequence depend on its seed alone. Default: a
   * random one each.
   */
  readonly seed?: number | readonly number[];
  /** Above 1: a search that keeps so many candidates; nothing is drawn. Default: 1. */
  readonly beams?: number;
  /** With beams: candidates rank by log probability / length^lengthPenalty. Default: as the folder says, else 1. */
  readonly lengthPenalty?: number;
  /**
   * With beams: true ends when there are as many finished candidates as beams, 'never' when no candidate can become
   * better, false when that is unlikely. Default: as the folder says, else false.
   */
  readonly earlyStopping?: EarlyStopping;
  /** Gives the call up: it rejects with ABORTED. */
  readonly signal?: AbortSignal;
}

export interface GenerateOptions extends GenerateTokensOptions {
  /** Strings that end a text where they first come; they and what follows are left out. Not with beams. */
  readonly stop?: string | readonly string[];
}

/** Why a sequence ended: a token that ends texts, a stop string, or `maxNewTokens` or the model's length. */
export type FinishReason = 'eos' | 'stop' | 'length';

export interface Sampling {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  /** One for each sequence. */
  readonly seeds: readonly number[];
}

export interface BeamSettings {
  readonly beams: number;
  readonly lengthPenalty: number;
  readonly earlyStopping: EarlyStopping;
}

/** Checked options. */
export interface GenerationSettings {
  readonly maxNewTokens: number | undefined;
  readonly sampling: Sampling;
  /** Absent: one sequence at a time, by `sampling`. */
  readonly beam?: BeamSettings;
  readonly stop: readonly string[];
  readonly signal?: AbortSignal;
}

const TOKENS_KEYS = [
  'maxNewTokens',
  'temperature',
  'topK',
  'topP',
  'seed',
  'beams',
  'lengthPenalty',
  'earlyStopping',
  'signal',
] as const;
const TEXT_KEYS = [...TOKENS_KEYS, 'stop'] as const;
const MOST_BEAMS = 256;
const LARGEST = 2 ** 31 - 1;

/**
 * @param kind whether texts or tokens are asked for: only texts can be stopped by strings
 * @param sequences how many there will be
 * @throws MultiheadError INVALID_ARGUMENT: a wrong value, or two options that contradict each other
 */
export function checkGenerateOptions(
  options: unknown,
  kind: 'text' | 'tokens',
  sequences: number,
  config: GenerationConfig,
): GenerationSettings {
  const entry = checkObject('options', options, kind === 'text' ? TEXT_KEYS : TOKENS_KEYS);
  const beams = checkInteger('options.beams', entry['beams'] ?? 1, 1, MOST_BEAMS);
  refuseContradictions(entry, beams);
  const stop = readStops(entry['stop']);
  return {
    maxNewTokens: optional(entry['maxNewTokens'], (count) =>
      checkInteger('options.maxNewTokens', count, 1, LARGEST),
    ),
    sampling: readSampling(entry, sequences),
    ...(beams > 1 && { beam: { beams, ...readBeamRanking(entry, config) } }),
    stop,
    signal: checkSignal('options.signal', entry['signal']),
  };
}

function refuseContradictions(entry: Record<string, unknown>, beams: number): void {
  const given = (key: string) => entry[key] !== undefined;
  const refuse = (key: string, expected: string) => {
    if (given(key)) throw invalid(`options.${key}`, 'given', `none ${expected}`);
  };
  if (beams > 1) {
    for (const key of ['temperature', 'topK', 'topP', 'seed', 'stop']) refuse(key, 'with beams');
    return;
  }
  for (const key of ['lengthPenalty', 'earlyStopping']) refuse(key, 'without beams');
  if (((entry['temperature'] ?? 0) as number) !== 0) return;
  for (const key of ['topK', 'topP', 'seed']) refuse(key, 'without a temperature above 0');
}

function readSampling(entry: Record<string, unknown>, sequences: number): Sampling {
  const temperature = checkFinite('options.temperature', entry['temperature'] ?? 0);
  if (temperature < 0) throw invalid('options.temperature', String(temperature), '0 or above');
  const topP = checkFinite('options.topP', entry['topP'] ?? 1);
  if (!(topP > 0 && topP <= 1)) throw invalid('options.topP', String(topP), 'above 0, 1 at most');
  return {
    temperature,
    topK: checkInteger('options.topK', entry['topK'] ?? 0, 0, LARGEST),
    topP,
    seeds: readSeeds(entry['seed'], sequences),
  };
}

function readSeeds(value: unknown, sequences: number): number[] {
  const check = (where: string, seed: unknown) =>
    checkInteger(where, seed, 0, Number.MAX_SAFE_INTEGER);
  if (value === undefined) {
    return Array.from({ length: sequences }, () => Math.floor(Math.random() * 2 ** 53));
  }
  if (!Array.isArray(value)) {
    return new Array<number>(sequences).fill(check('options.seed', value));
  }
  if (value.length !== sequences) {
    throw invalid('options.seed', `${value.length} seeds`, `one, or one for each of ${sequences}`);
  }
  return Array.from(value, (seed, i) => check(`options.seed[${i}]`, seed));
}

function readBeamRanking(entry: Record<string, unknown>, config: GenerationConfig) {
  const { lengthPenalty = config.lengthPenalty, earlyStopping = config.earlyStopping } = entry;
  if (typeof earlyStopping !== 'boolean' && earlyStopping !== 'never') {
    throw invalid('options.earlyStopping', describe(earlyStopping), "true, false or 'never'");
  }
  return {
    lengthPenalty: checkFinite('options.lengthPenalty', lengthPenalty),
    earlyStopping: earlyStopping as EarlyStopping,
  };
}

function readStops(value: unknown): string[] {
  if (value === undefined) return [];
  const list = typeof value === 'string' ? [value] : checkArray('options.stop', value);
  return Array.from(list, (stop, i) => {
    const where = typeof value === 'string' ? 'options.stop' : `options.stop[${i}]`;
    const text = checkString(where, stop);
    if (!text.isWellFormed()) throw invalid(where, 'a lone surrogate', 'well-formed text');
    return text;
  });
}
