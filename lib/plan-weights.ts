/** The tensors that a plan needs, and random ones of that kind. */

import { zeros } from './allocate';
import { checkInteger, checkObject } from './check';
import { MultiheadError } from './errors';
import type { AttentionBlock, Block, LinearSpec, NormSpec, Plan, WeightRef } from './plan';
import { checkPlan, type Stream, streamAfter } from './plan-check';
import type { Tensor } from './weights/memory';

/** What a tensor is to its plan. */
export type WeightRole = 'table' | 'matrix' | 'bias' | 'gain';

export interface PlanWeight {
  readonly name: string;
  /** As stored. Where the plan reads ranges or groups of rows, the fewest rows that hold them all. */
  readonly shape: readonly number[];
  readonly role: WeightRole;
}

/**
 * The tensors that a plan reads, in the order of their first use.
 *
 * @throws MultiheadError INVALID_ARGUMENT: a malformed plan; SHAPE_MISMATCH: one tensor is needed in two shapes
 * @example
 * for (const { name, shape } of planWeights(encoder)) console.log(name, shape);
 */
export function planWeights(plan: Plan): readonly PlanWeight[] {
  const { width, memoryWidth = 0, blocks } = checkPlan(plan);
  const needs = new Needs(memoryWidth);
  let stream: Stream = { rows: 'tokens', columns: width };
  for (const [i, block] of blocks.entries()) {
    needs.addBlock(block, stream.columns);
    stream = streamAfter(`plan.blocks[${i}]`, block, stream);
  }
  return needs.list();
}

/** How long a stored dimension may be: a range of rows leaves it open. */
interface Extent {
  readonly least: number;
  readonly most: number;
}

interface Need {
  readonly extents: readonly Extent[];
  readonly role: WeightRole;
}

class Needs {
  readonly #needs = new Map<string, Need>();

  constructor(readonly memoryWidth: number) {}

  list(): PlanWeight[] {
    return [...this.#needs].map(([name, need]) => ({
      name,
      shape: shapeOf(need),
      role: need.role,
    }));
  }

  addBlock(block: Block, columns: number): void {
    switch (block.block) {
      case 'embed':
        this.#add(block.tokens, [block.vocabulary, columns], 'table');
        if (block.types) this.#add(block.types.table, [block.types.count, columns], 'table');
        if (block.positions?.kind === 'learned') {
          this.#add(block.positions.table, [block.positions.count, columns], 'table');
        }
        this.#norm(block.norm, columns);
        return;
      case 'attention':
        this.#attention(block, columns);
        return;
      case 'feedForward':
        this.#norm(block.normBefore, columns);
        if (block.gate) this.#linear(block.gate, block.inner, columns);
        this.#linear(block.up, block.inner, columns);
        this.#linear(block.down, columns, block.inner);
        this.#norm(block.normAfter, columns);
        return;
      case 'norm':
        this.#norm(block.norm, columns);
        return;
      case 'project':
        this.#linear(block.linear, block.width, columns);
        return;
      case 'pool':
      case 'select':
        return;
    }
  }

  #attention(block: AttentionBlock, columns: number): void {
    const rows = block.heads * block.headDim;
    const keyRows = (block.keyHeads ?? block.heads) * block.headDim;
    const keyColumns = block.keysFrom === 'memory' ? this.memoryWidth : columns;
    this.#norm(block.normBefore, columns);
    this.#linear(block.query, rows, columns);
    this.#linear(block.key, keyRows, keyColumns);
    this.#linear(block.value, keyRows, keyColumns);
    this.#norm(block.queryNorm, block.headDim);
    this.#norm(block.keyNorm, block.headDim);
    if (block.relativeBias) {
      const { table, bucketCount } = block.relativeBias;
      this.#add(table, [bucketCount, block.heads], 'table');
    }
    this.#linear(block.output, columns, rows);
    this.#norm(block.normAfter, columns);
  }

  #linear({ weight, bias }: LinearSpec, rows: number, columns: number): void {
    this.#add(weight, [rows, columns], 'matrix');
    if (bias) this.#add(bias, [rows], 'bias');
  }

  #norm(spec: NormSpec | undefined, columns: number): void {
    if (spec?.gain) this.#add(spec.gain, [columns], 'gain');
    if (spec?.bias) this.#add(spec.bias, [columns], 'bias');
  }

  /** A reference to a matrix of [rows, columns], or to a vector of [rows], stored as one row if it is transposed. */
  #add(ref: WeightRef, [rows = 0, columns]: readonly number[], role: WeightRole): void {
    const extents = [storedRows(ref, rows)];
    const across = columns ?? (ref.transpose ? 1 : undefined);
    if (across !== undefined) extents.push({ least: across, most: across });
    if (ref.transpose) extents.reverse();
    const need: Need = { extents, role };
    const known = this.#needs.get(ref.tensor);
    this.#needs.set(ref.tensor, known ? both(ref.tensor, known, need) : need);
  }
}

/** How many rows the (transposed) tensor may have for a reference to see `rows` of them. */
function storedRows({ tensor, rows: range, groups }: WeightRef, rows: number): Extent {
  if (range) {
    const [begin, end] = range;
    if (end - begin === rows) return { least: end, most: Number.POSITIVE_INFINITY };
    throw mismatch(tensor, `rows [${begin}, ${end})`, `${rows} rows`);
  }
  if (groups) {
    const [begin, length, step] = groups;
    const count = rows / length;
    if (Number.isInteger(count)) {
      return { least: begin + (count - 1) * step + length, most: begin + count * step };
    }
    throw mismatch(tensor, `groups of ${length} rows`, `groups that make up ${rows} rows`);
  }
  return { least: rows, most: rows };
}

/** What a tensor that serves two needs must be. */
function both(tensor: string, known: Need, need: Need): Need {
  const extents = known.extents.map(({ least, most }, i) => ({
    least: Math.max(least, need.extents[i]?.least ?? 0),
    most: Math.min(most, need.extents[i]?.most ?? 0),
  }));
  const fits = extents.every(({ least, most }) => least <= most);
  if (fits && need.extents.length === extents.length) return { ...known, extents };
  throw mismatch(
    tensor,
    `needed as [${shapeOf(need).join(', ')}]`,
    `[${shapeOf(known).join(', ')}]`,
  );
}

function shapeOf({ extents }: Need): number[] {
  return extents.map(({ least }) => least);
}

function mismatch(where: string, got: string, expected: string): MultiheadError {
  return new MultiheadError('SHAPE_MISMATCH', { where, got, expected });
}

/**
 * Random weights for a plan: the same for the same plan and seed on every platform.
 *
 * Matrices and tables are uniform with mean 0 and standard deviation 1/√columns, so that a row of unit variance
 * keeps it; gains are 1, biases 0. A tensor's values depend on the seed, its name and its shape only.
 *
 * @param options `seed`: an integer from 0 to 2^32 - 1
 * @throws MultiheadError INVALID_ARGUMENT, SHAPE_MISMATCH, OUT_OF_MEMORY
 * @example
 * const model = await Transformer.create(encoder, randomWeights(encoder, { seed: 1 }));
 */
export function randomWeights(
  plan: Plan,
  options: { readonly seed: number },
): Record<string, Tensor> {
  checkObject('options', options, ['seed']);
  const seed = checkInteger('options.seed', options.seed, 0, 2 ** 32 - 1);
  // No prototype, so that a tensor may be called __proto__.
  const weights: Record<string, Tensor> = Object.create(null);
  for (const { name, shape, role } of planWeights(plan)) {
    const data = zeros(
      name,
      shape.reduce((product, size) => product * size, 1),
    );
    if (role === 'gain') data.fill(1);
    if (role === 'matrix' || role === 'table') fillUniform(data, shape.at(-1) ?? 1, seed, name);
    weights[name] = { shape, data };
  }
  return weights;
}

/** xorshift32 (Marsaglia 2003); only exact arithmetic and a square root, so no platform differs. */
function fillUniform(data: Float32Array, columns: number, seed: number, name: string): void {
  const limit = Math.sqrt(3 / columns);
  let state = startOf(seed, name);
  for (let i = 0; i < data.length; i += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    data[i] = limit * ((state >>> 0) * 2 ** -31 - 1);
  }
}

/** FNV-1a over the seed and the name's code units; never 0, where xorshift would stay. */
function startOf(seed: number, name: string): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let i = 0; i < name.length; i += 1) {
    hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  }
  // Murmur's finaliser: neighbouring seeds and names start far apart.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) | 0 || 1;
}
