/** Sentences to vectors, as Python's sentence-transformers computes them from the same folder. */

import './disposal';
import { type Job, settle, throwIfAborted } from './abort';
import { Batcher } from './batching';
import {
  checkBoolean,
  checkInteger,
  checkObject,
  checkSignal,
  describe,
  invalid,
  optional,
} from './check';
import {
  COMPUTE_KEYS,
  type ComputeOptions,
  checkCompute,
  type Device,
  type DType,
  loadModel,
} from './compute';
import { Embeddings, type EmbeddingUsage } from './embeddings';
import { resolveModel } from './hub';
import type { NativeModel } from './native';
import { packed } from './packing';
import { fillPoolWeights, type PoolingMode } from './pooling';
import { Running } from './running';
import { readSentenceFolder, type SentenceFolder } from './sentence-folder';
import { checkSource, SOURCE_KEYS, type SourceOptions } from './source';
import { Tokenizer } from './tokenizer';
import { infoOf, type TransformerInfo } from './transformer';

export interface SentenceEncoderLoadOptions extends ComputeOptions, SourceOptions {
  /** Texts that may wait for a batch; a call that would exceed it is OVERLOADED. Default: no limit. */
  readonly maxQueued?: number;
}

export interface EncodeOptions {
  /** Whether vectors get length 1. Default: as the folder's modules.json says. */
  readonly normalize?: boolean;
  /** The most tokens of a text, special ones included. Default: `info.maxLength`, the most that the folder allows. */
  readonly maxLength?: number;
  /** false: a longer text is INVALID_ARGUMENT. Default: true, it is cut, and `usage.truncated` counts it. */
  readonly truncate?: boolean;
  /** Gives the call up: it rejects with ABORTED. */
  readonly signal?: AbortSignal;
}

export interface SentenceEncoderInfo extends TransformerInfo {
  /** Columns of a vector. */
  readonly dimensions: number;
  /** Tokens of a text that are read unless `encode` says otherwise, special ones included. */
  readonly maxLength: number;
  /** Side by side in the vector, before any Dense. */
  readonly pooling: readonly PoolingMode[];
  /** Whether vectors have length 1 unless `encode` says otherwise. */
  readonly normalize: boolean;
}

/** A text, ready for a batch. */
interface Sequence {
  readonly ids: Int32Array;
  readonly length: number;
  readonly normalize: boolean;
}

/** What `load` gathered. */
interface Parts {
  readonly folder: SentenceFolder;
  readonly tokenizer: Tokenizer;
  readonly model: NativeModel;
  readonly skipped: number;
}

/**
 * Tokens of one forward. Enough rows that a weight read from memory is used often, few enough that a batch
 * ends soon and the next caller's turn comes.
 */
const BATCH_TOKENS = 4096;
const BATCHES_IN_FLIGHT = 2;
/** Texts tokenized in one go; the first ones are computed while the next are tokenized. */
const TEXTS_PER_SLICE = 256;
const ENCODE_KEYS = ['normalize', 'maxLength', 'truncate', 'signal'];

/**
 * A sentence-transformers model.
 *
 * Calls may overlap: their texts share batches, and each text's vector has the same bits alone or in any batch.
 *
 * @example
 * await using model = await SentenceEncoder.load('sentence-transformers/all-MiniLM-L6-v2');
 * const { data, dimensions } = await model.encode(['A first sentence.', 'A second one.']);
 */
export class SentenceEncoder {
  readonly device: Device;
  readonly dtype: DType;
  readonly info: SentenceEncoderInfo;
  readonly #parts: Parts;
  readonly #batcher: Batcher<Sequence>;
  /** Forwards that the pool has not ended. */
  readonly #running = new Running();

  private constructor(
    parts: Parts,
    { device, dtype }: { device: Device; dtype: DType },
    info: SentenceEncoderInfo,
    maxQueued: number,
  ) {
    this.device = device;
    this.dtype = dtype;
    this.info = info;
    this.#parts = parts;
    this.#batcher = new Batcher((sequences) => this.#run(sequences), {
      batchTokens: BATCH_TOKENS,
      inFlight: BATCHES_IN_FLIGHT,
      maxQueued,
    });
  }

  /**
   * Loads a sentence-transformers folder, or one with config.json, safetensors and tokenizer.json, which then gets
   * mean pooling as Python gives it. See {@link resolveModel} for where an id is looked for.
   *
   * @param idOrFolder a folder, or a model id as `sentence-transformers/all-MiniLM-L6-v2`
   * @throws MultiheadError INVALID_ARGUMENT: an option, or a malformed file · FILE_ERROR · UNKNOWN_MODEL · UNSUPPORTED:
   * modules, settings or weights that are not implemented · WEIGHT_MISSING · WEIGHT_INVALID · SHAPE_MISMATCH ·
   * DEVICE_UNAVAILABLE · OUT_OF_MEMORY · ABORTED
   */
  static async load(
    idOrFolder: string,
    options: SentenceEncoderLoadOptions = {},
  ): Promise<SentenceEncoder> {
    const checked = checkObject('options', options, [...COMPUTE_KEYS, ...SOURCE_KEYS, 'maxQueued']);
    const compute = checkCompute(checked);
    const source = checkSource(checked, compute.signal);
    const maxQueued = optional(checked['maxQueued'], (count) =>
      checkInteger('options.maxQueued', count, 1, Number.MAX_SAFE_INTEGER),
    );
    const folder = await readSentenceFolder((await resolveModel(idOrFolder, source)).folder);
    throwIfAborted('load', compute.signal);
    const tokenizer = await Tokenizer.load(folder.model.folder, { lowerCase: folder.lowerCase });
    const maxLength = defaultMaxLength(folder, tokenizer);
    const skipped = await promptTokens(folder, tokenizer);
    const model = await loadModel(folder.plan, folder.weights, compute);
    const { dimensions, poolings, normalize } = folder;
    const info = Object.freeze({
      ...infoOf(model, folder.model.isExpectedLeftover),
      dimensions,
      maxLength,
      pooling: Object.freeze([...poolings]),
      normalize,
    });
    const parts = { folder, tokenizer, model, skipped };
    return new SentenceEncoder(parts, compute, info, maxQueued ?? Number.POSITIVE_INFINITY);
  }

  /**
   * Vectors of one text or of many, in their order.
   *
   * A text with a lone surrogate is INVALID_ARGUMENT, as Python's tokenizer refuses it.
   *
   * @throws MultiheadError INVALID_ARGUMENT: no text, a wrong option, a text too long with `truncate: false` ·
   * OVERLOADED · DISPOSED · ABORTED · OUT_OF_MEMORY
   * @example
   * const { data, dimensions, usage } = await model.encode('How do I bake bread?', { normalize: true });
   */
  async encode(
    textOrTexts: string | readonly string[],
    options: EncodeOptions = {},
  ): Promise<Embeddings> {
    const texts = readTexts(textOrTexts);
    const { normalize, maxLength, truncate, signal } = this.#readOptions(options);
    throwIfAborted('encode', signal);
    const usage = { tokens: 0, truncated: 0 };
    const call = this.#batcher.open(texts.length);
    // Awaited below; until then a failure has nobody else to hear it.
    call.done.catch(() => {});
    try {
      for (let first = 0; first < texts.length && !call.settled; first += TEXTS_PER_SLICE) {
        const slice = texts.slice(first, first + TEXTS_PER_SLICE);
        const sequences = await this.#tokenize(slice, first, { maxLength, truncate, usage });
        throwIfAborted('encode', signal);
        call.add(sequences.map((ids) => ({ ids, length: ids.length, normalize })));
      }
    } catch (error) {
      call.cancel();
      throw error;
    }
    const vectors = await settle('encode', call, signal);
    return new Embeddings(vectors, this.info.dimensions, usage);
  }

  #readOptions(options: unknown) {
    const entry = checkObject('options', options, ENCODE_KEYS);
    const { normalize = this.info.normalize, truncate = true } = entry;
    const { specialTokens } = this.#parts.tokenizer;
    const longest = this.#parts.folder.model.maxLength;
    return {
      normalize: checkBoolean('options.normalize', normalize),
      truncate: checkBoolean('options.truncate', truncate),
      maxLength:
        optional(entry['maxLength'], (length) =>
          checkInteger('options.maxLength', length, Math.max(1, specialTokens), longest),
        ) ?? this.info.maxLength,
      signal: checkSignal('options.signal', entry['signal']),
    };
  }

  async #tokenize(
    texts: readonly string[],
    first: number,
    options: {
      maxLength: number;
      truncate: boolean;
      usage: EmbeddingUsage & { tokens: number; truncated: number };
    },
  ): Promise<Int32Array[]> {
    const { tokenizer, folder } = this.#parts;
    const { maxLength, truncate, usage } = options;
    const where = (i: number) => `texts[${first + i}]`;
    const prompted = folder.prompt === '' ? texts : texts.map((text) => folder.prompt + text);
    const sequences = await tokenizer.encode(prompted, maxLength, where);
    return sequences.map(({ ids, fullLength }, i) => {
      if (fullLength > ids.length) {
        if (!truncate) throw invalid(where(i), `${fullLength} tokens`, `at most ${maxLength}`);
        usage.truncated += 1;
      }
      usage.tokens += ids.length;
      return ids;
    });
  }

  /** One forward; of the last block, a norm, each sequence takes what goes in or what comes out. */
  #run(sequences: readonly Sequence[]): Job<readonly Float32Array[]> {
    const { folder, model, skipped } = this.#parts;
    const batch = packed(sequences.map(({ ids }) => ids));
    const poolWeights = fillPoolWeights(folder.poolings, batch.offsets, skipped);
    const normalized = folder.plan.blocks.length - 1;
    const kinds = new Set(sequences.map(({ normalize }) => normalize));
    const outputs = [
      ...(kinds.has(false) ? [normalized - 1] : []),
      ...(kinds.has(true) ? [normalized] : []),
    ];
    const job = model.run({ ...batch, poolWeights }, Int32Array.from(outputs));
    this.#running.track(job.done);
    const { dimensions } = folder;
    const done = job.done.then((streams) =>
      sequences.map(({ normalize }, i) => {
        const stream = (normalize ? streams.at(-1) : streams[0]) as Float32Array;
        return stream.subarray(i * dimensions, (i + 1) * dimensions);
      }),
    );
    return { done, cancel: () => job.cancel() };
  }

  /**
   * Frees the weights once running batches have ended. Texts that wait for a batch, and later calls, reject with
   * DISPOSED. May be repeated.
   *
   * @returns resolves when nothing runs any more
   */
  async dispose(): Promise<void> {
    this[Symbol.dispose]();
    await this.#running.ended();
  }

  [Symbol.dispose](): void {
    this.#batcher.close();
    this.#parts.model.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}

function readTexts(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  if (!Array.isArray(value))
    throw invalid('texts', describe(value), 'a string or an array of strings');
  return Array.from(value, (text, i) => {
    if (typeof text === 'string') return text;
    throw invalid(`texts[${i}]`, describe(text), 'a string');
  });
}

/** Python's: what sentence_bert_config.json says, else the tokenizer, and never more than there are positions. */
function defaultMaxLength(folder: SentenceFolder, tokenizer: Tokenizer): number {
  const { maxLength, folder: path } = folder.model;
  const length = Math.min(folder.maxLength ?? tokenizer.maxLength ?? maxLength, maxLength);
  const least = Math.max(1, tokenizer.specialTokens);
  if (length >= least) return length;
  throw invalid(
    path,
    `sequences of at most ${length} tokens`,
    `${least} for the special ones alone`,
  );
}

/** The first tokens of every text that do not count in the pooling: the prompt and the special ones before it. */
async function promptTokens(folder: SentenceFolder, tokenizer: Tokenizer): Promise<number> {
  if (folder.prompt === '' || folder.promptCounts) return 0;
  const [prompt] = await tokenizer.encode([folder.prompt], folder.model.maxLength, () => 'prompt');
  return (prompt?.ids.length ?? 0) - tokenizer.specialTokensAfter;
}
