/** The text that one sequence writes, up to a stop string. */

import { StopScanner } from './stops';
import { type Detokenizer, TextStream } from './text-stream';

export type Verdict = 'continue' | 'stop';

export class WrittenText {
  readonly #stream: TextStream;
  readonly #scanner: StopScanner;
  #text = '';
  /** Once the text has ended. */
  #verdict: Verdict | undefined;

  private constructor(stream: TextStream, stops: readonly string[]) {
    this.#stream = stream;
    this.#scanner = new StopScanner(stops);
  }

  /** @param prompt the tokens that come before the text */
  static async after(
    tokenizer: Detokenizer,
    prompt: readonly number[],
    stops: readonly string[],
  ): Promise<WrittenText> {
    return new WrittenText(await TextStream.after(tokenizer, prompt), stops);
  }

  /** What no later token can change or take back. */
  get text(): string {
    return this.#text;
  }

  async push(token: number): Promise<Verdict> {
    return this.#scan(await this.#stream.push(token));
  }

  /** After the last token: the rest, in which a stop string may still be found. May be repeated. */
  async end(): Promise<Verdict> {
    if (this.#verdict === undefined) {
      const verdict = this.#scan(await this.#stream.end());
      if (verdict === 'continue') this.#text += this.#scanner.end();
      this.#verdict = verdict;
    }
    return this.#verdict;
  }

  #scan(piece: string): Verdict {
    const { text, verdict } = this.#scanner.push(piece);
    this.#text += text;
    if (verdict === 'stop') this.#verdict = verdict;
    return verdict;
  }
}
