/**
 * Builders of plans: an encoder or decoder of any depth, width, heads, norm placement and positions in a few lines.
 *
 * A builder makes a block at its place in a plan, and names its weights after the place ("blocks.3.query.weight")
 * or after its `name`; two blocks of one name share their weights. A block written by hand may stand among them.
 */

import { Names, type NormOptions, type NormPlacement, type Place } from './block-names';
import {
  checkArray,
  checkBoolean,
  checkInteger,
  checkLiteral,
  checkObject,
  checkString,
  describe,
  invalid,
  optional,
} from './check';
import type {
  Activation,
  AttentionBlock,
  Block,
  Plan,
  PoolBlock,
  Positions,
  RelativeBias,
  Rotary,
} from './plan';
import { checkBlock, checkPlan, type Stream, streamAfter } from './plan-check';
import { MOST_COLUMNS } from './plan-check-specs';
import {
  alibiSlopes,
  type RelativeBucketOptions,
  type RotaryOptions,
  relativeBuckets,
  rotaryFrequencies,
} from './positions';

/** Makes a block once its place is known. */
export type BlockBuilder = (place: Place) => Block;

export interface EmbedOptions extends NormOptions {
  /** V: token ids lie in [0, V). */
  readonly vocabulary: number;
  /** Segment types; 0: none. Default: 0. */
  readonly types?: number;
  /** A number: a learned table of so many positions. Default: none. */
  readonly positions?:
    | number
    | { readonly sinusoidal: number; readonly layout?: 'interleaved' | 'split' };
  /** Factor of the token embedding. Default: 1. */
  readonly scale?: number;
  /** Default: 'none'. */
  readonly norm?: 'after' | 'none';
  readonly name?: string;
}

export interface AttentionOptions extends NormOptions {
  /** Keys and values come from the stream, or from the plan's memory (cross-attention). Default: 'stream'. */
  readonly keysFrom?: 'stream' | 'memory';
  readonly heads: number;
  /** Heads of keys and values; divides `heads`. Default: as many. */
  readonly keyHeads?: number;
  /** Columns of a head. Default: the stream's columns / heads, which must divide. */
  readonly headDim?: number;
  /** Factor of the scores. Default: 1/√headDim. */
  readonly scale?: number;
  /** Default: 'full'. */
  readonly mask?: 'full' | 'causal';
  /** A query sees the keys at most this many positions away. Default: all. */
  readonly window?: number;
  /** Rotary positions, of all columns of a head unless `dims` says fewer. Default: none. */
  readonly rotary?: Rotary | RotaryPositions;
  /** A slope for each head by {@link alibiSlopes}. Default: false. */
  readonly alibi?: boolean;
  /** A learned bias for each distance and head, as T5's. Default: none. */
  readonly relativeBias?: RelativeBiasOptions;
  /** Norms of each head's queries and keys, before the rotation. Default: none. */
  readonly queryKeyNorm?: 'layer' | 'rms' | 'l2';
  /** Default: 'after'. */
  readonly norm?: NormPlacement;
  /** Biases of the four projections. Default: true. */
  readonly bias?: boolean;
  readonly name?: string;
}

/** What {@link rotaryFrequencies} takes, and the pairing of {@link Rotary}. */
export interface RotaryPositions extends Partial<RotaryOptions> {
  readonly pairs?: Rotary['pairs'];
}

export interface RelativeBiasOptions extends RelativeBucketOptions {
  /** Name of the table's tensor, by which layers share one. Default: the block's own. */
  readonly name?: string;
}

export interface FeedForwardOptions extends NormOptions {
  /** F, the inner width. Default: 4 × the stream's columns. */
  readonly inner?: number;
  /** Default: 'gelu' (exact). */
  readonly activation?: Activation;
  /** activation(gate(x)) · up(x) in place of activation(up(x)). Default: false. */
  readonly gated?: boolean;
  /** Default: 'after'. */
  readonly norm?: NormPlacement;
  /** Default: true. */
  readonly bias?: boolean;
  readonly name?: string;
}

export interface NormBlockOptions {
  /** 'l2' divides a row by its length and has no weights. Default: 'layer'. */
  readonly kind?: 'layer' | 'rms' | 'l2';
  /** Default: 1e-5; for 'l2' 1e-12. */
  readonly epsilon?: number;
  readonly name?: string;
}

export interface ProjectOptions {
  /** Columns after the block. */
  readonly width: number;
  /** Factor of x Wᵀ. Default: 1. */
  readonly scale?: number;
  /** Default: 'identity'. */
  readonly activation?: Activation;
  /** Default: true. */
  readonly bias?: boolean;
  /** Name of the matrix's tensor, to share one: 'words.tokens' is the table of an embed block named 'words'. */
  readonly weight?: string;
  readonly name?: string;
}

export interface PoolOptions {
  /** One after the other, side by side. Default: ['weighted']. */
  readonly parts?: PoolBlock['parts'];
}

export interface PlanOptions {
  /** E, the columns of the embedding and of every residual. */
  readonly width: number;
  /** Columns of the memory, where attentions read one. */
  readonly memoryWidth?: number;
}

const NORM_KEYS = ['norm', 'normKind', 'epsilon', 'name'];

/**
 * Starts a plan: tokens + types + positions -> [T, E].
 *
 * @throws MultiheadError INVALID_ARGUMENT: an option of a wrong type or name (so do all builders)
 * @example
 * embed({ vocabulary: 30522, types: 2, positions: 512, norm: 'after' })
 */
export function embed(options: EmbedOptions): BlockBuilder {
  const known = ['vocabulary', 'types', 'positions', 'scale', ...NORM_KEYS];
  checkObject('embed options', options, known);
  const { vocabulary, types = 0, positions, scale, name, norm = 'none' } = options;
  checkInteger('embed.types', types, 0, 2 ** 31 - 1);
  checkLiteral('embed.norm', norm, ['after', 'none']);
  return (place) => {
    const names = new Names(name, place);
    return {
      block: 'embed',
      vocabulary,
      tokens: names.ref('tokens'),
      ...(types > 0 && { types: { table: names.ref('types'), count: types } }),
      ...(positions !== undefined && { positions: positionsOf(positions, names) }),
      ...(scale !== undefined && { scale }),
      ...(norm === 'after' && { norm: names.norm('norm', options) }),
    };
  };
}

function positionsOf(positions: NonNullable<EmbedOptions['positions']>, names: Names): Positions {
  if (typeof positions === 'number') {
    return { kind: 'learned', table: names.ref('positions'), count: positions };
  }
  const { sinusoidal, layout } = positions;
  checkObject('embed.positions', positions, ['sinusoidal', 'layout']);
  return { kind: 'sinusoidal', count: sinusoidal, ...(layout !== undefined && { layout }) };
}

/**
 * stream = normAfter(stream + attention(normBefore(stream))).
 *
 * @example
 * attention({ heads: 12, norm: 'before', mask: 'causal', rotary: { base: 10000 } })
 */
export function attention(options: AttentionOptions): BlockBuilder {
  checkObject('attention options', options, ATTENTION_KEYS);
  const { keysFrom, heads, keyHeads, scale, mask, window } = options;
  return (place) => {
    const names = new Names(options.name, place);
    const headDim = options.headDim ?? columnsOfHead(place, heads);
    const linear = (part: string) => names.linear(part, options.bias);
    return {
      block: 'attention',
      ...(keysFrom !== undefined && { keysFrom }),
      heads,
      ...(keyHeads !== undefined && { keyHeads }),
      headDim,
      query: linear('query'),
      key: linear('key'),
      value: linear('value'),
      output: linear('output'),
      ...scorePositions(options, headDim, names),
      ...(mask !== undefined && { mask }),
      ...(window !== undefined && { window }),
      ...(scale !== undefined && { scale }),
      ...names.norms(options),
    };
  };
}

const ATTENTION_KEYS = [
  'keysFrom',
  'heads',
  'keyHeads',
  'headDim',
  'scale',
  'mask',
  'window',
  'rotary',
  'alibi',
  'relativeBias',
  'queryKeyNorm',
  'bias',
  ...NORM_KEYS,
];

/** What changes queries, keys and scores: norms of heads, rotary positions, biases by distance. */
function scorePositions(options: AttentionOptions, headDim: number, names: Names) {
  const { heads, mask, rotary, alibi = false, relativeBias, queryKeyNorm, epsilon } = options;
  optional(queryKeyNorm, (kind) => checkLiteral('queryKeyNorm', kind, ['layer', 'rms', 'l2']));
  return {
    ...(queryKeyNorm !== undefined && {
      queryNorm: names.normOf('queryNorm', queryKeyNorm, epsilon),
      keyNorm: names.normOf('keyNorm', queryKeyNorm, epsilon),
    }),
    ...(rotary !== undefined && { rotary: rotaryOf(rotary, headDim) }),
    ...(checkBoolean('alibi', alibi) && { slopes: alibiSlopes(heads) }),
    ...(relativeBias !== undefined && {
      relativeBias: relativeBiasOf(relativeBias, mask !== 'causal', names),
    }),
  } satisfies Partial<AttentionBlock>;
}

function rotaryOf(rotary: Rotary | RotaryPositions, headDim: number): Rotary {
  checkObject('rotary', rotary, ['base', 'dims', 'scaling', 'pairs', 'frequencies', 'magnitude']);
  if ('frequencies' in rotary) return rotary;
  const { pairs, ...options } = rotary;
  const frequencies = rotaryFrequencies({ dims: headDim, ...options });
  return { ...frequencies, ...(pairs !== undefined && { pairs }) };
}

/** A causal attention's distances are of one direction, unless `options` says otherwise. */
function relativeBiasOf(
  options: RelativeBiasOptions,
  bidirectional: boolean,
  names: Names,
): RelativeBias {
  const known = ['buckets', 'maxDistance', 'bidirectional', 'name'];
  checkObject('relative bias options', options, known);
  const { name, ...given } = options;
  const tensor = optional(name, (entry) => checkString('relativeBias.name', entry));
  return {
    table: tensor === undefined ? names.ref('relativeBias') : { tensor },
    bucketCount: given.buckets ?? 32,
    buckets: relativeBuckets({ bidirectional, ...given }),
  };
}

function columnsOfHead({ index, columns }: Place, heads: unknown): number {
  const where = `plan.blocks[${index}].heads`;
  const count = checkInteger(where, heads, 1, MOST_COLUMNS);
  if (columns % count === 0) return columns / count;
  throw invalid(where, String(count), `a divisor of the stream's ${columns} columns, or a headDim`);
}

/**
 * stream = normAfter(stream + down(activation(up(normBefore(stream))))), or with a gate. Ends a layer.
 *
 * @example
 * feedForward({ inner: 3072, activation: 'silu', gated: true }) // SwiGLU
 */
export function feedForward(options: FeedForwardOptions = {}): BlockBuilder {
  const known = ['inner', 'activation', 'gated', 'bias', ...NORM_KEYS];
  checkObject('feedForward options', options, known);
  const { gated = false } = options;
  checkBoolean('gated', gated);
  return (place) => {
    const names = new Names(options.name, place);
    return {
      block: 'feedForward',
      inner: options.inner ?? 4 * place.columns,
      activation: options.activation ?? 'gelu',
      ...(gated && { gate: names.linear('gate', options.bias) }),
      up: names.linear('up', options.bias),
      down: names.linear('down', options.bias),
      ...names.norms(options),
    };
  };
}

/** stream = norm(stream), on token rows or on pooled rows: the last norm of a model with norms before. */
export function norm(options: NormBlockOptions = {}): BlockBuilder {
  checkObject('norm options', options, ['kind', 'epsilon', 'name']);
  const { kind = 'layer', epsilon, name } = options;
  checkLiteral('norm.kind', kind, ['layer', 'rms', 'l2']);
  return (place) => {
    const names = new Names(name, place);
    return { block: 'norm', norm: names.normOf('norm', kind, epsilon) };
  };
}

/**
 * stream = activation(scale · x Wᵀ + b), to `width` columns.
 *
 * @example
 * project({ width: 30522, bias: false, weight: 'words.tokens' }) // logits by the embedding's own table
 */
export function project(options: ProjectOptions): BlockBuilder {
  checkObject('project options', options, [
    'width',
    'scale',
    'activation',
    'bias',
    'weight',
    'name',
  ]);
  const { width, scale, activation = 'identity', bias, weight, name } = options;
  const tensor = optional(weight, (given) => checkString('project.weight', given));
  return (place) => {
    const linear = new Names(name, place).linear('linear', bias);
    return {
      block: 'project',
      width,
      ...(scale !== undefined && { scale }),
      activation,
      linear: tensor === undefined ? linear : { ...linear, weight: { tensor } },
    };
  };
}

/**
 * The rows that a batch selects, [T, E] -> [R, E], so that what follows is computed for them only: a decoder's logits
 * for the last token of each sequence. Norms, projections and feed-forwards may follow.
 */
export function select(): BlockBuilder {
  return () => ({ block: 'select' });
}

/**
 * One row a sequence, [T, E] -> [B, parts · E]. A 'weighted' part is a sum with a weight for each token, which
 * the batch brings: see {@link poolWeights}, which makes those of cls, mean and others.
 */
export function pool(options: PoolOptions = {}): BlockBuilder {
  checkObject('pool options', options, ['parts']);
  const { parts = ['weighted'] } = options;
  return () => ({ block: 'pool', parts });
}

/**
 * Puts blocks together: places are counted, weights named, everything checked. The result is plain data, deeply frozen.
 *
 * @param options `width`: E; `memoryWidth`: of the memory that attentions read
 * @param blocks builders, or blocks written by hand; `embed` first
 * @throws MultiheadError INVALID_ARGUMENT, with the path of the value, as `plan.blocks[2].heads`
 * @example
 * const layer = () => [attention({ heads: 4, norm: 'before' }), feedForward({ norm: 'before' })];
 * const encoder = plan({ width: 64 }, [
 *   embed({ vocabulary: 1000, positions: 128 }), ...layer(), ...layer(), norm(),
 * ]);
 */
export function plan(options: PlanOptions, blocks: readonly (Block | BlockBuilder)[]): Plan {
  checkObject('plan options', options, ['width', 'memoryWidth']);
  const { memoryWidth } = options;
  const width = checkInteger('plan.width', options.width, 1, MOST_COLUMNS);
  let stream: Stream = { rows: 'tokens', columns: width };
  const built = Array.from(checkArray('plan.blocks', blocks), (entry, index) => {
    const where = `plan.blocks[${index}]`;
    const built = buildBlock(where, entry, { index, columns: stream.columns });
    // Checked before the next block is built on it, so that the error names the wrong one.
    const block = checkBlock(where, built, index);
    stream = streamAfter(where, block, stream);
    return block;
  });
  return checkPlan({ width, ...(memoryWidth !== undefined && { memoryWidth }), blocks: built });
}

function buildBlock(where: string, entry: unknown, place: Place): unknown {
  const block = typeof entry === 'function' ? (entry as BlockBuilder)(place) : entry;
  if (typeof block === 'object' && block !== null) return block;
  throw invalid(where, describe(entry), 'a block or one of the builders');
}
