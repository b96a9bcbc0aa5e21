/**
 * What the next token of a sequence must be or must not be, as the folder's generation config says.
 *
 * Source: transformers 5 (generation/logits_process.py): a forced token replaces every other choice, the rest are bans.
 */

import type { GenerationConfig } from './config';

/** A sequence and its limits. */
export interface Progress {
  /** Tokens that the decoder began with. */
  readonly promptLength: number;
  /** And those that were chosen. */
  readonly length: number;
  /** The most new tokens. */
  readonly maxNewTokens: number;
  /** All `length` of them. */
  readonly tokens: () => readonly number[];
}

export interface Rule {
  /** Not empty: one of these has to follow. */
  readonly forced: readonly number[];
  readonly banned: readonly number[];
}

const FREE: readonly number[] = [];

export class Rules {
  readonly #config: GenerationConfig;
  readonly #alwaysBanned: readonly number[];
  readonly #phrases: readonly (readonly number[])[];

  constructor(config: GenerationConfig) {
    const { badWords, eos, suppressed } = config;
    // A bad word that is an end of text would keep a text from ending: Python drops it too.
    const words = badWords.filter((word) => word.length > 1 || !eos.includes(word[0] as number));
    this.#config = config;
    this.#alwaysBanned = [...words.filter(({ length }) => length === 1).flat(), ...suppressed];
    this.#phrases = words.filter(({ length }) => length > 1);
  }

  next(progress: Progress): Rule {
    const forced = this.#forced(progress);
    if (forced.length > 0) return { forced, banned: FREE };
    const { length, promptLength } = progress;
    const { eos, minLength, minNewTokens, suppressedFirst } = this.#config;
    const isFirst = length === promptLength + (this.#forcesFirst(promptLength) ? 1 : 0);
    const isShort = length < minLength || length - promptLength < minNewTokens;
    const banned = new Set([
      ...this.#alwaysBanned,
      ...(isFirst ? suppressedFirst : FREE),
      ...(isShort ? eos : FREE),
      ...this.#endings(progress),
    ]);
    return { forced: FREE, banned: [...banned] };
  }

  /** Tokens that would complete a bad phrase or a repetition. */
  #endings(progress: Progress): number[] {
    const { noRepeatNgram } = this.#config;
    if (this.#phrases.length === 0 && noRepeatNgram === 0) return [];
    const tokens = progress.tokens();
    const phrases = this.#phrases.filter((phrase) => endsBefore(tokens, phrase)).map(lastOf);
    return noRepeatNgram > 0 ? [...phrases, ...repeating(tokens, noRepeatNgram)] : phrases;
  }

  #forcesFirst(promptLength: number): boolean {
    return this.#config.forcedFirst !== undefined && promptLength === 1;
  }

  #forced({ length, promptLength, maxNewTokens }: Progress): readonly number[] {
    const { forcedFirst, forcedLast } = this.#config;
    if (length === promptLength + maxNewTokens - 1 && forcedLast.length > 0) {
      return forcedLast;
    }
    return forcedFirst !== undefined && length === 1 ? [forcedFirst] : FREE;
  }
}

function lastOf(phrase: readonly number[]): number {
  return phrase.at(-1) as number;
}

/** Whether the tokens end with all of the phrase but its last token. */
function endsBefore(tokens: readonly number[], phrase: readonly number[]): boolean {
  const start = tokens.length - (phrase.length - 1);
  return start >= 0 && phrase.slice(0, -1).every((id, i) => tokens[start + i] === id);
}

/** The tokens that would make a run of n that was there before. */
function repeating(tokens: readonly number[], n: number): number[] {
  const start = tokens.length - (n - 1);
  if (start < 0) return [];
  const found: number[] = [];
  for (let i = 0; i + n <= tokens.length; i += 1) {
    let same = true;
    for (let k = 0; same && k < n - 1; k += 1) same = tokens[i + k] === tokens[start + k];
    if (same) found.push(tokens[i + n - 1] as number);
  }
  return found;
}
