/** What CausalLM and Seq2SeqLM do alike: texts and tokens from prompts, and the end. */

import '../disposal';
import type { Device, DType } from '../compute';
import type { LanguageModelInfo, LoadedLanguageModel } from './load';
import type { GenerateOptions, GenerateTokensOptions } from './options';
import type { Generation, TokenGeneration, TokenIds } from './results';

export abstract class TextGenerator {
  readonly device: Device;
  readonly dtype: DType;
  readonly info: LanguageModelInfo;
  protected readonly loaded: LoadedLanguageModel;

  protected constructor(loaded: LoadedLanguageModel) {
    this.device = loaded.compute.device;
    this.dtype = loaded.compute.dtype;
    this.info = loaded.info;
    this.loaded = loaded;
  }

  /**
   * Continues a prompt, or each of several; those of one call are decoded together.
   *
   * The prompt is tokenized as Python does by default: an empty one is INVALID_ARGUMENT unless the tokenizer begins
   * every text with a token of its own. Where the model's length ends before `maxNewTokens`, the text ends there.
   *
   * @throws MultiheadError INVALID_ARGUMENT: an option, a prompt that fills the model's length (or is longer than
   * its encoder reads), a cache larger than `maxCacheBytes` · UNSUPPORTED: no tokenizer · DISPOSED · ABORTED · OUT_OF_MEMORY
   * @example
   * const [first, second] = await model.generate(['One', 'Two'], { temperature: 0.8, topP: 0.95, seed: 7 });
   */
  async generate(prompt: string, options?: GenerateOptions): Promise<Generation>;
  async generate(prompts: readonly string[], options?: GenerateOptions): Promise<Generation[]>;
  async generate(
    prompts: string | readonly string[],
    options: GenerateOptions = {},
  ): Promise<Generation | Generation[]> {
    return await this.loaded.model.generate(prompts, options);
  }

  /**
   * {@link generate} from token ids to token ids.
   *
   * @param ids one sequence, or an array of sequences
   * @example
   * const { tokens } = await model.generateTokens([[464, 2068], [1212]], { beams: 4 });
   */
  async generateTokens(
    ids: TokenIds | readonly TokenIds[],
    options: GenerateTokensOptions = {},
  ): Promise<TokenGeneration> {
    return await this.loaded.model.generateTokens(ids, options);
  }

  /**
   * The text in pieces, as it is written. A piece never ends inside a character, and no part of a stop string comes
   * through; together they are the text that {@link generate} gives, which is also what the iterator returns at its
   * end. A reader that waits makes the model wait; one that leaves the loop frees the cache.
   *
   * @throws MultiheadError at the first piece, what {@link generate} throws; beams are INVALID_ARGUMENT
   */
  stream(prompt: string, options: GenerateOptions = {}): AsyncGenerator<string, Generation> {
    return this.loaded.model.stream(prompt, options);
  }

  /** Native memory of the caches of the calls that run now, in bytes. */
  get cacheBytes(): number {
    return this.loaded.decoder.cacheBytes;
  }

  /**
   * Frees the weights and caches once what runs has ended; generations that have not ended reject with DISPOSED, as
   * later calls do. May be repeated.
   *
   * @returns resolves when nothing runs any more
   */
  async dispose(): Promise<void> {
    this[Symbol.dispose]();
    await this.loaded.model.running.ended();
  }

  [Symbol.dispose](): void {
    this.loaded.model.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}
