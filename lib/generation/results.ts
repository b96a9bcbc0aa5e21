/** What a generation gives. */

import type { FinishReason } from './options';

/** Token ids of one sequence. */
export type TokenIds = readonly number[] | Int32Array;

export interface GenerationUsage {
  /** Tokens of the prompt, special ones included. */
  readonly promptTokens: number;
  /** Tokens that were chosen, an end of text included. */
  readonly newTokens: number;
  /** Native memory of the call's cache of keys and values, which all prompts of the call share. */
  readonly cacheBytes: number;
}

/** What a prompt was continued with. */
export interface Generation {
  /** Without the prompt and without special tokens. */
  readonly text: string;
  /** An end of text included; with a stop string up to the token that completed it. */
  readonly tokens: readonly number[];
  readonly finishReason: FinishReason;
  /** With beams: log probability / length^lengthPenalty. */
  readonly score?: number;
  readonly usage: GenerationUsage;
}

/** Arrays with one entry a sequence. */
export interface TokenGeneration {
  readonly tokens: number[][];
  readonly finishReasons: FinishReason[];
  /** With beams only. */
  readonly scores?: number[];
  /** Sums over the sequences. */
  readonly usage: GenerationUsage;
}
