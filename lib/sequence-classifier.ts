/** Texts to labels, as transformers' text-classification pipeline gives them. */

import { checkBoolean, checkInteger, checkObject, checkSignal } from './check';
import { HeadModel, madeOf } from './head-model';
import { HeadTask, type HeadTaskLoadOptions } from './head-task';
import { readLabels, sigmoid, softmax, topOf } from './labels';
import { readInput, refuseCuts } from './text-inputs';
import type { TextInput } from './tokenizer';
import type { TransformerInfo } from './transformer';

export interface ClassifyOptions {
  /** How many labels of each text, the likeliest first; more than there are: all. Default: 1. */
  readonly topK?: number;
  /** false: a text that is too long is INVALID_ARGUMENT. Default: true, it is cut. */
  readonly truncate?: boolean;
  /** Gives the call up: it rejects with ABORTED. */
  readonly signal?: AbortSignal;
}

export interface ClassLabel {
  readonly label: string;
  /** By `info.activation`: of a softmax all labels' scores add up to 1, of a sigmoid each stands alone. */
  readonly score: number;
}

export interface ClassifierInfo extends TransformerInfo {
  /** In the order of the logits. */
  readonly labels: readonly string[];
  /** What turns logits into scores. */
  readonly activation: 'softmax' | 'sigmoid' | 'identity';
  /** The most tokens of a text or pair, special ones included. */
  readonly maxLength: number;
}

const CLASSIFY_KEYS = ['topK', 'truncate', 'signal'];
const LARGEST = 2 ** 31 - 1;

/**
 * A model that labels texts or pairs of texts.
 *
 * Calls may overlap: their texts share batches, and each text's scores have the same bits alone or in any batch.
 *
 * @example
 * await using model = await SequenceClassifier.load('./distilbert-sst2');
 * const [{ label, score }] = await model.classify('What a lovely day.');
 */
export class SequenceClassifier extends HeadTask {
  readonly info: ClassifierInfo;

  private constructor(model: HeadModel) {
    super(model);
    this.info = Object.freeze({
      ...model.info,
      labels: Object.freeze(readLabels(model.config, model.columns)),
      activation: activationOf(model),
      maxLength: model.maxLength,
    });
  }

  /**
   * Loads a folder with config.json, safetensors and tokenizer.json, or a model id.
   *
   * @throws MultiheadError INVALID_ARGUMENT · FILE_ERROR · UNKNOWN_MODEL · UNSUPPORTED · WEIGHT_MISSING: no classification
   * head · WEIGHT_INVALID · SHAPE_MISMATCH · DEVICE_UNAVAILABLE · OUT_OF_MEMORY · ABORTED
   */
  static async load(
    idOrFolder: string,
    options: HeadTaskLoadOptions = {},
  ): Promise<SequenceClassifier> {
    const load = HeadModel.load('SequenceClassifier', 'classify', 'sequence', idOrFolder, options);
    return madeOf(await load, (model) => new SequenceClassifier(model));
  }

  /**
   * The labels of a text or a pair, or of each of several.
   *
   * @throws MultiheadError INVALID_ARGUMENT: no text, a wrong option, a text too long with `truncate: false` ·
   * DISPOSED · ABORTED · OUT_OF_MEMORY
   * @example
   * const all = await model.classify({ text: 'A dog barks.', pair: 'An animal is heard.' }, { topK: 3 });
   */
  async classify(input: string | TextInput, options?: ClassifyOptions): Promise<ClassLabel[]>;
  async classify(
    inputs: readonly (string | TextInput)[],
    options?: ClassifyOptions,
  ): Promise<ClassLabel[][]>;
  async classify(
    inputs: string | TextInput | readonly (string | TextInput)[],
    options: ClassifyOptions = {},
  ): Promise<ClassLabel[] | ClassLabel[][]> {
    const where = (i: number) => `texts[${i}]`;
    const list = Array.isArray(inputs) ? inputs : [inputs];
    const texts = Array.from(list, (input, i) => readInput(where(i), input));
    const entry = checkObject('options', options, CLASSIFY_KEYS);
    const topK = checkInteger('options.topK', entry['topK'] ?? 1, 1, LARGEST);
    const truncate = checkBoolean('options.truncate', entry['truncate'] ?? true);
    const signal = checkSignal('options.signal', entry['signal']);
    const tokens = await this.model.annotate(texts, where);
    if (!truncate) refuseCuts(tokens, where);
    const logits = await this.model.logits(tokens, signal);
    const labels = logits.map((row) => this.#labels(row, topK));
    return Array.isArray(inputs) ? labels : (labels[0] as ClassLabel[]);
  }

  #labels(logits: Float32Array, topK: number): ClassLabel[] {
    const scores = scoresOf(logits, this.info.activation);
    return topOf(scores, topK).map((i) => ({
      label: this.info.labels[i] as string,
      score: scores[i] as number,
    }));
  }
}

function scoresOf(logits: Float32Array, activation: ClassifierInfo['activation']): Float64Array {
  if (activation === 'softmax') return softmax(logits);
  return Float64Array.from(logits, activation === 'sigmoid' ? sigmoid : (logit) => logit);
}

/** The pipeline's choice: by problem_type, else by the number of labels. */
function activationOf({ config, columns }: HeadModel): ClassifierInfo['activation'] {
  const types = [
    'regression',
    'multi_label_classification',
    'single_label_classification',
  ] as const;
  const type = config.has('problem_type') ? config.literal('problem_type', types) : undefined;
  if (type === 'regression') return 'identity';
  return type === 'multi_label_classification' || columns === 1 ? 'sigmoid' : 'softmax';
}
