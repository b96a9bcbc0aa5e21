/** A plan with its weights, ready to run: token ids in, hidden states out. */

import './disposal';
import { settle, throwIfAborted } from './abort';
import {
  checkBoolean,
  checkFloat32Array,
  checkInt32Array,
  checkObject,
  checkSignal,
  invalid,
  optional,
} from './check';
import {
  COMPUTE_KEYS,
  type Compute,
  type ComputeOptions,
  checkCompute,
  type Device,
  type DType,
  loadModel,
} from './compute';
import { resolveModel } from './hub';
import { readModelFolder } from './models';
import type { NativeBatch, NativeModel } from './native';
import type { Plan } from './plan';
import { checkPlan } from './plan-check';
import { Running } from './running';
import { checkSource, SOURCE_KEYS, type SourceOptions } from './source';
import { tableOf, type Weights } from './weights/memory';
import type { WeightTable } from './weights/table';

export interface TransformerInfo {
  /** The instruction set whose kernels run: 'avx512', 'avx2' or 'baseline'. */
  readonly isa: string;
  /** The most threads that one forward computes on. */
  readonly threads: number;
  /** Bytes of weights in native memory. */
  readonly residentBytes: number;
  /** E, the columns of the stream after the embedding. */
  readonly width: number;
  /** Feed-forward blocks. */
  readonly layers: number;
  /** Weight elements in use. */
  readonly parameters: number;
  /** Tensors of the checkpoint that nothing uses, those of known heads left out. */
  readonly unusedTensors: readonly string[];
}

/** A packed batch: B sequences one after the other, without padding. */
export interface ForwardInput {
  /** [T] ids in [0, vocabulary). Copied before `forward` returns, as all arrays are. */
  readonly tokens: Int32Array;
  /** [B + 1]: sequence b has the tokens offsets[b] to offsets[b + 1] - 1. Starts at 0, ends at T, never decreases. */
  readonly offsets: Int32Array;
  /** [T] segment types. Default: 0 everywhere. */
  readonly types?: Int32Array;
  /** Also return `layers`. Default: false. */
  readonly outputHiddenStates?: boolean;
  /** Also return `pooled`; the plan must have a pool block. Default: false. */
  readonly outputPooled?: boolean;
  /** [weighted parts, T] for the plan's pool block; see {@link poolWeights}. */
  readonly poolWeights?: Float32Array;
  /** Also return `logits`; the plan must have a select block. Default: false. */
  readonly outputLogits?: boolean;
  /** [R] rows of the tokens, ascending, for the plan's select block. Default: all T. */
  readonly selected?: Int32Array;
  /** [Tm, memoryWidth], packed like the tokens: what attentions over a memory read, as an encoder's `hidden`. */
  readonly memory?: Float32Array;
  /** [B + 1]: the rows of `memory` of each sequence; only with it, and with it needed. */
  readonly memoryOffsets?: Int32Array;
  /** Gives the forward up: it rejects with ABORTED. */
  readonly signal?: AbortSignal;
}

export interface ForwardOutput {
  /** [T, E] after the last block before a pool or select; a last `project` sets the columns. */
  readonly hidden: Float32Array;
  /** [T, E] each: the embedding output first, then after each feed-forward block (a later norm not included). */
  readonly layers?: Float32Array[];
  /** [B, columns] after the last block. */
  readonly pooled?: Float32Array;
  /** [R, columns] after the last block: of a language model, one column for each token of the vocabulary. */
  readonly logits?: Float32Array;
}

export interface TransformerLoadOptions extends ComputeOptions, SourceOptions {}

const FORWARD_KEYS = [
  'tokens',
  'offsets',
  'types',
  'outputHiddenStates',
  'outputPooled',
  'poolWeights',
  'outputLogits',
  'selected',
  'memory',
  'memoryOffsets',
  'signal',
];

/**
 * A transformer without a tokenizer.
 *
 * Forwards may run at the same time; each is one native call off the event loop. A sequence's results have the
 * same bits in any batch and with any number of threads.
 *
 * @example
 * const encoder = plan({ width: 64 }, [
 *   embed({ vocabulary: 1000, positions: 128, norm: 'after' }),
 *   attention({ heads: 4 }),
 *   feedForward({ inner: 256 }),
 * ]);
 * await using transformer = await Transformer.create(encoder, randomWeights(encoder, { seed: 1 }));
 * const { hidden } = await transformer.forward({
 *   tokens: Int32Array.of(5, 6, 7),
 *   offsets: Int32Array.of(0, 3),
 * });
 */
export class Transformer {
  /** Deeply frozen. */
  readonly plan: Plan;
  readonly device: Device;
  readonly dtype: DType;
  readonly info: TransformerInfo;
  readonly #model: NativeModel;
  readonly #outputs: Outputs;
  readonly #running = new Running();

  private constructor(plan: Plan, model: NativeModel, compute: Compute, info: TransformerInfo) {
    this.plan = plan;
    this.device = compute.device;
    this.dtype = compute.dtype;
    this.info = info;
    this.#model = model;
    this.#outputs = outputsOf(plan);
  }

  /**
   * A transformer from a plan and weights in memory.
   *
   * @param plan built by {@link plan} or written by hand
   * @param weights tensors by name, as {@link planWeights} lists them, in f32; copied
   * @throws MultiheadError INVALID_ARGUMENT · SHAPE_MISMATCH · WEIGHT_MISSING · UNSUPPORTED · DEVICE_UNAVAILABLE ·
   * OUT_OF_MEMORY · ABORTED
   */
  static async create(
    plan: Plan,
    weights: Weights,
    options: ComputeOptions = {},
  ): Promise<Transformer> {
    const compute = checkCompute(checkObject('options', options, COMPUTE_KEYS));
    return await Transformer.#open(checkPlan(plan), tableOf(weights), compute, () => false);
  }

  /**
   * A transformer from a model folder (config.json and safetensors; a tokenizer is not needed) or a model id.
   *
   * @throws MultiheadError what {@link create} throws, and FILE_ERROR · UNKNOWN_MODEL · WEIGHT_INVALID
   * @example
   * await using transformer = await Transformer.load('./all-MiniLM-L6-v2');
   */
  static async load(
    idOrFolder: string,
    options: TransformerLoadOptions = {},
  ): Promise<Transformer> {
    const checked = checkObject('options', options, [...COMPUTE_KEYS, ...SOURCE_KEYS]);
    const compute = checkCompute(checked);
    const { folder } = await resolveModel(idOrFolder, checkSource(checked, compute.signal));
    const { plan, weights, isExpectedLeftover } = await readModelFolder(folder);
    return await Transformer.#open(checkPlan(plan), weights, compute, isExpectedLeftover);
  }

  static async #open(
    plan: Plan,
    table: WeightTable,
    compute: Compute,
    isLeftover: (tensor: string) => boolean,
  ): Promise<Transformer> {
    const model = await loadModel(plan, table, compute);
    return new Transformer(plan, model, compute, infoOf(model, isLeftover));
  }

  /**
   * Runs one packed batch.
   *
   * Only typed arrays are taken: an array of numbers would hide a copy and a rounding.
   *
   * @throws MultiheadError INVALID_ARGUMENT: wrong types, ids or types out of range, offsets that decrease, a sequence
   * longer than the plan's positions, an input for a block that the plan does not have, or none for a memory that it
   * reads · DISPOSED · ABORTED · OUT_OF_MEMORY
   * @example
   * const { encoder, decoder } = transformer({ vocabulary: 100, layers: 1, width: 16, heads: 2, inner: 32 });
   * const reader = await Transformer.create(encoder, randomWeights(encoder, { seed: 1 }));
   * const writer = await Transformer.create(decoder, randomWeights(decoder, { seed: 1 }));
   * const batch = { tokens: Int32Array.of(5, 6, 7), offsets: Int32Array.of(0, 3) };
   * const { hidden: memory } = await reader.forward(batch);
   * const { logits } = await writer.forward({
   *   ...batch, memory, memoryOffsets: batch.offsets, selected: Int32Array.of(2), outputLogits: true,
   * });
   */
  async forward(input: ForwardInput): Promise<ForwardOutput> {
    const { batch, wants, signal } = readInput(input);
    checkFits(this.plan, batch, wants);
    throwIfAborted('forward', signal);
    const { hidden, layers, last } = this.#outputs;
    const wantsLast = wants.pooled || wants.logits;
    const blocks = new Set([hidden, ...(wants.layers ? layers : []), ...(wantsLast ? [last] : [])]);
    const ordered = [...blocks].sort((a, b) => a - b);
    const streams = await this.#run(batch, ordered, signal);
    const at = (block: number) => streams[ordered.indexOf(block)] as Float32Array;
    return {
      hidden: at(hidden),
      ...(wants.layers && { layers: distinct(layers.map(at), at(hidden)) }),
      ...(wants.pooled && { pooled: at(last) }),
      ...(wants.logits && { logits: at(last) }),
    };
  }

  async #run(batch: NativeBatch, blocks: readonly number[], signal: AbortSignal | undefined) {
    const job = this.#model.run(batch, Int32Array.from(blocks));
    this.#running.track(job.done);
    return await settle('forward', job, signal);
  }

  /**
   * Frees the weights once running forwards have ended; later ones reject with DISPOSED. May be repeated.
   *
   * @returns resolves when nothing runs any more
   */
  async dispose(): Promise<void> {
    this.#model.dispose();
    await this.#running.ended();
  }

  [Symbol.dispose](): void {
    this.#model.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}

/** Without the tensors that nobody misses. */
export function infoOf(
  model: NativeModel,
  isLeftover: (tensor: string) => boolean,
): TransformerInfo {
  const { unusedTensors, ...info } = model.info;
  return Object.freeze({
    ...info,
    unusedTensors: Object.freeze(unusedTensors.filter((name) => !isLeftover(name))),
  });
}

interface Outputs {
  readonly hidden: number;
  readonly layers: readonly number[];
  /** Of pooled or selected rows, where the plan makes such. */
  readonly last: number;
}

/** Indices of the blocks after which outputs are taken. */
function outputsOf({ blocks }: Plan): Outputs {
  const end = blocks.findIndex(({ block }) => block === 'pool' || block === 'select');
  const tokenLevel = end < 0 ? blocks : blocks.slice(0, end);
  const layers = tokenLevel.flatMap(({ block }, i) =>
    block === 'embed' || block === 'feedForward' ? [i] : [],
  );
  return { hidden: tokenLevel.length - 1, layers, last: blocks.length - 1 };
}

/** `hidden` and the last layer may be one stream; the caller gets two arrays, so that writing to one is safe. */
function distinct(layers: Float32Array[], hidden: Float32Array): Float32Array[] {
  return layers.map((layer) => (layer === hidden ? layer.slice() : layer));
}

interface Wants {
  readonly layers: boolean;
  readonly pooled: boolean;
  readonly logits: boolean;
}

/** Refuses what belongs to a block that the plan lacks, and a missing memory; the core checks lengths and ranges. */
function checkFits({ blocks, memoryWidth }: Plan, batch: NativeBatch, wants: Wants): void {
  const given = (entries: Record<string, unknown>) =>
    Object.keys(entries).find((name) => entries[name] !== undefined && entries[name] !== false);
  const refuse = (got: string | undefined, what: string) => {
    if (got) throw invalid('input', got, `neither, as the plan has no ${what}`);
  };
  const { poolWeights, selected, memory, memoryOffsets } = batch;
  if (!blocks.some(({ block }) => block === 'pool')) {
    refuse(given({ outputPooled: wants.pooled, poolWeights }), 'pool block');
  }
  if (!blocks.some(({ block }) => block === 'select')) {
    refuse(given({ outputLogits: wants.logits, selected }), 'select block');
  }
  if (memoryWidth === undefined) {
    refuse(given({ memory, memoryOffsets }), 'attention over a memory');
    return;
  }
  if (!memory) throw invalid('input.memory', 'undefined', `[Tm, ${memoryWidth}] in a Float32Array`);
  if (!memoryOffsets) throw invalid('input.memoryOffsets', 'undefined', '[B + 1] in an Int32Array');
}

function readInput(input: unknown) {
  const entry = checkObject('input', input, FORWARD_KEYS);
  const { outputHiddenStates = false, outputPooled = false, outputLogits = false } = entry;
  const ints = (name: string) =>
    optional(entry[name], (value) => checkInt32Array(`input.${name}`, value));
  const floats = (name: string) =>
    optional(entry[name], (value) => checkFloat32Array(`input.${name}`, value));
  const types = ints('types');
  const poolWeights = floats('poolWeights');
  const selected = ints('selected');
  const memory = floats('memory');
  const memoryOffsets = ints('memoryOffsets');
  const batch: NativeBatch = {
    tokens: checkInt32Array('input.tokens', entry['tokens']),
    offsets: checkInt32Array('input.offsets', entry['offsets']),
    ...(types && { types }),
    ...(poolWeights && { poolWeights }),
    ...(selected && { selected }),
    ...(memory && { memory }),
    ...(memoryOffsets && { memoryOffsets }),
  };
  const wants: Wants = {
    layers: checkBoolean('input.outputHiddenStates', outputHiddenStates),
    pooled: checkBoolean('input.outputPooled', outputPooled),
    logits: checkBoolean('input.outputLogits', outputLogits),
  };
  return { batch, wants, signal: checkSignal('input.signal', entry['signal']) };
}
