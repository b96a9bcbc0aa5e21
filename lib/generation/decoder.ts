/** A loaded decoder and its caches: each generation has one of its own, and all end with the model. */

import { MultiheadError } from '../errors';
import type { NativeCache, NativeModel } from '../native';
import type { Plan } from '../plan';

/** The unit in which a cache's memory is counted. */
export interface PageSize {
  /** Tokens of one sequence. */
  readonly tokens: number;
  readonly bytes: number;
}

export class CachedDecoder {
  readonly model: NativeModel;
  readonly vocabulary: number;
  /** Columns of the memory; 0: the decoder reads none. */
  readonly memoryWidth: number;
  /** Index of the block that yields logits. */
  readonly lastBlock: number;
  /** The most tokens of a sequence. */
  readonly maxLength: number;
  readonly page: PageSize;
  readonly #caches = new Set<NativeCache>();
  #disposed = false;

  /**
   * @param plan of the model; ends in logits
   * @throws MultiheadError UNSUPPORTED: the plan cannot be run with a cache
   */
  constructor(model: NativeModel, plan: Plan, maxLength: number) {
    this.model = model;
    this.vocabulary = columnsOf(plan);
    this.lastBlock = plan.blocks.length - 1;
    this.memoryWidth = plan.memoryWidth ?? 0;
    this.maxLength = Math.min(maxLength, positionsOf(plan));
    const probe = model.createCache(1);
    this.page = { tokens: probe.info.pageTokens, bytes: probe.info.bytes };
    probe.dispose();
  }

  /** Bytes of all caches that are in use. */
  get cacheBytes(): number {
    return [...this.#caches].reduce((sum, { info }) => sum + info.bytes, 0);
  }

  /** @throws MultiheadError OUT_OF_MEMORY · DISPOSED */
  createCache(pages: number): NativeCache {
    this.throwIfDisposed();
    const cache = this.model.createCache(pages);
    this.#caches.add(cache);
    return cache;
  }

  /** Frees a cache once what runs in it has ended. May be repeated. */
  release(cache: NativeCache): void {
    if (this.#caches.delete(cache)) cache.dispose();
  }

  throwIfDisposed(): void {
    if (!this.#disposed) return;
    throw new MultiheadError('DISPOSED', { where: 'generate', got: 'the model was disposed' });
  }

  dispose(): void {
    this.#disposed = true;
    for (const cache of this.#caches) this.release(cache);
    this.model.dispose();
  }
}

function columnsOf({ width, blocks }: Plan): number {
  const last = blocks.findLast((block) => block.block === 'project');
  return last?.block === 'project' ? last.width : width;
}

/** How many positions the embedding has; no limit where it has none. */
function positionsOf({ blocks: [embed] }: Plan): number {
  const positions = embed?.block === 'embed' ? embed.positions : undefined;
  if (!positions) return Number.POSITIVE_INFINITY;
  return positions.kind === 'learned' ? positions.count - (positions.offset ?? 0) : positions.count;
}
