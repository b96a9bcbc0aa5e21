/**
 * The text of a growing token sequence, piece by piece: no piece ends inside a character, and together they are the
 * text of the whole.
 *
 * A token may hold part of a character, and how a token looks may depend on the one before it. So a window of two
 * pieces is decoded, the last one and the next, and what the window gains is the next piece once it ends with a whole
 * character. Where text is cleaned of spaces, a piece waits for the word that follows.
 */

import { cleanSpaces, settledLength } from '../text-cleanup';

/** What of a tokenizer is needed here. */
export interface Detokenizer {
  readonly cleansSpaces: boolean;
  decodePlain(ids: readonly number[], specials: 'skip'): Promise<string>;
}

/** What stands for bytes that are no character, or not yet one. */
const REPLACEMENT = '\ufffd';

export class TextStream {
  readonly #tokenizer: Detokenizer;
  readonly #cleaning: SpaceCleaning | undefined;
  /** The tokens of the last piece, then those that came since. */
  #window: number[];
  #emitted: number;
  #emittedText: string;

  private constructor(tokenizer: Detokenizer, prompt: readonly number[], promptText: string) {
    this.#tokenizer = tokenizer;
    this.#cleaning = tokenizer.cleansSpaces ? new SpaceCleaning(promptText) : undefined;
    this.#window = [...prompt];
    this.#emitted = prompt.length;
    this.#emittedText = promptText;
  }

  /** @param prompt what the tokens follow; not part of the text */
  static async after(tokenizer: Detokenizer, prompt: readonly number[]): Promise<TextStream> {
    return new TextStream(tokenizer, prompt, await tokenizer.decodePlain(prompt, 'skip'));
  }

  /** What the token adds to the text; often nothing until a later one comes. */
  async push(token: number): Promise<string> {
    this.#window.push(token);
    const text = await this.#decode(this.#window);
    if (text.length <= this.#emittedText.length || text.endsWith(REPLACEMENT)) return '';
    const piece = text.slice(this.#emittedText.length);
    this.#window = this.#window.slice(this.#emitted);
    this.#emitted = this.#window.length;
    this.#emittedText = await this.#decode(this.#window);
    return this.#cleaning?.push(piece) ?? piece;
  }

  /** What is left when no token follows; half a character is U+FFFD. */
  async end(): Promise<string> {
    const piece = (await this.#decode(this.#window)).slice(this.#emittedText.length);
    return this.#cleaning ? this.#cleaning.push(piece) + this.#cleaning.end() : piece;
  }

  async #decode(tokens: readonly number[]): Promise<string> {
    return await this.#tokenizer.decodePlain(tokens, 'skip');
  }
}

/** Cleans pieces as their whole text would be; what the next piece may change is held back. */
class SpaceCleaning {
  #held: string;
  /** Characters of cleaned text that belong to the prompt. */
  #skip: number;

  constructor(prompt: string) {
    this.#held = prompt;
    this.#skip = cleanSpaces(prompt).length;
  }

  push(piece: string): string {
    this.#held += piece;
    return this.#take(settledLength(this.#held));
  }

  end(): string {
    return this.#take(this.#held.length);
  }

  #take(length: number): string {
    const cleaned = cleanSpaces(this.#held.slice(0, length));
    this.#held = this.#held.slice(length);
    const skipped = Math.min(this.#skip, cleaned.length);
    this.#skip -= skipped;
    return cleaned.slice(skipped);
  }
}
