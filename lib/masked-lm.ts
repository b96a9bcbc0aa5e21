/** What may stand in the gaps of a text, as transformers' fill-mask pipeline says it. */

import { setImmediate } from 'node:timers/promises';
import { checkInteger, checkObject, checkSignal, describe, invalid } from './check';
import { HeadModel, madeOf } from './head-model';
import { HeadTask, type HeadTaskLoadOptions } from './head-task';
import { softmax, topOf } from './labels';
import { refuseCuts } from './text-inputs';
import type { AnnotatedTokens } from './tokenizer';
import type { TransformerInfo } from './transformer';

export interface FillMaskOptions {
  /** How many tokens for each gap. Default: 5. */
  readonly topK?: number;
  /** Gives the call up: it rejects with ABORTED. */
  readonly signal?: AbortSignal;
}

export interface MaskFill {
  /** Its probability. */
  readonly score: number;
  readonly token: number;
  /** The token as text. */
  readonly word: string;
  /** The whole text with it; special tokens are shown where the text has several gaps. */
  readonly text: string;
}

export interface MaskedLMInfo extends TransformerInfo {
  /** V: token ids lie in [0, V). */
  readonly vocabulary: number;
  /** What stands for a gap in a text: '[MASK]', '<mask>'. */
  readonly mask: string;
  /** The most tokens of a text, special ones included. */
  readonly maxLength: number;
}

const KEYS = ['topK', 'signal'];

/**
 * A masked language model (BERT and its kin).
 *
 * Calls may overlap: their texts share batches, and each text's scores have the same bits alone or in any batch.
 *
 * @example
 * await using model = await MaskedLM.load('./bert-base-uncased');
 * const [[best]] = await model.fillMask('Paris is the [MASK] of France.');
 * console.log(best.word, best.score);
 */
export class MaskedLM extends HeadTask {
  readonly info: MaskedLMInfo;
  readonly #mask: number;

  private constructor(model: HeadModel) {
    super(model);
    this.#mask = model.tokenizer.specials.required('mask_token');
    this.info = Object.freeze({
      ...model.info,
      vocabulary: model.columns,
      mask: model.tokenizer.tokenOf(this.#mask),
      maxLength: model.maxLength,
    });
  }

  /**
   * Loads a folder with config.json, safetensors and tokenizer.json, or a model id.
   *
   * @throws MultiheadError INVALID_ARGUMENT · FILE_ERROR · UNKNOWN_MODEL · UNSUPPORTED: no encoder, or a tokenizer without
   * a mask · WEIGHT_MISSING: no language head · WEIGHT_INVALID · SHAPE_MISMATCH · DEVICE_UNAVAILABLE · OUT_OF_MEMORY ·
   * ABORTED
   */
  static async load(idOrFolder: string, options: HeadTaskLoadOptions = {}): Promise<MaskedLM> {
    const load = HeadModel.load('MaskedLM', 'fillMask', 'language', idOrFolder, options);
    return madeOf(await load, (model) => new MaskedLM(model));
  }

  /**
   * The likeliest tokens for each `info.mask` of a text.
   *
   * @returns for each gap in the text's order its tokens, the likeliest first
   * @throws MultiheadError INVALID_ARGUMENT: no gap, a text too long, a wrong option · DISPOSED · ABORTED ·
   * OUT_OF_MEMORY
   * @example
   * const gaps = await model.fillMask('The [MASK] sat on the [MASK].', { topK: 3 });
   */
  async fillMask(text: string, options: FillMaskOptions = {}): Promise<MaskFill[][]> {
    if (typeof text !== 'string') throw invalid('text', describe(text), 'a string');
    const entry = checkObject('options', options, KEYS);
    const { columns } = this.model;
    const topK = checkInteger('options.topK', entry['topK'] ?? 5, 1, columns);
    const signal = checkSignal('options.signal', entry['signal']);
    const where = () => 'text';
    const [tokens] = (await this.model.annotate([{ text }], where)) as [AnnotatedTokens];
    refuseCuts([tokens], where);
    const ids = [...tokens.ids];
    const gaps = ids.flatMap((id, i) => (id === this.#mask ? [i] : []));
    if (gaps.length === 0) throw invalid('text', 'no gap', `one or more ${this.info.mask}`);
    const input = { ...tokens, selected: Int32Array.from(gaps) };
    const [logits] = (await this.model.logits([input], signal)) as [Float32Array];
    const fills: MaskFill[][] = [];
    for (const [i, gap] of gaps.entries()) {
      const row = logits.subarray(i * columns, (i + 1) * columns);
      fills.push(await this.#fills(ids, gap, row, topK, gaps.length === 1 ? 'skip' : 'keep'));
      // A vocabulary is long: others get their turn between two of them.
      await setImmediate();
    }
    return fills;
  }

  async #fills(
    ids: readonly number[],
    gap: number,
    logits: Float32Array,
    topK: number,
    specials: 'skip' | 'keep',
  ): Promise<MaskFill[]> {
    const { tokenizer } = this.model;
    const scores = softmax(logits);
    return await Promise.all(
      topOf(scores, topK).map(async (token) => ({
        score: scores[token] as number,
        token,
        word: await tokenizer.decode([token], 'keep'),
        text: await tokenizer.decode(ids.with(gap, token), specials),
      })),
    );
  }
}
