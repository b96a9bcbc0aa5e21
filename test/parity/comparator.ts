/**
 * The one comparator of numeric results, its tolerance, and a report of how close they came.
 */

export type Numbers = Float32Array | Float64Array;

/** 2^-23, the distance from 1 to the next f32: the eps of the tolerance policy. */
export const EPS_F32 = 2 ** -23;

/** The element at `i`; throws outside the array, where a plain index would give undefined. */
export function at(array: ArrayLike<number>, i: number): number {
  const value = array[i];
  if (value === undefined) throw new RangeError(`index ${i} of ${array.length}`);
  return value;
}

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
