/** Text to text: an encoder that reads and a decoder that writes (Vaswani et al. 2017; T5, BART, Marian). */

import { checkInt32Array } from './check';
import type { SourceEncoder } from './generation/encoder';
import {
  checkLogitsInput,
  forwardLogits,
  type Logits,
  type LogitsInput,
} from './generation/forward';
import { type LanguageModelLoadOptions, loadLanguageModel } from './generation/load';
import { TextGenerator } from './generation/text-generator';

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
export class Seq2SeqLM extends TextGenerator {
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
    const { decoder, encoder, model } = this.loaded;
    const memory = await (encoder as SourceEncoder).runPacked(source, model.running, signal);
    const withMemory = { ...batch, memory, memoryOffsets: source.offsets };
    return await forwardLogits(decoder, withMemory, model.running, signal);
  }
}
