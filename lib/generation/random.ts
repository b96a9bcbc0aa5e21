/**
 * Random numbers that are a function of a seed and a step, so that a sequence draws the same ones alone and in a batch:
 * Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", section 3.3).
 */

const MULTIPLIERS = [0xd2511f53, 0xcd9e8d57] as const;
const WEYL = [0x9e3779b9, 0xbb67ae85] as const;
const ROUNDS = 10;

export type Words4 = readonly [number, number, number, number];

/** The block of 128 bits at `counter` under `key`, as unsigned words of 32 bits, the lowest first. */
export function philox(counter: Words4, key: readonly [number, number]): Words4 {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round += 1) {
    const [high0, low0] = multiply(MULTIPLIERS[0], c0);
    const [high1, low1] = multiply(MULTIPLIERS[1], c2);
    [c0, c1, c2, c3] = [high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0];
    k0 += WEYL[0];
    k1 += WEYL[1];
  }
  return [c0 >>> 0, c1 >>> 0, c2 >>> 0, c3 >>> 0];
}

/** High and low word of a product of two words. */
function multiply(a: number, b: number): [number, number] {
  const product = BigInt(a >>> 0) * BigInt(b >>> 0);
  return [Number(product >> 32n), Number(product & 0xffffffffn)];
}

/**
 * A number in [0, 1) with 53 random bits.
 *
 * @param seed an integer from 0 to 2^53 - 1
 * @param step which draw of the sequence it is, from 0
 */
export function uniform(seed: number, step: number): number {
  const key = [seed >>> 0, Math.floor(seed / 2 ** 32)] as const;
  const [a, b] = philox([step >>> 0, 0, 0, 0], key);
  return ((a >>> 5) * 2 ** 26 + (b >>> 6)) / 2 ** 53;
}
