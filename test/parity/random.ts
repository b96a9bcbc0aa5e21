/** Seeded choice: the same seed gives the same test on every machine. */

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
