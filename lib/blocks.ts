/**
 * Builders of plans: an encoder of any depth, width, heads, norm placement and activation in a few lines.
 *
 * A builder makes a block at its place in a plan, and names its weights after the place ("blocks.3.query.weight")
 * or after its `name`; two blocks of one name share their weights. A block written by hand may stand among them.
 */

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
import type { Activation, Block, LinearSpec, NormSpec, Plan, PoolBlock } from './plan';
import { checkBlock, checkPlan, MOST_COLUMNS, type Stream, streamAfter } from './plan-check';

/** Where a block stands. */
export interface Place {
  /** Index among the plan's blocks. */
  readonly index: number;
  /** Columns of the stream that enters the block; the plan's width for the first one. */
  readonly columns: number;
}

/** Makes a block once its place is known. */
export type BlockBuilder = (place: Place) => Block;

/** Where norms stand in a block with a residual: BERT's is 'after', most later models' 'before'. */
export type NormPlacement = 'before' | 'after' | 'both' | 'none';

export interface NormOptions {
  /** Default: 'layer'. */
  readonly normKind?: 'layer' | 'rms';
  /** Added to the variance (or the mean square). Default: 1e-5. */
  readonly epsilon?: number;
}

export interface EmbedOptions extends NormOptions {
  /** V: token ids lie in [0, V). */
  readonly vocabulary: number;
  /** Segment types; 0: none. Default: 0. */
  readonly types?: number;
  /** A number: a learned table of so many positions. Default: none. */
  readonly positions?: number | { readonly sinusoidal: number };
  /** Factor of the token embedding. Default: 1. */
  readonly scale?: number;
  /** Default: 'none'. */
  readonly norm?: 'after' | 'none';
  readonly name?: string;
}

export interface AttentionOptions extends NormOptions {
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
  /** Default: 'after'. */
  readonly norm?: NormPlacement;
  /** Biases of the four projections. Default: true. */
  readonly bias?: boolean;
  readonly name?: string;
}

export interface FeedForwardOptions extends NormOptions {
  /** F, the inner width. Default: 4 × the stream's columns. */
  readonly inner?: number;
  /** Default: 'gelu' (exact). */
  readonly activation?: Activation;
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
  /** Default: 'identity'. */
  readonly activation?: Activation;
  /** Default: true. */
  readonly bias?: boolean;
  readonly name?: string;
}

export interface PoolOptions {
  /** One after the other, side by side. Default: ['weighted']. */
  readonly parts?: PoolBlock['parts'];
}

export interface PlanOptions {
  /** E, the columns of the embedding and of every residual. */
  readonly width: number;
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

function positionsOf(positions: NonNullable<EmbedOptions['positions']>, names: Names) {
  if (typeof positions === 'number') {
    return { kind: 'learned', table: names.ref('positions'), count: positions } as const;
  }
  checkObject('embed.positions', positions, ['sinusoidal']);
  return { kind: 'sinusoidal', count: positions.sinusoidal } as const;
}

/**
 * stream = normAfter(stream + attention(normBefore(stream))).
 *
 * @example
 * attention({ heads: 12, norm: 'before', mask: 'causal' })
 */
export function attention(options: AttentionOptions): BlockBuilder {
  const known = ['heads', 'keyHeads', 'headDim', 'scale', 'mask', 'window', 'bias', ...NORM_KEYS];
  checkObject('attention options', options, known);
  const { heads, keyHeads, scale, mask, window } = options;
  return (place) => {
    const names = new Names(options.name, place);
    const headDim = options.headDim ?? columnsOfHead(place, heads);
    const linear = (part: string) => names.linear(part, options.bias);
    return {
      block: 'attention',
      heads,
      ...(keyHeads !== undefined && { keyHeads }),
      headDim,
      query: linear('query'),
      key: linear('key'),
      value: linear('value'),
      output: linear('output'),
      ...(scale !== undefined && { scale }),
      ...(mask !== undefined && { mask }),
      ...(window !== undefined && { window }),
      ...names.norms(options),
    };
  };
}

function columnsOfHead({ index, columns }: Place, heads: unknown): number {
  const where = `plan.blocks[${index}].heads`;
  const count = checkInteger(where, heads, 1, MOST_COLUMNS);
  if (columns % count === 0) return columns / count;
  throw invalid(where, String(count), `a divisor of the stream's ${columns} columns, or a headDim`);
}

/**
 * stream = normAfter(stream + down(activation(up(normBefore(stream))))). Ends a layer.
 *
 * @example
 * feedForward({ inner: 3072, activation: 'gelu_tanh' })
 */
export function feedForward(options: FeedForwardOptions = {}): BlockBuilder {
  checkObject('feedForward options', options, ['inner', 'activation', 'bias', ...NORM_KEYS]);
  return (place) => {
    const names = new Names(options.name, place);
    return {
      block: 'feedForward',
      inner: options.inner ?? 4 * place.columns,
      activation: options.activation ?? 'gelu',
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
    if (kind === 'l2') return { block: 'norm', norm: { kind, epsilon: epsilon ?? 1e-12 } };
    return { block: 'norm', norm: names.norm('norm', { normKind: kind, epsilon }) };
  };
}

/** stream = activation(linear(stream)), to `width` columns. */
export function project(options: ProjectOptions): BlockBuilder {
  checkObject('project options', options, ['width', 'activation', 'bias', 'name']);
  const { width, activation = 'identity', bias, name } = options;
  return (place) => {
    const names = new Names(name, place);
    return { block: 'project', width, activation, linear: names.linear('linear', bias) };
  };
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
 * @param options `width`: E
 * @param blocks builders, or blocks written by hand; `embed` first
 * @throws MultiheadError INVALID_ARGUMENT, with the path of the value, as `plan.blocks[2].heads`
 * @example
 * const layer = () => [attention({ heads: 4, norm: 'before' }), feedForward({ norm: 'before' })];
 * const encoder = plan({ width: 64 }, [
 *   embed({ vocabulary: 1000, positions: 128 }), ...layer(), ...layer(), norm(),
 * ]);
 */
export function plan(options: PlanOptions, blocks: readonly (Block | BlockBuilder)[]): Plan {
  checkObject('plan options', options, ['width']);
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
  return checkPlan({ width, blocks: built });
}

function buildBlock(where: string, entry: unknown, place: Place): unknown {
  const block = typeof entry === 'function' ? (entry as BlockBuilder)(place) : entry;
  if (typeof block === 'object' && block !== null) return block;
  throw invalid(where, describe(entry), 'a block or one of the builders');
}

/** Names of weights: `prefix.part`, the prefix being the block's name or its place. */
class Names {
  readonly #prefix: string;

  constructor(name: unknown, { index }: Place) {
    const where = `plan.blocks[${index}].name`;
    this.#prefix = optional(name, (given) => checkString(where, given)) ?? `blocks.${index}`;
  }

  ref(part: string) {
    return { tensor: `${this.#prefix}.${part}` };
  }

  linear(part: string, bias: unknown = true): LinearSpec {
    const weight = this.ref(`${part}.weight`);
    return checkBoolean('bias', bias) ? { weight, bias: this.ref(`${part}.bias`) } : { weight };
  }

  norm(part: string, { normKind = 'layer', epsilon = 1e-5 }: NormOptions): NormSpec {
    const gain = this.ref(`${part}.gain`);
    checkLiteral('normKind', normKind, ['layer', 'rms']);
    if (normKind === 'rms') return { kind: 'rms', epsilon, gain };
    return { kind: 'layer', epsilon, gain, bias: this.ref(`${part}.bias`) };
  }

  norms(options: NormOptions & { readonly norm?: NormPlacement }) {
    const { norm = 'after' } = options;
    checkLiteral('norm', norm, ['before', 'after', 'both', 'none']);
    const before = norm === 'before' || norm === 'both';
    const after = norm === 'after' || norm === 'both';
    return {
      ...(before && { normBefore: this.norm('normBefore', options) }),
      ...(after && { normAfter: this.norm('normAfter', options) }),
    };
  }
}
