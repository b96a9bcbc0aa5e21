/** The special tokens that tokenizer_config.json names. */

import { describe, isObject } from './check';
import { MultiheadError } from './errors';
import type { Config } from './json';

export type SpecialTokenName = 'bos_token' | 'eos_token' | 'mask_token' | 'pad_token' | 'unk_token';

export class SpecialTokens {
  readonly #config: Config;
  readonly #idOf: (token: string) => number | undefined;

  /** @param idOf the id of a token string */
  constructor(config: Config, idOf: (token: string) => number | undefined) {
    this.#config = config;
    this.#idOf = idOf;
  }

  /** The id of a special token; undefined where the tokenizer has none of this name. */
  id(name: SpecialTokenName): number | undefined {
    const value = this.#config.get(name);
    // A string, or an object that also says how the token is matched.
    const token = isObject(value) ? value['content'] : value;
    return typeof token === 'string' ? this.#idOf(token) : undefined;
  }

  /** @throws MultiheadError UNSUPPORTED where the tokenizer has none of this name. */
  required(name: SpecialTokenName): number {
    const id = this.id(name);
    if (id !== undefined) return id;
    throw new MultiheadError('UNSUPPORTED', {
      where: this.#config.where(name),
      got: describe(this.#config.get(name)),
      expected: 'a token of the vocabulary',
    });
  }
}
