/** Entities in texts, as transformers' token-classification pipeline finds them. */

import {
  checkArray,
  checkBoolean,
  checkLiteral,
  checkObject,
  checkSignal,
  checkString,
} from './check';
import { HeadModel, madeOf } from './head-model';
import { HeadTask, type HeadTaskLoadOptions } from './head-task';
import { readLabels, softmax } from './labels';
import { readInput, refuseCuts } from './text-inputs';
import {
  type Aggregation,
  type Entity,
  entitiesOf,
  isInsideWord,
  type LabelledToken,
} from './token-aggregation';
import type { AnnotatedTokens } from './tokenizer';
import type { TransformerInfo } from './transformer';

export interface ClassifyTokensOptions {
  /** How tokens become entities; see {@link Aggregation}. Default: 'none'. */
  readonly aggregation?: Aggregation;
  /** Labels (with an aggregation: kinds) that are no entities. Default: ['O']. */
  readonly ignoreLabels?: readonly string[];
  /** false: a text that is too long is INVALID_ARGUMENT. Default: true, it is cut. */
  readonly truncate?: boolean;
  /** Gives the call up: it rejects with ABORTED. */
  readonly signal?: AbortSignal;
}

export interface TokenClassifierInfo extends TransformerInfo {
  /** In the order of the logits. */
  readonly labels: readonly string[];
  /** The most tokens of a text, special ones included. */
  readonly maxLength: number;
}

const KEYS = ['aggregation', 'ignoreLabels', 'truncate', 'signal'];
const AGGREGATIONS: readonly Aggregation[] = ['none', 'simple', 'first', 'average', 'max'];

/**
 * A model that labels each token of a text: names, parts of speech.
 *
 * Calls may overlap: their texts share batches, and each text's scores have the same bits alone or in any batch.
 *
 * @example
 * await using model = await TokenClassifier.load('./bert-base-NER');
 * for (const { label, start, end } of await model.classify(text, { aggregation: 'simple' })) {
 *   console.log(label, text.slice(start, end));
 * }
 */
export class TokenClassifier extends HeadTask {
  readonly info: TokenClassifierInfo;

  private constructor(model: HeadModel) {
    super(model);
    this.info = Object.freeze({
      ...model.info,
      labels: Object.freeze(readLabels(model.config, model.columns)),
      maxLength: model.maxLength,
    });
  }

  /**
   * Loads a folder with config.json, safetensors and tokenizer.json, or a model id.
   *
   * @throws MultiheadError INVALID_ARGUMENT · FILE_ERROR · UNKNOWN_MODEL · UNSUPPORTED · WEIGHT_MISSING: no head for
   * tokens · WEIGHT_INVALID · SHAPE_MISMATCH · DEVICE_UNAVAILABLE · OUT_OF_MEMORY · ABORTED
   */
  static async load(
    idOrFolder: string,
    options: HeadTaskLoadOptions = {},
  ): Promise<TokenClassifier> {
    const load = HeadModel.load('TokenClassifier', 'classify', 'token', idOrFolder, options);
    return madeOf(await load, (model) => new TokenClassifier(model));
  }

  /**
   * The entities of a text, or of each of several, in their order.
   *
   * @throws MultiheadError INVALID_ARGUMENT · DISPOSED · ABORTED · OUT_OF_MEMORY
   * @example
   * const entities = await model.classify('Angela Merkel was born in Hamburg.', { aggregation: 'first' });
   */
  async classify(text: string, options?: ClassifyTokensOptions): Promise<Entity[]>;
  async classify(texts: readonly string[], options?: ClassifyTokensOptions): Promise<Entity[][]>;
  async classify(
    texts: string | readonly string[],
    options: ClassifyTokensOptions = {},
  ): Promise<Entity[] | Entity[][]> {
    const where = (i: number) => `texts[${i}]`;
    const list = typeof texts === 'string' ? [texts] : checkArray('texts', texts);
    const inputs = Array.from(list, (text, i) => {
      return { text: readInput(where(i), typeof text === 'string' ? text : [text]).text };
    });
    const { aggregation, ignored, truncate, signal } = readOptions(options);
    const tokens = await this.model.annotate(inputs, where);
    if (!truncate) refuseCuts(tokens, where);
    const logits = await this.model.logits(tokens, signal);
    const found = tokens.map((each, i) => {
      const { text } = inputs[i] as { text: string };
      const labelled = this.#labelled(text, each, logits[i] as Float32Array);
      return entitiesOf(labelled, this.info.labels, aggregation, this.model.tokenizer).filter(
        ({ label }) => !ignored.includes(label),
      );
    });
    return typeof texts === 'string' ? (found[0] as Entity[]) : found;
  }

  #labelled(text: string, tokens: AnnotatedTokens, logits: Float32Array): LabelledToken[] {
    const { tokenizer, columns } = this.model;
    const unknown = tokenizer.specials.id('unk_token');
    return [...tokens.ids].flatMap((id, index) => {
      if (tokens.sequence[index] === null) return [];
      const [start, end] = tokens.spans[index] as [number, number];
      const isUnknown = id === unknown;
      const token = tokenizer.tokenOf(id);
      return [
        {
          index,
          // An unknown token is shown as what it stands for, and is a word.
          token: isUnknown ? text.slice(start, end) : token,
          span: [start, end] as const,
          scores: softmax(logits.subarray(index * columns, (index + 1) * columns)),
          isInsideWord:
            !isUnknown && isInsideWord(text, token, [start, end], tokenizer.marksSubwords),
        },
      ];
    });
  }
}

function readOptions(options: unknown) {
  const entry = checkObject('options', options, KEYS);
  const ignored = checkArray('options.ignoreLabels', entry['ignoreLabels'] ?? ['O']);
  return {
    aggregation: checkLiteral('options.aggregation', entry['aggregation'] ?? 'none', AGGREGATIONS),
    ignored: Array.from(ignored, (label, i) => checkString(`options.ignoreLabels[${i}]`, label)),
    truncate: checkBoolean('options.truncate', entry['truncate'] ?? true),
    signal: checkSignal('options.signal', entry['signal']),
  };
}
