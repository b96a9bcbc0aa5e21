/** Tensors that the caller holds in memory. */

import { types } from 'node:util';
import { checkFloat32Array, checkObject, describe, invalid, isObject } from '../check';
import { MultiheadError } from '../errors';
import type { TensorRow, WeightTable } from './table';

const MOST_DIMENSIONS = 8;

/** A tensor in memory, row-major. */
export interface Tensor {
  readonly shape: readonly number[];
  /** As many values as the shape says. Copied when a load starts. */
  readonly data: Float32Array;
}

/** Tensors by name. */
export type Weights = Readonly<Record<string, Tensor>> | ReadonlyMap<string, Tensor>;

/**
 * @throws MultiheadError INVALID_ARGUMENT: no tensors, or a malformed one; SHAPE_MISMATCH: another number of values
 * than the shape says
 */
export function tableOf(weights: unknown): WeightTable {
  const sources: { data: Uint8Array }[] = [];
  const tensors: TensorRow[] = [];
  for (const [name, tensor] of entriesOf(weights)) {
    const { shape, data } = checkTensor(`weights[${describe(name)}]`, tensor);
    const source = sources.length;
    sources.push({ data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) });
    tensors.push({ name, dtype: 'f32', shape, source, offset: 0, byteLength: data.byteLength });
  }
  return { sources, tensors };
}

function entriesOf(weights: unknown): Iterable<[string, unknown]> {
  // A Map of any realm: `instanceof` would know only this one.
  if (types.isMap(weights)) {
    const entries = [...weights];
    for (const [name] of entries) {
      if (typeof name !== 'string')
        throw invalid('weights', `the key ${describe(name)}`, 'strings');
    }
    return entries as [string, unknown][];
  }
  if (isObject(weights) && !ArrayBuffer.isView(weights)) return Object.entries(weights);
  throw invalid('weights', describe(weights), 'an object or a Map of tensors by name');
}

function checkTensor(where: string, value: unknown): Tensor {
  const tensor = checkObject(where, value, ['shape', 'data']);
  const data = checkFloat32Array(`${where}.data`, tensor['data']);
  const shape = checkShape(`${where}.shape`, tensor['shape']);
  const elements = shape.reduce((product: number, size: number) => product * size, 1);
  if (elements !== data.length) {
    throw new MultiheadError('SHAPE_MISMATCH', {
      where: `${where}.data`,
      got: `${data.length} values`,
      expected: `${elements} for shape [${shape.join(', ')}]`,
    });
  }
  return { shape, data };
}

function checkShape(where: string, value: unknown): number[] {
  // Array.from reads the holes of a sparse array, which every would skip.
  const shape = Array.isArray(value) && value.length <= MOST_DIMENSIONS ? Array.from(value) : [-1];
  if (shape.every((size) => Number.isSafeInteger(size) && size >= 0)) return shape;
  throw invalid(
    where,
    describe(value),
    `an array of at most ${MOST_DIMENSIONS} sizes of at least 0`,
  );
}
