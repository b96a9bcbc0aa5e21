/**
 * A model as plain, frozen data: a list of blocks over one residual stream, and the weights each names.
 *
 * native/engine/plan.h is the same structure in C++; the binding converts this one into that one.
 * lib/blocks.ts builds plans by hand, lib/models/*.ts build them from a checkpoint's config.
 */

/** GELU is exact (by erf) unless it says tanh (Hendrycks & Gimpel 2016, arXiv:1606.08415). */
export type Activation = 'identity' | 'relu' | 'gelu' | 'gelu_tanh' | 'silu' | 'tanh';

/**
 * A view of a stored tensor: transposed if asked, then a range of the result's rows `[begin, end)`, or `groups`: of
 * every `step` rows from `begin` on the first `length`, as where a fused checkpoint alternates by head. A vector that is
 * stored as one row, [1, N], is read transposed.
 */
export interface WeightRef {
  readonly tensor: string;
  readonly rows?: readonly [begin: number, end: number];
  readonly groups?: readonly [begin: number, length: number, step: number];
  readonly transpose?: boolean;
}

/** y = x Wᵀ + b, W of shape [out, in], b of shape [out]. */
export interface LinearSpec {
  readonly weight: WeightRef;
  readonly bias?: WeightRef;
}

/** `layer`: Ba et al. 2016; `rms`: Zhang & Sennrich 2019; `l2`: x / max(|x|, epsilon), no gain or bias. */
export interface NormSpec {
  readonly kind: 'layer' | 'rms' | 'l2';
  readonly epsilon: number;
  readonly gain?: WeightRef;
  readonly bias?: WeightRef;
}

/** `learned`: a table [count, E]; the first token of a sequence reads row `offset`. `sinusoidal`: Vaswani et al. 2017, 3.5. */
export type Positions =
  | {
      readonly kind: 'learned';
      readonly table: WeightRef;
      readonly count: number;
      readonly offset?: number;
    }
  | {
      readonly kind: 'sinusoidal';
      readonly count: number;
      /** 'interleaved': sines and cosines alternate, as in the paper; 'split': all sines first. Default: 'interleaved'. */
      readonly layout?: 'interleaved' | 'split';
    };

/**
 * Su et al. 2021 (arXiv:2104.09864): pair i of a head's columns turns by position · frequencies[i]. Columns after the
 * pairs stay as they are. {@link rotaryFrequencies} computes the usual ones.
 */
export interface Rotary {
  readonly frequencies: readonly number[];
  /** 'halves': column i with i + n (GPT-NeoX, Llama); 'neighbours': 2i with 2i + 1 (the paper). Default: 'halves'. */
  readonly pairs?: 'halves' | 'neighbours';
  /** Factor of cosines and sines (YaRN's attention factor). Default: 1. */
  readonly magnitude?: number;
}

/**
 * A bias of each score by the distance d = key position - query position (Raffel et al. 2019, arXiv:1910.10683, 2.1):
 * table[buckets[L + d]], d clamped to [-L, L], `buckets` having 2L + 1 entries.
 */
export interface RelativeBias {
  /** [bucketCount, heads] */
  readonly table: WeightRef;
  readonly bucketCount: number;
  readonly buckets: readonly number[];
}

/** Starts the stream: norm(scale · tokens + types + positions), [T, E]. */
export interface EmbedBlock {
  readonly block: 'embed';
  readonly vocabulary: number;
  readonly tokens: WeightRef;
  readonly types?: { readonly table: WeightRef; readonly count: number };
  readonly positions?: Positions;
  readonly scale?: number;
  readonly norm?: NormSpec;
}

/** stream = normAfter(stream + attention(normBefore(stream))). `scale` defaults to 1/√headDim. */
export interface AttentionBlock {
  readonly block: 'attention';
  /** Keys and values come from the stream, or from an encoder's output. Default: 'stream'. */
  readonly keysFrom?: 'stream' | 'memory';
  readonly heads: number;
  readonly keyHeads?: number;
  readonly headDim: number;
  readonly query: LinearSpec;
  readonly key: LinearSpec;
  readonly value: LinearSpec;
  readonly output: LinearSpec;
  /** Over the columns of each head, before the rotation. */
  readonly queryNorm?: NormSpec;
  readonly keyNorm?: NormSpec;
  /** This and the other terms of positions, slopes to window, only with keys from the stream. */
  readonly rotary?: Rotary;
  /** ALiBi (Press et al. 2021, arXiv:2108.12409): one slope for each head. */
  readonly slopes?: readonly number[];
  readonly relativeBias?: RelativeBias;
  readonly mask?: 'full' | 'causal';
  /** A query sees the keys at most this many positions away; absent: all. */
  readonly window?: number;
  readonly scale?: number;
  readonly normBefore?: NormSpec;
  readonly normAfter?: NormSpec;
}

/**
 * stream = normAfter(stream + down(activation(up(normBefore(stream))))); with a `gate` the inner part is
 * activation(gate(x)) · up(x) (Shazeer 2020, arXiv:2002.05202). Ends a layer.
 */
export interface FeedForwardBlock {
  readonly block: 'feedForward';
  readonly inner: number;
  readonly activation: Activation;
  readonly gate?: LinearSpec;
  readonly up: LinearSpec;
  readonly down: LinearSpec;
  readonly normBefore?: NormSpec;
  readonly normAfter?: NormSpec;
}

/** stream = norm(stream), on token rows or on pooled rows. */
export interface NormBlock {
  readonly block: 'norm';
  readonly norm: NormSpec;
}

/** stream = activation(scale · x Wᵀ + b), to `width` columns. */
export interface ProjectBlock {
  readonly block: 'project';
  readonly width: number;
  /** Default: 1. */
  readonly scale?: number;
  readonly activation: Activation;
  readonly linear: LinearSpec;
}

/** [T, E] -> [B, parts · E]. A `weighted` part reads one row of the batch's `poolWeights`. */
export interface PoolBlock {
  readonly block: 'pool';
  readonly parts: readonly ('weighted' | 'max')[];
}

/** [T, E] -> [R, E]: the rows that the batch selects, all if it does not say; blocks after it work on single rows. */
export interface SelectBlock {
  readonly block: 'select';
}

export type Block =
  | EmbedBlock
  | AttentionBlock
  | FeedForwardBlock
  | NormBlock
  | ProjectBlock
  | PoolBlock
  | SelectBlock;

/** `blocks[0]` is the one `embed`; `width` is E, the width of the stream up to a `project` or `pool`. */
export interface Plan {
  readonly width: number;
  /** Columns of the memory that attentions with `keysFrom: 'memory'` read. */
  readonly memoryWidth?: number;
  readonly blocks: readonly Block[];
}
