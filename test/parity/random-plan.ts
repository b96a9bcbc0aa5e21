/**
 * Plans composed at random from a seed: every block, norm placement, activation, mask and kind of weight
 * view that lib/plan.ts can say, at sizes small enough for the naive reference.
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
  WeightRef,
} from '../../lib/plan';
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
const LONGEST = 40;

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

  constructor(readonly random: Random) {}

  compose(): RandomPlan {
    const { random } = this;
    const headDim = random.pick([1, 3, 4, 7, 8, 16, 24, 33]);
    const width = random.pick([5, 8, 16, 31, 32, 48]);
    const embed = this.embed(width);
    const layers = this.layers(width, headDim);
    const blocks: Block[] = [embed, ...layers];
    if (this.chance(0.5)) blocks.push({ block: 'norm', norm: this.someNorm(width) });
    let columns = width;
    if (this.chance(0.3)) columns = this.project(blocks, columns);
    const parts = this.pool(blocks);
    columns *= Math.max(parts, 1);
    if (this.chance(0.5)) this.project(blocks, columns);
    if (parts > 0 && this.chance(0.5)) {
      blocks.push({ block: 'norm', norm: { kind: 'l2', epsilon: 1e-12 } });
    }
    return { plan: { width, blocks }, weights: this.weights, batch: this.batch(embed, blocks) };
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

  /** A [rows, columns] matrix: plain, stored transposed, or rows of a taller (transposed) one. */
  view(rows: number, columns: number, spread: number): WeightRef {
    const before = this.chance(0.3) ? this.random.integer(1, 5) : 0;
    const after = this.chance(0.3) ? this.random.integer(1, 5) : 0;
    const all = rows + before + after;
    const transpose = this.chance(0.4);
    const tensor = transpose
      ? this.store([columns, all], spread)
      : this.store([all, columns], spread);
    return {
      tensor,
      ...(before + after > 0 && { rows: [before, before + rows] as const }),
      ...(transpose && { transpose }),
    };
  }

  vector(length: number, spread: number, centre = 0): WeightRef {
    return { tensor: this.store([length], spread, centre) };
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
      ...(kind === 'sinusoidal' && { positions: { kind: 'sinusoidal', count: LONGEST } }),
      ...(kind === 'learned' && {
        positions: { kind: 'learned', table: this.table(count, width), count, offset },
      }),
      ...(this.chance(0.5) && { scale: Math.sqrt(width) }),
      ...(this.chance(0.6) && { norm: this.someNorm(width) }),
    };
  }

  table(rows: number, columns: number): WeightRef {
    return { tensor: this.store([rows, columns], 1) };
  }

  /** Some layers; now and then the last one is the first again, with the same weights. */
  layers(width: number, headDim: number): Block[] {
    const layers = Array.from({ length: this.random.integer(0, 3) }, () => [
      ...(this.chance(0.85) ? [this.attention(width, headDim)] : []),
      this.feedForward(width),
    ]);
    const [first] = layers;
    if (first && this.chance(0.3)) layers.push(first);
    return layers.flat();
  }

  attention(width: number, headDim: number): AttentionBlock {
    const { random } = this;
    const keyHeads = random.integer(1, 3);
    const heads = keyHeads * random.integer(1, 3);
    return {
      block: 'attention',
      heads,
      ...((keyHeads !== heads || this.chance(0.5)) && { keyHeads }),
      headDim,
      query: this.linear(heads * headDim, width),
      key: this.linear(keyHeads * headDim, width),
      value: this.linear(keyHeads * headDim, width),
      output: this.linear(width, heads * headDim),
      ...(this.chance(0.3) && { scale: random.pick([1, 0.1]) }),
      ...(this.chance(0.6) && { mask: random.pick(['full', 'causal'] as const) }),
      ...(this.chance(0.4) && { window: random.pick([0, 1, 3, 17, LONGEST]) }),
      ...this.norms(width),
    };
  }

  feedForward(width: number): FeedForwardBlock {
    const inner = this.random.pick([1, 7, 16, 40, 65]);
    return {
      block: 'feedForward',
      inner,
      activation: this.random.pick(ACTIVATIONS),
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
    const activation = this.random.pick(ACTIVATIONS);
    blocks.push({ block: 'project', width, activation, linear: this.linear(width, columns) });
    return width;
  }

  /** Returns the number of parts; 0 where the plan has no pool. */
  pool(blocks: Block[]): number {
    const count = this.random.integer(0, 3);
    if (count === 0) return 0;
    const parts = Array.from({ length: count }, () =>
      this.random.pick(['weighted', 'max'] as const),
    );
    blocks.push({ block: 'pool', parts });
    return count;
  }

  batch(embed: EmbedBlock, blocks: readonly Block[]): NaiveBatch {
    const { random } = this;
    const lengths: number[] = Array.from({ length: random.integer(1, 5) }, () =>
      random.pick<number>([0, 1, 2, 5, 16, 17, 33, LONGEST]),
    );
    if (Math.max(...lengths) === 0) lengths.push(3);
    const offsets = Int32Array.from([0, ...lengths]);
    for (let i = 1; i < offsets.length; i++) offsets[i] = (offsets[i - 1] ?? 0) + (offsets[i] ?? 0);
    const total = lengths.reduce((sum, length) => sum + length, 0);
    const draw = (count: number) =>
      Int32Array.from({ length: total }, () => random.integer(0, count - 1));
    const pool = blocks.find((block) => block.block === 'pool');
    const weighted = pool ? pool.parts.filter((part) => part === 'weighted').length : 0;
    const weights = Float32Array.from({ length: weighted * total }, () => random.next());
    return {
      tokens: draw(embed.vocabulary),
      offsets,
      ...(embed.types && this.chance(0.8) && { types: draw(embed.types.count) }),
      ...(weighted > 0 && { poolWeights: weights }),
    };
  }
}
