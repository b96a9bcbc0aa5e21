/**
 * A model as plain, frozen data: a list of blocks over one residual stream, and the weights each names.
 *
 * native/engine/plan.h is the same structure in C++; the binding converts this one into that one.
 * lib/blocks.ts builds plans by hand, lib/models/*.ts build them from a checkpoint's config.
 */

/** GELU is exact (by erf) unless it says tanh (Hendrycks & Gimpel 2016, arXiv:1606.08415). */
export type Activation = 'identity' | 'relu' | 'gelu' | 'gelu_tanh' | 'silu' | 'tanh';

/** A view of a stored tensor: transposed if asked, then a range of the result's rows `[begin, end)`. */
export interface WeightRef {
  readonly tensor: string;
  readonly rows?: readonly [begin: number, end: number];
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
  | { readonly kind: 'sinusoidal'; readonly count: number };

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
  readonly heads: number;
  readonly keyHeads?: number;
  readonly headDim: number;
  readonly query: LinearSpec;
  readonly key: LinearSpec;
  readonly value: LinearSpec;
  readonly output: LinearSpec;
  readonly scale?: number;
  readonly mask?: 'full' | 'causal';
  /** A query sees the keys at most this many positions away; absent: all. */
  readonly window?: number;
  readonly normBefore?: NormSpec;
  readonly normAfter?: NormSpec;
}

/** stream = normAfter(stream + down(activation(up(normBefore(stream))))). Ends a layer. */
export interface FeedForwardBlock {
  readonly block: 'feedForward';
  readonly inner: number;
  readonly activation: Activation;
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

/** stream = activation(linear(stream)), to `width` columns. */
export interface ProjectBlock {
  readonly block: 'project';
  readonly width: number;
  readonly activation: Activation;
  readonly linear: LinearSpec;
}

/** [T, E] -> [B, parts · E]. A `weighted` part reads one row of the batch's `poolWeights`. */
export interface PoolBlock {
  readonly block: 'pool';
  readonly parts: readonly ('weighted' | 'max')[];
}

export type Block =
  | EmbedBlock
  | AttentionBlock
  | FeedForwardBlock
  | NormBlock
  | ProjectBlock
  | PoolBlock;

/** `blocks[0]` is the one `embed`; `width` is E, the width of the stream up to a `project` or `pool`. */
export interface Plan {
  readonly width: number;
  readonly blocks: readonly Block[];
}
