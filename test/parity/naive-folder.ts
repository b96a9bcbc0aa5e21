/** A folder's weights as the naive reference takes them. Reads safetensors itself, as goldens.ts does and why. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Matrix } from './naive-math';

const DECODERS: Readonly<Record<string, (bytes: DataView, i: number) => number>> = {
  F32: (bytes, i) => bytes.getFloat32(4 * i, true),
  F16: (bytes, i) => half(bytes.getUint16(2 * i, true)),
  BF16: (bytes, i) => {
    const single = new DataView(new ArrayBuffer(4));
    single.setUint32(0, bytes.getUint16(2 * i, true) * 2 ** 16);
    return single.getFloat32(0);
  },
};

/** IEEE 754 binary16. */
function half(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  const size = exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15);
  return bits >> 15 === 1 ? -size : size;
}

/** Matrices and, as one column, vectors; other tensors are left out. */
export function naiveWeights(folder: string): Map<string, Matrix> {
  const weights = new Map<string, Matrix>();
  const files = readdirSync(folder).filter((name) => /^model.*\.safetensors$/.test(name));
  for (const file of files) {
    const bytes = readFileSync(join(folder, file));
    const headerLength = Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength));
    delete header.__metadata__;
    for (const [name, entry] of Object.entries<Entry>(header)) {
      const { dtype, shape, data_offsets: range } = entry;
      const decode = DECODERS[dtype];
      const [rows = 1, columns = 1] = shape;
      if (!decode || shape.length > 2) continue;
      const start = bytes.byteOffset + 8 + headerLength + range[0];
      const view = new DataView(bytes.buffer, start, range[1] - range[0]);
      const data = Float64Array.from({ length: rows * columns }, (_, i) => decode(view, i));
      weights.set(name, { rows, columns, data });
    }
  }
  return weights;
}

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}
