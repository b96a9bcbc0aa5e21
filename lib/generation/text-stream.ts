/**
 * The text of a growing token sequence, piece by piece: no piece ends inside a character, and together they are the
 * text of the whole.
 *
 * A token may hold part of a character, and how a token looks may depend on the one before it. So a window of two
 * pieces is decoded, the last one and the next, and what the window gains is the next piece once it ends with a whole
 * character. Where text is cleaned of spaces, a piece waits for the word that follows.
 */

import { cleanSpaces, settledLength } from '../text-cleanup';
import { addedText, sharedLength } from '../text-offsets';

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
    const piece = addedText(this.#emittedText, await this.#decode(this.#window));
    if (piece === '' || piece.endsWith(REPLACEMENT)) return '';
    // A prompt may end inside a character: then its tokens stay, so that the window begins with a whole one.
    const startsWhole = !this.#emittedText.endsWith(REPLACEMENT);
    this.#window = startsWhole ? this.#window.slice(this.#emitted) : this.#window;
    this.#emitted = this.#window.length;
    this.#emittedText = await this.#decode(this.#window);
    return this.#cleaning?.push(piece) ?? piece;
  }

  /** What is left when no token follows; half a character is U+FFFD. */
  async end(): Promise<string> {
    const piece = addedText(this.#emittedText, await this.#decode(this.#window));
    return this.#cleaning ? this.#cleaning.push(piece) + this.#cleaning.end() : piece;
  }

  async #decode(tokens: readonly number[]): Promise<string> {
    return await this.#tokenizer.decodePlain(tokens, 'skip');
  }
}

/** Cleans pieces as their whole text would be; what the next piece may change is held back. */
class SpaceCleaning {
  #held: string;
  /** Cleaned text of the prompt that has not come yet. */
  #prompt: string;

  constructor(prompt: string) {
    this.#held = prompt;
    this.#prompt = cleanSpaces(prompt);
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
    const shared = sharedLength(this.#prompt, cleaned);
    // Where the text has become another than the prompt's, nothing of the prompt is left.
    this.#prompt = shared === cleaned.length ? this.#prompt.slice(shared) : '';
    return cleaned.slice(shared);
  }
}
