/** Text that goes on: decoders that predict the next token (GPT-2, Llama and their kin). */

import './disposal';
import type { Device, DType } from './compute';
import {
  checkLogitsInput,
  forwardLogits,
  type Logits,
  type LogitsInput,
} from './generation/forward';
import {
  type LanguageModelInfo,
  type LanguageModelLoadOptions,
  type LoadedLanguageModel,
  loadLanguageModel,
} from './generation/load';
import type { GenerateOptions, GenerateTokensOptions } from './generation/options';
import type { Generation, TokenGeneration, TokenIds } from './generation/results';

/**
 * A causal language model.
 *
 * Calls may overlap. A sequence is continued with the same tokens alone and in any batch; greedy is the default, and
 * drawing depends on the sequence's seed alone. Texts end at a token of `info.eos`, at a stop string, or after
 * `maxNewTokens`.
 *
 * Of generation_config.json the token ids (ends of text, forced, suppressed and bad ones), minimum lengths and n-grams
 * that must not repeat are heeded, as transformers does; its sampling settings are not defaults here, and what else
 * would change the result is listed in `info.ignoredSettings`.
 *
 * @example
 * await using model = await CausalLM.load('./gpt2');
 * const { text } = await model.generate('The quick brown fox', { maxNewTokens: 20 });
 * for await (const piece of model.stream('Once upon a time')) process.stdout.write(piece);
 */
export class CausalLM {
  readonly device: Device;
  readonly dtype: DType;
  readonly info: LanguageModelInfo;
  readonly #loaded: LoadedLanguageModel;

  private constructor(loaded: LoadedLanguageModel) {
    this.device = loaded.compute.device;
    this.dtype = loaded.compute.dtype;
    this.info = loaded.info;
    this.#loaded = loaded;
  }

  /**
   * Loads a folder with config.json and safetensors, or a model id. Without a tokenizer.json only
   * {@link generateTokens} and {@link forward} work.
   *
   * @throws MultiheadError INVALID_ARGUMENT · FILE_ERROR · UNKNOWN_MODEL · UNSUPPORTED: no decoder · WEIGHT_MISSING: no
   * language head · WEIGHT_INVALID · SHAPE_MISMATCH · DEVICE_UNAVAILABLE · OUT_OF_MEMORY · ABORTED
   */
  static async load(idOrFolder: string, options: LanguageModelLoadOptions = {}): Promise<CausalLM> {
    return new CausalLM(await loadLanguageModel('CausalLM', 'decoder', idOrFolder, options));
  }

  /**
   * Continues a prompt, or each of several; those of one call are decoded together.
   *
   * The prompt is tokenized as Python does by default: an empty one is INVALID_ARGUMENT unless the tokenizer begins
   * every text with a token of its own. Where the model's length ends before `maxNewTokens`, the text ends there.
   *
   * @throws MultiheadError INVALID_ARGUMENT: an option, a prompt that fills the model's length, a cache larger than
   * `maxCacheBytes` · UNSUPPORTED: no tokenizer · DISPOSED · ABORTED · OUT_OF_MEMORY
   * @example
   * const [first, second] = await model.generate(['One', 'Two'], { temperature: 0.8, topP: 0.95, seed: 7 });
   */
  async generate(prompt: string, options?: GenerateOptions): Promise<Generation>;
  async generate(prompts: readonly string[], options?: GenerateOptions): Promise<Generation[]>;
  async generate(
    prompts: string | readonly string[],
    options: GenerateOptions = {},
  ): Promise<Generation | Generation[]> {
    return await this.#loaded.model.generate(prompts, options);
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
    return await this.#loaded.model.generateTokens(ids, options);
  }

  /**
   * The text in pieces, as it is written. A piece never ends inside a character, and no part of a stop string comes
   * through; together they are the text that {@link generate} gives, which is also what the iterator returns at its
   * end. A reader that waits makes the model wait; one that leaves the loop frees the cache.
   *
   * @throws MultiheadError at the first piece, what {@link generate} throws; beams are INVALID_ARGUMENT
   */
  stream(prompt: string, options: GenerateOptions = {}): AsyncGenerator<string, Generation> {
    return this.#loaded.model.stream(prompt, options);
  }

  /**
   * Logits of given tokens, computed at once and without a cache.
   *
   * @throws MultiheadError INVALID_ARGUMENT · DISPOSED · ABORTED · OUT_OF_MEMORY
   * @example
   * const { logits, vocabulary } = await model.forward({
   *   tokens: Int32Array.of(464, 2068),
   *   offsets: Int32Array.of(0, 2),
   * });
   */
  async forward(input: LogitsInput): Promise<Logits> {
    const { batch, signal } = checkLogitsInput(input);
    const { decoder, model } = this.#loaded;
    return await forwardLogits(decoder, batch, model.running, signal);
  }

  /** Native memory of the caches of the calls that run now, in bytes. */
  get cacheBytes(): number {
    return this.#loaded.decoder.cacheBytes;
  }

  /**
   * Frees the weights and caches once what runs has ended; generations that have not ended reject with DISPOSED, as
   * later calls do. May be repeated.
   *
   * @returns resolves when nothing runs any more
   */
  async dispose(): Promise<void> {
    this[Symbol.dispose]();
    await this.#loaded.model.running.ended();
  }

  [Symbol.dispose](): void {
    this.#loaded.model.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}
