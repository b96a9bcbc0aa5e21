/**
 * Plans composed at random from a seed: every block, norm placement, activation, mask, position scheme, source of
 * keys and kind of weight view that lib/plan.ts can say, at sizes small enough for the naive reference.
 */

import type {
  Activation,
  AttentionBlock,
  Block,
  EmbedBlock,
  FeedForwardBlock,
  LinearSpec,
  NormSpec,
  Plan,
  RelativeBias,
  Rotary,
  WeightRef,
} from '../../lib/plan';
import { at } from './comparator';
import type { NaiveBatch } from './naive';
import { type Matrix, matrix } from './naive-math';
import type { Random } from './random';

const ACTIVATIONS: readonly Activation[] = [
  'identity',
  'relu',
  'gelu',
  'gelu_tanh',
  'silu',
  'tanh',
];
/** Longer than a block of 64 keys, so that an attention meets a second one. */
const LONGEST = 70;

/** f32 values; a bias or gain is a column here, and a vector in its stored shape. */
export interface StoredMatrix extends Matrix {
  readonly shape: readonly number[];
}

export interface RandomPlan {
  readonly plan: Plan;
  readonly weights: ReadonlyMap<string, StoredMatrix>;
  readonly batch: NaiveBatch;
}

export function randomPlan(random: Random): RandomPlan {
  return new Composer(random).compose();
}

class Composer {
  readonly weights = new Map<string, StoredMatrix>();
  /** 0 until a block reads a memory. */
  memoryWidth = 0;

  constructor(readonly random: Random) {}

  compose(): RandomPlan {
    const { random } = this;
    const headDim = random.pick([1, 3, 4, 7, 8, 16, 24, 33]);
    const width = random.pick([5, 8, 16, 31, 32, 48]);
    const embed = this.embed(width);
    const blocks: Block[] = [embed, ...this.layers(width, headDim)];
    if (this.chance(0.5)) blocks.push({ block: 'norm', norm: this.someNorm(width) });
    let columns = width;
    if (this.chance(0.3)) columns = this.project(blocks, columns);
    const end = random.pick(['pool', 'select', 'none'] as const);
    if (end === 'pool') columns *= this.pool(blocks);
    if (end === 'select') {
      blocks.push({ block: 'select' });
      if (this.chance(0.3)) blocks.push(this.feedForward(columns));
    }
    if (this.chance(0.7)) this.project(blocks, columns);
    if (end !== 'none' && this.chance(0.5)) {
      blocks.push({ block: 'norm', norm: { kind: 'l2', epsilon: 1e-12 } });
    }
    const memoryWidth = this.memoryWidth > 0 && { memoryWidth: this.memoryWidth };
    return {
      plan: { width, ...memoryWidth, blocks },
      weights: this.weights,
      batch: this.batch(embed, blocks),
    };
  }

  chance(probability: number): boolean {
    return this.random.next() < probability;
  }

  store(shape: readonly number[], spread: number, centre = 0): string {
    const name = `w${this.weights.size}`;
    const value = () => Math.fround(centre + spread * this.random.normal());
    const [rows = 1, columns = 1] = shape;
    this.weights.set(name, { ...matrix(rows, columns, value), shape });
    return name;
  }

  /** A [rows, columns] matrix: plain, stored transposed, or some rows of a taller (transposed) one. */
  view(rows: number, columns: number, spread: number): WeightRef {
    const { all, part } = this.part(rows);
    const transpose = this.chance(0.4);
    const tensor = transpose
      ? this.store([columns, all], spread)
      : this.store([all, columns], spread);
    return { tensor, ...part, ...(transpose && { transpose }) };
  }

  /** How `rows` rows lie among `all` that are stored: as a range, as groups, or they are all. */
  part(rows: number): { all: number; part: Pick<WeightRef, 'rows' | 'groups'> } {
    const { random } = this;
    if (this.chance(0.2)) {
      const length = random.pick([1, 2, 3, 4, 7, 8].filter((size) => rows % size === 0));
      const begin = random.integer(0, 5);
      const step = length + random.integer(0, 4);
      const count = rows / length;
      const least = begin + (count - 1) * step + length;
      const all = random.integer(least, begin + count * step);
      return { all, part: { groups: [begin, length, step] } };
    }
    const before = this.chance(0.3) ? random.integer(1, 5) : 0;
    const after = this.chance(0.3) ? random.integer(1, 5) : 0;
    const all = rows + before + after;
    return { all, part: all > rows ? { rows: [before, before + rows] } : {} };
  }

  vector(length: number, spread: number, centre = 0): WeightRef {
    const { all, part } = this.part(length);
    return { tensor: this.store([all], spread, centre), ...part };
  }

  linear(out: number, columns: number): LinearSpec {
    const weight = this.view(out, columns, 1.5 / Math.sqrt(columns));
    return this.chance(0.7) ? { weight, bias: this.vector(out, 0.5) } : { weight };
  }

  someNorm(columns: number): NormSpec {
    const epsilon = this.random.pick([1e-12, 1e-5, 1e-2]);
    const gain = this.chance(0.8) ? { gain: this.vector(columns, 0.3, 1) } : {};
    if (this.chance(0.35)) return { kind: 'rms', epsilon, ...gain };
    const bias = this.chance(0.7) ? { bias: this.vector(columns, 0.3) } : {};
    return { kind: 'layer', epsilon, ...gain, ...bias };
  }

  embed(width: number): EmbedBlock {
    const { random } = this;
    const vocabulary = random.integer(2, 50);
    const types = random.integer(0, 3);
    const offset = random.integer(0, 3);
    const count = LONGEST + offset;
    const kind = random.pick(['learned', 'sinusoidal', 'none']);
    return {
      block: 'embed',
      vocabulary,
      tokens: this.table(vocabulary, width),
      ...(types > 0 && { types: { table: this.table(types, width), count: types } }),
      ...(kind === 'sinusoidal' && {
        positions: { kind: 'sinusoidal', count: LONGEST, ...this.layout() },
      }),
      ...(kind === 'learned' && {
        positions: { kind: 'learned', table: this.table(count, width), count, offset },
      }),
      ...(this.chance(0.5) && { scale: Math.sqrt(width) }),
      ...(this.chance(0.6) && { norm: this.someNorm(width) }),
    };
  }

  layout(): { layout?: 'interleaved' | 'split' } {
    return this.chance(0.6) ? { layout: this.random.pick(['interleaved', 'split']) } : {};
  }

  table(rows: number, columns: number): WeightRef {
    return { tensor: this.store([rows, columns], 1) };
  }

  /** Some layers; now and then the last one is the first again, with the same weights. */
  layers(width: number, headDim: number): Block[] {
    const layers = Array.from({ length: this.random.integer(0, 3) }, () => [
      ...(this.chance(0.85) ? [this.attention(width, headDim)] : []),
      ...(this.chance(0.3) ? [this.crossAttention(width, headDim)] : []),
      this.feedForward(width),
    ]);
    const [first] = layers;
    if (first && this.chance(0.3)) layers.push(first);
    return layers.flat();
  }

  attention(width: number, headDim: number): AttentionBlock {
    const { random } = this;
    const block = this.heads(width, width, headDim);
    return {
      ...block,
      ...(headDim > 1 && this.chance(0.5) && { rotary: this.rotary(headDim) }),
      ...(this.chance(0.3) && { slopes: this.numbers(block.heads, 0.2) }),
      ...(this.chance(0.3) && { relativeBias: this.relativeBias(block.heads) }),
      ...(this.chance(0.6) && { mask: random.pick(['full', 'causal'] as const) }),
      ...(this.chance(0.4) && { window: random.pick([0, 1, 3, 17, LONGEST]) }),
    };
  }

  crossAttention(width: number, headDim: number): AttentionBlock {
    this.memoryWidth ||= this.random.pick([3, 8, 21, 32]);
    return { ...this.heads(width, this.memoryWidth, headDim), keysFrom: 'memory' };
  }

  /** What attentions with any source of keys have. */
  heads(width: number, keyColumns: number, headDim: number): AttentionBlock {
    const { random } = this;
    const keyHeads = random.integer(1, 3);
    const heads = keyHeads * random.integer(1, 3);
    return {
      block: 'attention',
      heads,
      ...((keyHeads !== heads || this.chance(0.5)) && { keyHeads }),
      headDim,
      query: this.linear(heads * headDim, width),
      key: this.linear(keyHeads * headDim, keyColumns),
      value: this.linear(keyHeads * headDim, keyColumns),
      output: this.linear(width, heads * headDim),
      ...(this.chance(0.3) && { queryNorm: this.headNorm(headDim) }),
      ...(this.chance(0.3) && { keyNorm: this.headNorm(headDim) }),
      ...(this.chance(0.3) && { scale: random.pick([1, 0.1]) }),
      ...this.norms(width),
    };
  }

  headNorm(headDim: number): NormSpec {
    return this.chance(0.3) ? { kind: 'l2', epsilon: 1e-6 } : this.someNorm(headDim);
  }

  rotary(headDim: number): Rotary {
    const most = Math.floor(headDim / 2);
    const count = this.chance(0.5) ? most : this.random.integer(1, most);
    return {
      frequencies: Array.from({ length: count }, () => Math.fround(this.random.next())),
      ...(this.chance(0.7) && { pairs: this.random.pick(['halves', 'neighbours'] as const) }),
      ...(this.chance(0.3) && { magnitude: 1.25 }),
    };
  }

  relativeBias(heads: number): RelativeBias {
    const { random } = this;
    const bucketCount = random.integer(1, 12);
    const limit = random.pick([0, 1, 5, 20, LONGEST + 9]);
    return {
      table: this.table(bucketCount, heads),
      bucketCount,
      buckets: Array.from({ length: 2 * limit + 1 }, () => random.integer(0, bucketCount - 1)),
    };
  }

  /** f32 values, as the native core holds them. */
  numbers(count: number, spread: number): number[] {
    return Array.from({ length: count }, () => Math.fround(spread * this.random.normal()));
  }

  feedForward(width: number): FeedForwardBlock {
    const inner = this.random.pick([1, 7, 16, 40, 65]);
    return {
      block: 'feedForward',
      inner,
      activation: this.random.pick(ACTIVATIONS),
      ...(this.chance(0.4) && { gate: this.linear(inner, width) }),
      up: this.linear(inner, width),
      down: this.linear(width, inner),
      ...this.norms(width),
    };
  }

  /** Before, after, both or neither. */
  norms(width: number): { normBefore?: NormSpec; normAfter?: NormSpec } {
    return {
      ...(this.chance(0.5) && { normBefore: this.someNorm(width) }),
      ...(this.chance(0.5) && { normAfter: this.someNorm(width) }),
    };
  }

  project(blocks: Block[], columns: number): number {
    const width = this.random.pick([3, 6, 17, 32]);
    blocks.push({
      block: 'project',
      width,
      ...(this.chance(0.4) && { scale: this.random.pick([0.25, -2]) }),
      activation: this.random.pick(ACTIVATIONS),
      linear: this.linear(width, columns),
    });
    return width;
  }

  /** Returns the number of parts. */
  pool(blocks: Block[]): number {
    const count = this.random.integer(1, 3);
    const parts = Array.from({ length: count }, () =>
      this.random.pick(['weighted', 'max'] as const),
    );
    blocks.push({ block: 'pool', parts });
    return count;
  }

  batch(embed: EmbedBlock, blocks: readonly Block[]): NaiveBatch {
    const { random } = this;
    const lengths = this.lengths(random.integer(1, 5), [0, 1, 2, 5, 16, 17, 33, LONGEST]);
    if (Math.max(...lengths) === 0) lengths.push(3);
    const offsets = offsetsOf(lengths);
    const total = at(offsets, lengths.length);
    const draw = (count: number) =>
      Int32Array.from({ length: total }, () => random.integer(0, count - 1));
    const pool = blocks.find((block) => block.block === 'pool');
    const weighted = pool ? pool.parts.filter((part) => part === 'weighted').length : 0;
    const weights = Float32Array.from({ length: weighted * total }, () => random.next());
    const hasSelect = blocks.some(({ block }) => block === 'select');
    return {
      tokens: draw(embed.vocabulary),
      offsets,
      ...(embed.types && this.chance(0.8) && { types: draw(embed.types.count) }),
      ...(weighted > 0 && { poolWeights: weights }),
      ...(hasSelect && this.chance(0.8) && { selected: this.selected(total) }),
      ...(this.memoryWidth > 0 && this.memory(lengths.length)),
    };
  }

  lengths(count: number, choices: readonly number[]): number[] {
    return Array.from({ length: count }, () => this.random.pick(choices));
  }

  /** Some rows, ascending, and at least one. */
  selected(total: number): Int32Array {
    const rows = this.random.permutation(total).slice(0, this.random.integer(1, total));
    return Int32Array.from(rows).sort();
  }

  memory(sequences: number): Pick<NaiveBatch, 'memory' | 'memoryOffsets'> {
    const memoryOffsets = offsetsOf(this.lengths(sequences, [0, 1, 3, 16, 64, 65]));
    const length = this.memoryWidth * at(memoryOffsets, sequences);
    return { memory: Float32Array.from(this.numbers(length, 1)), memoryOffsets };
  }
}

function offsetsOf(lengths: readonly number[]): Int32Array {
  const offsets = new Int32Array(lengths.length + 1);
  lengths.forEach((length, b) => {
    offsets[b + 1] = at(offsets, b) + length;
  });
  return offsets;
}
