/** Scores of pairs of texts, as Python's sentence-transformers CrossEncoder computes them from the same folder. */

import {
  checkArray,
  checkBoolean,
  checkInteger,
  checkObject,
  checkSignal,
  describe,
  invalid,
  isObject,
} from './check';
import { MultiheadError } from './errors';
import { HeadModel } from './head-model';
import { HeadTask, type HeadTaskLoadOptions } from './head-task';
import { Config } from './json';
import { sigmoid, topOf } from './labels';
import { refuseCuts } from './text-inputs';
import type { TextInput } from './tokenizer';
import type { TransformerInfo } from './transformer';

export interface PredictOptions {
  /** What turns logits into scores. Default: `info.activation`. */
  readonly activation?: CrossEncoderActivation;
  /** false: a pair that is too long is INVALID_ARGUMENT. Default: true, its longer text is cut. */
  readonly truncate?: boolean;
  /** Gives the call up: it rejects with ABORTED. */
  readonly signal?: AbortSignal;
}

export interface RankOptions extends PredictOptions {
  /** How many documents. Default: all. */
  readonly topK?: number;
}

export type CrossEncoderActivation = 'sigmoid' | 'identity' | 'tanh';

/** A document's place in the caller's array, and what it scores. */
export interface RankedDocument {
  readonly index: number;
  readonly score: number;
}

export interface CrossEncoderInfo extends TransformerInfo {
  /** Scores of a pair. */
  readonly labels: number;
  /** As the folder says; else of one label 'sigmoid', of several 'identity'. */
  readonly activation: CrossEncoderActivation;
  /** The most tokens of a pair, special ones included. */
  readonly maxLength: number;
}

const PREDICT_KEYS = ['activation', 'truncate', 'signal'];
const LARGEST = 2 ** 31 - 1;

const ACTIVATIONS: Readonly<Record<CrossEncoderActivation, (logit: number) => number>> = {
  sigmoid,
  identity: (logit) => logit,
  tanh: Math.tanh,
};
const TORCH_ACTIVATIONS: Readonly<Record<string, CrossEncoderActivation>> = {
  'torch.nn.modules.linear.Identity': 'identity',
  'torch.nn.modules.activation.Sigmoid': 'sigmoid',
  'torch.nn.modules.activation.Tanh': 'tanh',
};

/**
 * A model that reads two texts together and scores them: for reranking what a search found.
 *
 * Calls may overlap: their pairs share batches, and each pair's score has the same bits alone or in any batch.
 *
 * @example
 * await using model = await CrossEncoder.load('./ms-marco-MiniLM-L6-v2');
 * const [best] = await model.rank('How many people live in Berlin?', documents, { topK: 1 });
 * console.log(documents[best.index], best.score);
 */
export class CrossEncoder extends HeadTask {
  readonly info: CrossEncoderInfo;

  private constructor(model: HeadModel, activation: CrossEncoderActivation | undefined) {
    super(model);
    this.info = Object.freeze({
      ...model.info,
      labels: model.columns,
      activation: activation ?? (model.columns === 1 ? 'sigmoid' : 'identity'),
      maxLength: model.maxLength,
    });
  }

  /**
   * Loads a folder with config.json, safetensors and tokenizer.json, or a model id.
   *
   * @throws MultiheadError INVALID_ARGUMENT · FILE_ERROR · UNKNOWN_MODEL · UNSUPPORTED: another activation than sigmoid,
   * tanh or none · WEIGHT_MISSING: no classification head · WEIGHT_INVALID · SHAPE_MISMATCH · DEVICE_UNAVAILABLE ·
   * OUT_OF_MEMORY · ABORTED
   */
  static async load(idOrFolder: string, options: HeadTaskLoadOptions = {}): Promise<CrossEncoder> {
    const model = await HeadModel.load('CrossEncoder', 'predict', 'sequence', idOrFolder, options);
    try {
      return new CrossEncoder(model, await readActivation(model));
    } catch (error) {
      model.dispose();
      throw error;
    }
  }

  /**
   * Scores of pairs.
   *
   * @returns [pairs, labels], row-major: with one label a score for each pair
   * @throws MultiheadError INVALID_ARGUMENT · DISPOSED · ABORTED · OUT_OF_MEMORY
   * @example
   * const [same, other] = await model.predict([['A cat.', 'A kitten.'], ['A cat.', 'Tax law.']]);
   */
  async predict(
    pairs: readonly (readonly [string, string])[],
    options: PredictOptions = {},
  ): Promise<Float32Array> {
    const inputs = Array.from(checkArray('pairs', pairs), readPair);
    return await this.#scores(inputs, checkObject('options', options, PREDICT_KEYS));
  }

  /**
   * Documents in the order of their scores with a query, the highest first; of equal ones the first.
   *
   * @throws MultiheadError what {@link predict} throws; UNSUPPORTED: the model has several labels
   */
  async rank(
    query: string,
    documents: readonly string[],
    options: RankOptions = {},
  ): Promise<RankedDocument[]> {
    if (this.info.labels !== 1) {
      throw new MultiheadError('UNSUPPORTED', {
        where: 'rank',
        got: `a model with ${this.info.labels} labels`,
        expected: 'one; predict gives the scores of several',
      });
    }
    if (typeof query !== 'string') throw invalid('query', describe(query), 'a string');
    const inputs = Array.from(checkArray('documents', documents), (pair, i) => {
      if (typeof pair !== 'string') throw invalid(`documents[${i}]`, describe(pair), 'a string');
      return { text: query, pair };
    });
    const entry = checkObject('options', options, [...PREDICT_KEYS, 'topK']);
    const topK = checkInteger('options.topK', entry['topK'] ?? LARGEST, 1, LARGEST);
    const scores = await this.#scores(inputs, entry);
    return topOf(scores, topK).map((index) => ({ index, score: scores[index] as number }));
  }

  async #scores(
    inputs: readonly TextInput[],
    options: Readonly<Record<string, unknown>>,
  ): Promise<Float32Array> {
    const { activation = this.info.activation } = options;
    if (!isActivation(activation)) {
      throw invalid('options.activation', describe(activation), "'sigmoid', 'identity' or 'tanh'");
    }
    const truncate = checkBoolean('options.truncate', options['truncate'] ?? true);
    const signal = checkSignal('options.signal', options['signal']);
    const where = (i: number) => `pairs[${i}]`;
    const tokens = await this.model.annotate(inputs, where);
    if (!truncate) refuseCuts(tokens, where);
    const logits = await this.model.logits(tokens, signal);
    const { columns } = this.model;
    const scores = new Float32Array(logits.length * columns);
    logits.forEach((row, i) => {
      scores.set(row.map(ACTIVATIONS[activation]), i * columns);
    });
    return scores;
  }
}

function isActivation(value: unknown): value is CrossEncoderActivation {
  return typeof value === 'string' && Object.hasOwn(ACTIVATIONS, value);
}

function readPair(value: unknown, index: number): TextInput {
  const [text, pair, ...rest] = checkArray(`pairs[${index}]`, value);
  if (typeof text === 'string' && typeof pair === 'string' && rest.length === 0) {
    return { text, pair };
  }
  throw invalid(`pairs[${index}]`, describe(value), 'an array of two strings');
}

/** Releases differ in where they keep the name of torch's class; the newest place comes first. */
async function readActivation(model: HeadModel): Promise<CrossEncoderActivation | undefined> {
  const file = 'config_sentence_transformers.json';
  const settings = await Config.readIfPresent(model.folder, file);
  const nested = model.config.get('sentence_transformers');
  const name =
    settings.get('activation_fn') ??
    (isObject(nested) ? nested['activation_fn'] : undefined) ??
    model.config.get('sbert_ce_default_activation_function');
  if (name === undefined || name === null) return undefined;
  if (typeof name === 'string' && Object.hasOwn(TORCH_ACTIVATIONS, name)) {
    return TORCH_ACTIVATIONS[name];
  }
  throw new MultiheadError('UNSUPPORTED', {
    where: `${model.folder}: activation_fn`,
    got: describe(name),
    expected: Object.keys(TORCH_ACTIVATIONS).join(', '),
  });
}
