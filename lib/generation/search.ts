/** One prompt's search for its continuation: which tokens it wants appended to which of its rows. */

import type { FinishReason } from './options';

/** What may follow one row, most likely first. */
export interface Choices {
  readonly tokens: readonly number[];
  /** Of the whole softmax; as many as `tokens`. */
  readonly logProbabilities: readonly number[];
}

/** A row of the next step: the row that it continues, and the token that it adds. */
export interface Continuation {
  readonly parent: number;
  readonly token: number;
}

export interface Found {
  /** New tokens, an end of text included. */
  readonly tokens: readonly number[];
  readonly finishReason: FinishReason;
  /** Of a search with beams: log probability / length^lengthPenalty. */
  readonly score?: number;
}

/** Rows are the sequences that a search keeps in the cache: one at first. */
export interface Search {
  /** Tokens of each row that were chosen so far. */
  readonly rows: readonly (readonly number[])[];
  /**
   * Takes what may follow each row.
   *
   * @returns the rows of the next step; none: the search has ended
   */
  advance(choices: readonly Choices[]): Promise<readonly Continuation[]>;
  /** Once it has ended. */
  readonly found: Found;
}
