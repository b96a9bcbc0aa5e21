/** Text to text: an encoder that reads and a decoder that writes (Vaswani et al. 2017; T5, BART, Marian). */

import './disposal';
import { checkInt32Array } from './check';
import type { Device, DType } from './compute';
import type { SourceEncoder } from './generation/encoder';
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

export interface Seq2SeqLogitsInput extends LogitsInput {
  /** [Ts] what the encoder reads. */
  readonly sourceTokens: Int32Array;
  /** [B + 1]; as many sequences as `offsets` has. */
  readonly sourceOffsets: Int32Array;
}

/**
 * A sequence-to-sequence language model; prompts are what its encoder reads.
 *
 * Options, results and guarantees are those of {@link CausalLM}. The decoder starts with decoder_start_token_id;
 * `maxNewTokens` defaults to what the folder's max_new_tokens or max_length says.
 *
 * @example
 * await using model = await Seq2SeqLM.load('./t5-small');
 * const { text } = await model.generate('translate English to German: The house is small.', { beams: 4 });
 */
export class Seq2SeqLM {
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
   * @throws MultiheadError what {@link CausalLM.load} throws; UNSUPPORTED: no encoder-decoder
   */
  static async load(
    idOrFolder: string,
    options: LanguageModelLoadOptions = {},
  ): Promise<Seq2SeqLM> {
    const architecture = 'encoder-decoder';
    return new Seq2SeqLM(await loadLanguageModel('Seq2SeqLM', architecture, idOrFolder, options));
  }

  /**
   * The answer to a prompt, or to each of several.
   *
   * @throws MultiheadError what {@link CausalLM.generate} throws; INVALID_ARGUMENT also for a prompt that is longer
   * than the encoder reads
   * @example
   * const [one, two] = await model.generate(['Ein Haus.', 'Ein Hund.'], { beams: 4, maxNewTokens: 60 });
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
   * {@link generate} from the encoder's token ids to the decoder's.
   *
   * @returns tokens without the one that the decoder starts with
   */
  async generateTokens(
    ids: TokenIds | readonly TokenIds[],
    options: GenerateTokensOptions = {},
  ): Promise<TokenGeneration> {
    return await this.#loaded.model.generateTokens(ids, options);
  }

  /** The answer in pieces, as it is written; see {@link CausalLM.stream}. */
  stream(prompt: string, options: GenerateOptions = {}): AsyncGenerator<string, Generation> {
    return this.#loaded.model.stream(prompt, options);
  }

  /**
   * Logits of given decoder tokens after given sources, computed at once and without a cache.
   *
   * @throws MultiheadError INVALID_ARGUMENT · DISPOSED · ABORTED · OUT_OF_MEMORY
   */
  async forward(input: Seq2SeqLogitsInput): Promise<Logits> {
    const { batch, signal } = checkLogitsInput(input, ['sourceTokens', 'sourceOffsets']);
    const source = {
      tokens: checkInt32Array('input.sourceTokens', input.sourceTokens),
      offsets: checkInt32Array('input.sourceOffsets', input.sourceOffsets),
    };
    const { decoder, encoder, model } = this.#loaded;
    const memory = await (encoder as SourceEncoder).runPacked(source, model.running, signal);
    const withMemory = { ...batch, memory, memoryOffsets: source.offsets };
    return await forwardLogits(decoder, withMemory, model.running, signal);
  }

  /** Native memory of the caches of the calls that run now, in bytes. */
  get cacheBytes(): number {
    return this.#loaded.decoder.cacheBytes;
  }

  /** Frees the weights and caches as {@link CausalLM.dispose} does. */
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
