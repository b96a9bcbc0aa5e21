/** A language model over a table, and generation settings for it. */

import type { GenerationConfig } from '../../../lib/generation/config';
import { CachedDecoder } from '../../../lib/generation/decoder';
import { LanguageModel } from '../../../lib/generation/language-model';
import type { Tokenizer } from '../../../lib/tokenizer';
import { type Table, tableModel, tablePlan } from './table-model';

export const NO_RULES: GenerationConfig = {
  eos: [],
  decoderStart: undefined,
  forcedFirst: undefined,
  forcedLast: [],
  badWords: [],
  suppressed: [],
  suppressedFirst: [],
  minLength: 0,
  minNewTokens: 0,
  noRepeatNgram: 0,
  maxNewTokens: undefined,
  maxLength: undefined,
  lengthPenalty: 1,
  earlyStopping: false,
  ignored: [],
};

export interface ModelOptions {
  readonly config?: Partial<GenerationConfig>;
  readonly positions?: number;
  readonly maxCacheBytes?: number;
  readonly tokenizer?: Tokenizer;
}

export function modelOf(table: Table, options: ModelOptions = {}) {
  const native = tableModel(table);
  const plan = tablePlan(table.last.length, options.positions);
  const decoder = new CachedDecoder(native, plan, options.positions ?? 1000);
  const model = new LanguageModel({
    folder: 'a table',
    config: { ...NO_RULES, ...options.config },
    tokenizer: options.tokenizer,
    decoder,
    maxCacheBytes: options.maxCacheBytes ?? Number.MAX_SAFE_INTEGER,
  });
  return { model, native, decoder, log: native.log };
}

/** A table of seeded logits in which tokens 3 and 5 are likely. */
export function seededTable(vocabulary: number, seed: number): Table {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32) * 6 - 3;
  };
  const rows = (count: number) =>
    Array.from({ length: count }, () => Array.from({ length: vocabulary }, next));
  return { last: rows(vocabulary), before: rows(vocabulary + 1) };
}
