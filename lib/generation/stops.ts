/** Strings that end a text: found across pieces, and never let through in part. */

export interface Scanned {
  /** Text that no stop string can begin in any more. */
  readonly text: string;
  readonly verdict: 'continue' | 'stop';
}

export class StopScanner {
  readonly #stops: readonly string[];
  #held = '';

  /** @param stops none of them empty */
  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  push(piece: string): Scanned {
    const text = this.#held + piece;
    const places = this.#stops.map((stop) => text.indexOf(stop)).filter((place) => place >= 0);
    if (places.length > 0) {
      this.#held = '';
      return { text: text.slice(0, Math.min(...places)), verdict: 'stop' };
    }
    const safe = text.length - this.#beginnings(text);
    this.#held = text.slice(safe);
    return { text: text.slice(0, safe), verdict: 'continue' };
  }

  /** What was held back when no more text follows. */
  end(): string {
    const text = this.#held;
    this.#held = '';
    return text;
  }

  /** Length of the longest end of the text that a stop string begins with. */
  #beginnings(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length -= 1) {
        if (text.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
