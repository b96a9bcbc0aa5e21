/** The search that keeps one row: it takes the token that was chosen, the most likely one or a drawn one. */

import type { FinishReason } from './options';
import type { Choices, Continuation, Found, Search } from './search';
import type { Verdict } from './written-text';

/** Sees each token; 'stop' ends the text. */
export type Observer = (token: number) => Promise<Verdict>;

export interface SingleLimits {
  readonly eos: readonly number[];
  readonly maxNewTokens: number;
}

export class SingleSearch implements Search {
  readonly #limits: SingleLimits;
  readonly #observe: Observer | undefined;
  readonly #tokens: number[] = [];
  #reason: FinishReason | undefined;

  constructor(limits: SingleLimits, observe?: Observer) {
    this.#limits = limits;
    this.#observe = observe;
  }

  get rows(): readonly (readonly number[])[] {
    return [this.#tokens];
  }

  async advance([choice]: readonly Choices[]): Promise<readonly Continuation[]> {
    const token = choice?.tokens[0] as number;
    this.#tokens.push(token);
    const verdict = await this.#observe?.(token);
    this.#reason = this.#reasonAfter(token, verdict);
    return this.#reason === undefined ? [{ parent: 0, token }] : [];
  }

  get found(): Found {
    return { tokens: this.#tokens, finishReason: this.#reason as FinishReason };
  }

  #reasonAfter(token: number, verdict: Verdict | undefined): FinishReason | undefined {
    if (verdict === 'stop') return 'stop';
    if (this.#limits.eos.includes(token)) return 'eos';
    return this.#tokens.length >= this.#limits.maxNewTokens ? 'length' : undefined;
  }
}
