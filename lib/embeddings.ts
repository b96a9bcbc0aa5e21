/** The vectors of a call, one row a text. */

import { zeros } from './allocate';
import { checkInteger } from './check';

export interface EmbeddingUsage {
  /** Tokens that were computed, special ones included. */
  readonly tokens: number;
  /** Texts that were longer than the limit and were cut. */
  readonly truncated: number;
}

/**
 * Row-major [count, dimensions].
 *
 * @example
 * const vectors = await model.encode(['one', 'two']);
 * const first = vectors.at(0); // a Float32Array of vectors.dimensions
 */
export class Embeddings {
  /** [count, dimensions]; the caller's own. */
  readonly data: Float32Array;
  readonly count: number;
  readonly dimensions: number;
  readonly usage: EmbeddingUsage;

  /** @param rows `dimensions` values each; copied */
  constructor(rows: readonly Float32Array[], dimensions: number, usage: EmbeddingUsage) {
    this.data = zeros('encode', rows.length * dimensions);
    rows.forEach((row, i) => {
      this.data.set(row, i * dimensions);
    });
    this.count = rows.length;
    this.dimensions = dimensions;
    this.usage = Object.freeze({ ...usage });
  }

  /**
   * A view of row `index`; a negative one counts from the end.
   *
   * @throws MultiheadError INVALID_ARGUMENT: no such row
   */
  at(index: number): Float32Array {
    checkInteger('index', index, -this.count, this.count - 1);
    const row = index < 0 ? index + this.count : index;
    return this.data.subarray(row * this.dimensions, (row + 1) * this.dimensions);
  }

  /** Plain numbers, for JSON or a database: an array of `dimensions` for each text. */
  toArray(): number[][] {
    return Array.from({ length: this.count }, (_, i) => [...this.at(i)]);
  }
}
