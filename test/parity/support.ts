/**
 * What the parity tests share: the goldens that make-goldens.py wrote, and the one comparator.
 *
 * Reads safetensors itself, on purpose: an oracle must not share code with what it judges.
 */

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

export const GOLDEN = join(__dirname, 'golden');

/** 2^-23, the distance from 1 to the next f32: the eps of the tolerance policy. */
export const EPS_F32 = 2 ** -23;

export type Numbers = Float32Array | Float64Array;

/** The element at `i`; throws outside the array, where a plain index would give undefined. */
export function at(array: ArrayLike<number>, i: number): number {
  const value = array[i];
  if (value === undefined) throw new RangeError(`index ${i} of ${array.length}`);
  return value;
}

// ---------------------------------------------------------------- goldens

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

// ---------------------------------------------------------------- the comparator

export interface Comparison {
  readonly where: string;
  readonly maxAbs: number;
  readonly tolerance: number;
  /** maxAbs / tolerance: above 1 is a failure. */
  readonly ratio: number;
  /** The lowest cosine of a row with its reference row. */
  readonly cosine: number;
}

/**
 * The project's one tolerance: twice what a naive f32 computation strays from the f64 reference, and
 * four units in the last place of its largest value.
 */
export function policyTolerance(reference: ArrayLike<number>, naiveMaxAbs: number): number {
  return 2 * naiveMaxAbs + 4 * EPS_F32 * maxAbsOf(reference);
}

export function maxAbsOf(values: ArrayLike<number>): number {
  let result = 0;
  for (let i = 0; i < values.length; i++) result = Math.max(result, Math.abs(at(values, i)));
  return result;
}

/**
 * Compares `ours` with `reference`, row by row of `columns`, and throws where they disagree: in length,
 * in a value that is not finite (on either side), or by more than `tolerance`. A reference of zeros only
 * is refused too: agreement with it would prove nothing.
 */
export function compare(
  where: string,
  ours: Numbers,
  reference: Numbers,
  columns: number,
  tolerance: number,
): Comparison {
  if (ours.length !== reference.length || reference.length % columns !== 0) {
    throw new Error(
      `${where}: ${ours.length} values, expected ${reference.length}, rows of ${columns}`,
    );
  }
  if (!(tolerance >= 0 && Number.isFinite(tolerance)))
    throw new Error(`${where}: tolerance ${tolerance}`);
  if (maxAbsOf(reference) === 0) throw new Error(`${where}: the reference is all zero or empty`);
  let maxAbs = 0;
  let worst = 0;
  for (let i = 0; i < reference.length; i++) {
    const difference = Math.abs(at(ours, i) - at(reference, i));
    if (!Number.isFinite(difference)) {
      throw new Error(
        `${where}: row ${Math.floor(i / columns)}, column ${i % columns}: got ${ours[i]}, expected ${reference[i]}`,
      );
    }
    if (difference > maxAbs) {
      maxAbs = difference;
      worst = i;
    }
  }
  const ratio = tolerance === 0 ? (maxAbs === 0 ? 0 : Infinity) : maxAbs / tolerance;
  const cosine = lowestCosine(ours, reference, columns);
  if (ratio > 1) {
    throw new Error(
      `${where}: row ${Math.floor(worst / columns)}, column ${worst % columns}: got ${ours[worst]}, expected ${reference[worst]}; ` +
        `max abs ${maxAbs.toExponential(3)} is ${ratio.toPrecision(4)} times the tolerance ${tolerance.toExponential(3)}, lowest cosine ${cosine}`,
    );
  }
  return { where, maxAbs, tolerance, ratio, cosine };
}

function lowestCosine(a: Numbers, b: Numbers, columns: number): number {
  let lowest = 1;
  for (let start = 0; start < a.length; start += columns) {
    let ab = 0;
    let aa = 0;
    let bb = 0;
    for (let i = start; i < start + columns; i++) {
      ab += at(a, i) * at(b, i);
      aa += at(a, i) ** 2;
      bb += at(b, i) ** 2;
    }
    if (bb > 0) lowest = Math.min(lowest, aa > 0 ? ab / Math.sqrt(aa * bb) : 0);
  }
  return lowest;
}

/** Throws unless both arrays hold the same bits. */
export function expectSameBits(where: string, ours: Float32Array, expected: Float32Array): void {
  const a = new Uint32Array(ours.buffer, ours.byteOffset, ours.length);
  const b = new Uint32Array(expected.buffer, expected.byteOffset, expected.length);
  if (a.length !== b.length) throw new Error(`${where}: ${a.length} values, expected ${b.length}`);
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i])
      throw new Error(`${where}: value ${i}: got ${ours[i]}, expected the bits of ${expected[i]}`);
  }
}

/** Collects comparisons and prints the worst of each group: the ratio is always shown. */
export class Report {
  readonly #comparisons: Comparison[] = [];

  constructor(readonly title: string) {}

  add(comparison: Comparison): void {
    this.#comparisons.push(comparison);
  }

  print(): void {
    const worst = [...this.#comparisons].sort((a, b) => b.ratio - a.ratio)[0];
    if (!worst) return;
    const cosine = Math.min(...this.#comparisons.map((comparison) => comparison.cosine));
    const maxAbs = Math.max(...this.#comparisons.map((comparison) => comparison.maxAbs));
    process.stdout.write(
      `${this.title}: ${this.#comparisons.length} comparisons, max ratio ${worst.ratio.toFixed(3)} at ${worst.where} ` +
        `(${worst.maxAbs.toExponential(2)} of ${worst.tolerance.toExponential(2)}), max abs ${maxAbs.toExponential(2)}, lowest cosine 1 - ${(1 - cosine).toExponential(1)}\n`,
    );
  }
}

// ---------------------------------------------------------------- seeded choice

/** A seeded generator: mulberry32 (public domain, T. Ettinger), and what the tests draw from it. */
export class Random {
  #state: number;

  constructor(readonly seed: number) {
    this.#state = seed >>> 0;
  }

  /** Uniform in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer in [low, high]. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** Standard normal (Box & Muller 1958). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.integer(0, choices.length - 1)] as T;
  }

  /** 0 .. count - 1 in a random order (Fisher & Yates). */
  permutation(count: number): number[] {
    const order = Array.from({ length: count }, (_, i) => i);
    for (let i = count - 1; i > 0; i--) {
      const j = this.integer(0, i);
      [order[i], order[j]] = [order[j] as number, order[i] as number];
    }
    return order;
  }

  /** The items in a random order, cut into runs of random length up to `longest`. */
  partition<T>(items: readonly T[], longest: number): T[][] {
    const shuffled = this.permutation(items.length).map((i) => items[i] as T);
    const parts: T[][] = [];
    for (let start = 0; start < shuffled.length; ) {
      const length = this.integer(1, longest);
      parts.push(shuffled.slice(start, start + length));
      start += length;
    }
    return parts;
  }
}
