/** How many pages of a cache a generation needs: known before it runs, so that it never runs out in the middle. */

import { invalid } from '../check';
import type { PageSize } from './decoder';

/** What one prompt's search may come to. */
export interface Extent {
  readonly promptLength: number;
  readonly maxNewTokens: number;
  /** Rows that it keeps at once. */
  readonly rows: number;
}

/** Rows that are decoded at once: beyond them a step takes longer and gains nothing. */
const MOST_ROWS = 64;

/**
 * The most pages that a search holds: rows share the whole pages of their prompt. The token that is chosen last is
 * never read.
 */
export function pagesNeeded({ promptLength, maxNewTokens, rows }: Extent, page: PageSize): number {
  const shared = rows > 1 ? Math.floor(promptLength / page.tokens) : 0;
  const each = Math.ceil((promptLength + maxNewTokens - 1) / page.tokens) - shared;
  return shared + rows * Math.max(1, each);
}

/** What a cache of the searches comes to. */
export interface CachePlan {
  readonly pages: number;
  /** How many searches run at once, if the pages allow. */
  readonly atOnce: number;
}

/**
 * @param needs pages of each search
 * @param rows of each search
 * @param maxBytes what the cache may take
 * @throws MultiheadError INVALID_ARGUMENT: one search alone would take more
 */
export function planCache(
  needs: readonly number[],
  rows: number,
  page: PageSize,
  maxBytes: number,
): CachePlan {
  const most = Math.floor(maxBytes / page.bytes);
  needs.forEach((need, i) => {
    if (need <= most) return;
    const got = `needs a cache of ${need * page.bytes} bytes`;
    const expected = `options.maxCacheBytes at most, ${maxBytes}; fewer tokens or beams need less`;
    throw invalid(`prompts[${i}]`, got, expected);
  });
  const atOnce = Math.max(1, Math.floor(MOST_ROWS / rows));
  const largest = [...needs].sort((a, b) => b - a).slice(0, atOnce);
  const wanted = largest.reduce((sum, need) => sum + need, 0);
  return { pages: Math.min(wanted, most), atOnce };
}
