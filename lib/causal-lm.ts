/** Text that goes on: decoders that predict the next token (GPT-2, Llama and their kin). */

import {
  checkLogitsInput,
  forwardLogits,
  type Logits,
  type LogitsInput,
} from './generation/forward';
import { type LanguageModelLoadOptions, loadLanguageModel } from './generation/load';
import { TextGenerator } from './generation/text-generator';

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
export class CausalLM extends TextGenerator {
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
    const { decoder, model } = this.loaded;
    return await forwardLogits(decoder, batch, model.running, signal);
  }
}
