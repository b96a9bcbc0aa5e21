/**
 * The goldens that make-goldens.py wrote, and the texts that they are about.
 *
 * Reads safetensors itself, on purpose: an oracle must not share code with what it judges.
 */

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { at, type Numbers } from './comparator';

export const GOLDEN = join(__dirname, 'golden');

export interface GoldenArray {
  readonly shape: readonly number[];
  readonly data: Float32Array | Float64Array | Int32Array;
}

const ARRAY_TYPES = { F32: Float32Array, F64: Float64Array, I32: Int32Array } as const;

/** The f32, f64 and i32 arrays of a safetensors file by name. */
export function readArrays(path: string): Map<string, GoldenArray> {
  const bytes = readFileSync(path);
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + headerLength).toString('utf8'));
  const arrays = new Map<string, GoldenArray>();
  for (const [name, entry] of Object.entries<Record<string, never>>(header)) {
    if (name === '__metadata__') continue;
    const {
      dtype,
      shape,
      data_offsets: offsets,
    } = entry as unknown as {
      dtype: string;
      shape: number[];
      data_offsets: [number, number];
    };
    const ArrayType = ARRAY_TYPES[dtype as keyof typeof ARRAY_TYPES];
    if (!ArrayType) continue;
    const body = bytes.subarray(8 + headerLength + offsets[0], 8 + headerLength + offsets[1]);
    const aligned = new Uint8Array(body).buffer; // a copy: the file's own offset need not be a multiple
    arrays.set(name, { shape, data: new ArrayType(aligned) });
  }
  return arrays;
}

export class Golden {
  readonly #arrays: Map<string, GoldenArray>;

  constructor(readonly folder: string) {
    this.#arrays = readArrays(join(folder, 'golden.safetensors'));
  }

  shape(name: string): readonly number[] {
    return this.#array(name).shape;
  }

  ints(name: string): Int32Array {
    return this.#array(name).data as Int32Array;
  }

  has(name: string): boolean {
    return this.#arrays.has(name);
  }

  /** Names of arrays, in the order of the file. */
  get names(): readonly string[] {
    return [...this.#arrays.keys()];
  }

  floats(name: string): Numbers {
    return this.#array(name).data as Numbers;
  }

  #array(name: string): GoldenArray {
    const array = this.#arrays.get(name);
    if (!array) throw new Error(`${this.folder}: no golden array ${name}`);
    return array;
  }
}

/** The cases of a golden group: its folders, by name. */
export function goldenCases(group: string): string[] {
  const folder = join(GOLDEN, group);
  return readdirSync(folder).filter((name) => statSync(join(folder, name)).isDirectory());
}

export interface NamedText {
  readonly name: string;
  readonly text: string;
}

/** test/parity/texts.json; a text is stored, or is `parts` taken in turn `times` times and joined. */
export function readTexts(): NamedText[] {
  type Entry = { name: string; text?: string; repeat?: { parts: string[]; times: number } };
  const entries: Entry[] = JSON.parse(readFileSync(join(__dirname, 'texts.json'), 'utf8'));
  return entries.map(({ name, text, repeat }) => {
    if (text !== undefined) return { name, text };
    const { parts, times } = repeat as { parts: string[]; times: number };
    return {
      name,
      text: Array.from({ length: times }, (_, i) => parts[i % parts.length]).join(''),
    };
  });
}

/** Sequence `i` of a packed array with `columns` values a row. */
export function sequenceOf<A extends Int32Array | Numbers>(
  packed: A,
  offsets: Int32Array,
  i: number,
  columns = 1,
): A {
  return packed.subarray(at(offsets, i) * columns, at(offsets, i + 1) * columns) as A;
}
