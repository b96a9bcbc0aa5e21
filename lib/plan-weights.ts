/** The tensors that a plan needs, and random ones of that kind. */

import { zeros } from './allocate';
import { checkInteger, checkObject } from './check';
import { MultiheadError } from './errors';
import type { Block, LinearSpec, NormSpec, Plan, WeightRef } from './plan';
import { checkPlan, type Stream, streamAfter } from './plan-check';
import type { Tensor } from './weights/memory';

/** What a tensor is to its plan. */
export type WeightRole = 'table' | 'matrix' | 'bias' | 'gain';

export interface PlanWeight {
  readonly name: string;
  /** As stored. Where the plan reads row ranges, the fewest rows that hold them all. */
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
  const needs = new Needs();
  const { width, blocks } = checkPlan(plan);
  let stream: Stream = { rows: 'tokens', columns: width };
  for (const [i, block] of blocks.entries()) {
    needs.addBlock(block, stream.columns);
    stream = streamAfter(`plan.blocks[${i}]`, block, stream);
  }
  return needs.list();
}

interface Need {
  readonly shape: number[];
  /** By dimension: it only has to be as long as the shape says. */
  readonly isLowerBound: boolean[];
  readonly role: WeightRole;
}

class Needs {
  readonly #needs = new Map<string, Need>();

  list(): PlanWeight[] {
    return [...this.#needs].map(([name, { shape, role }]) => ({ name, shape, role }));
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
      case 'attention': {
        const rows = block.heads * block.headDim;
        const keyRows = (block.keyHeads ?? block.heads) * block.headDim;
        this.#norm(block.normBefore, columns);
        this.#linear(block.query, rows, columns);
        this.#linear(block.key, keyRows, columns);
        this.#linear(block.value, keyRows, columns);
        this.#linear(block.output, columns, rows);
        this.#norm(block.normAfter, columns);
        return;
      }
      case 'feedForward':
        this.#norm(block.normBefore, columns);
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
        return;
    }
  }

  #linear({ weight, bias }: LinearSpec, rows: number, columns: number): void {
    this.#add(weight, [rows, columns], 'matrix');
    if (bias) this.#add(bias, [rows], 'bias');
  }

  #norm(spec: NormSpec | undefined, columns: number): void {
    if (spec?.gain) this.#add(spec.gain, [columns], 'gain');
    if (spec?.bias) this.#add(spec.bias, [columns], 'bias');
  }

  #add(ref: WeightRef, expected: readonly number[], role: WeightRole): void {
    const [rows = 0, columns] = expected;
    if (ref.rows && ref.rows[1] - ref.rows[0] !== rows) {
      throw mismatch(ref.tensor, `rows [${ref.rows.join(', ')})`, `${rows} rows`);
    }
    const shape = [ref.rows?.[1] ?? rows, ...(columns === undefined ? [] : [columns])];
    const isLowerBound = shape.map((_, i) => i === 0 && ref.rows !== undefined);
    if (ref.transpose) {
      // A range of a transposed matrix's rows is one of the stored matrix's columns.
      shape.reverse();
      isLowerBound.reverse();
    }
    this.#merge(ref.tensor, { shape, isLowerBound, role });
  }

  #merge(tensor: string, need: Need): void {
    const known = this.#needs.get(tensor);
    if (!known) {
      this.#needs.set(tensor, need);
      return;
    }
    const fits = ({ shape, isLowerBound }: Need, most: readonly number[]) =>
      shape.every((size, i) => size === most[i] || isLowerBound[i]);
    const most = known.shape.map((size, i) => Math.max(size, need.shape[i] ?? 0));
    const isSameRank = known.shape.length === need.shape.length;
    if (!isSameRank || !fits(known, most) || !fits(need, most)) {
      throw mismatch(tensor, `needed as [${need.shape.join(', ')}]`, `[${known.shape.join(', ')}]`);
    }
    for (const [i, size] of most.entries()) {
      known.shape[i] = size;
      known.isLowerBound[i] &&= need.isLowerBound[i] === true;
    }
  }
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
