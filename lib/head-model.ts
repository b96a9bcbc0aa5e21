/**
 * A model with a head, as the classes of tasks run it: annotated tokens in, rows of logits out.
 *
 * Concurrent callers share batches; a sequence's logits have the same bits alone or in any batch.
 */

import { type Job, settle, throwIfAborted } from './abort';
import { Batcher } from './batching';
import { type Compute, loadModel } from './compute';
import type { Config } from './json';
import type { ModelFolder } from './models';
import type { NativeBatch, NativeModel } from './native';
import { packed } from './packing';
import type { Block, Plan } from './plan';
import { fillPoolWeights, type PoolingMode } from './pooling';
import { Running } from './running';
import { headOf, openTaskFolder } from './task-folder';
import { type AnnotatedTokens, type TextInput, Tokenizer } from './tokenizer';
import { infoOf, type TransformerInfo } from './transformer';

/** A sequence, ready for a batch. */
export interface HeadInput {
  readonly ids: Int32Array;
  readonly types: Int32Array;
  /** The tokens that reach a language head, ascending. */
  readonly selected?: Int32Array;
}

interface Sized extends HeadInput {
  readonly length: number;
}

export type HeadKind = 'sequence' | 'token' | 'language';

interface HeadParts {
  readonly model: NativeModel;
  readonly plan: Plan;
  readonly kind: HeadKind;
  readonly pooling: PoolingMode;
}

/** As SentenceEncoder has it. */
const BATCH_TOKENS = 4096;
const BATCHES_IN_FLIGHT = 2;

export class HeadModel {
  readonly folder: string;
  readonly config: Config;
  readonly compute: Compute;
  readonly info: TransformerInfo;
  readonly tokenizer: Tokenizer;
  /** Columns of the logits. */
  readonly columns: number;
  /** The longest sequence: the tokenizer's limit, and never more than there are positions. */
  readonly maxLength: number;
  readonly running = new Running();
  readonly #parts: HeadParts;
  readonly #hasTypes: boolean;
  readonly #name: string;
  readonly #batcher: Batcher<Sized>;

  private constructor(
    name: string,
    { folder, config, maxLength, isExpectedLeftover }: ModelFolder,
    compute: Compute,
    tokenizer: Tokenizer,
    parts: HeadParts,
  ) {
    const [embed] = parts.plan.blocks;
    const last = parts.plan.blocks.at(-1);
    this.folder = folder;
    this.config = config;
    this.compute = compute;
    this.info = infoOf(parts.model, isExpectedLeftover);
    this.tokenizer = tokenizer;
    this.columns = last?.block === 'project' ? last.width : parts.plan.width;
    this.maxLength = Math.min(tokenizer.maxLength ?? maxLength, maxLength);
    this.#parts = parts;
    this.#hasTypes = tokenizer.givesTypes && embed?.block === 'embed' && embed.types !== undefined;
    this.#name = name;
    this.#batcher = new Batcher((inputs) => this.#start(inputs), {
      batchTokens: BATCH_TOKENS,
      inFlight: BATCHES_IN_FLIGHT,
      maxQueued: Number.POSITIVE_INFINITY,
      name,
    });
  }

  /**
   * @param className for messages
   * @param name what its main method is called, for messages
   * @throws MultiheadError what a load throws; WEIGHT_MISSING: the checkpoint lacks the head
   */
  static async load(
    className: string,
    name: string,
    kind: HeadKind,
    idOrFolder: string,
    options: unknown,
  ): Promise<HeadModel> {
    const { model: folder, compute } = await openTaskFolder(idOrFolder, options);
    const causal = kind === 'language' ? [] : (['decoder'] as const);
    const head = headOf(className, folder, kind, ['encoder', ...causal]);
    const tokenizer = await Tokenizer.load(folder.folder);
    const plan = withHead(folder.plan, kind, head);
    const model = await loadModel(plan, folder.weights, compute);
    const pooling = folder.heads.pooling ?? 'cls';
    return new HeadModel(name, folder, compute, tokenizer, { model, plan, kind, pooling });
  }

  /** Tokens of texts and pairs, cut to `maxLength`. */
  async annotate(
    inputs: readonly TextInput[],
    where: (index: number) => string,
    maxLength = this.maxLength,
  ): Promise<AnnotatedTokens[]> {
    return await this.tokenizer.annotate(inputs, maxLength, where);
  }

  /** The logits of each input: one row, or one for each (selected) token. */
  async logits(
    inputs: readonly HeadInput[],
    signal: AbortSignal | undefined,
  ): Promise<readonly Float32Array[]> {
    throwIfAborted(this.#name, signal);
    const job = this.#batcher.submit(
      inputs.map((input) => ({ ...input, length: input.ids.length })),
    );
    return await settle(this.#name, job, signal);
  }

  #start(inputs: readonly Sized[]): Job<readonly Float32Array[]> {
    const { model, plan } = this.#parts;
    const job = model.run(this.#batch(inputs), Int32Array.of(plan.blocks.length - 1));
    this.running.track(job.done);
    const done = job.done.then(([logits]) => {
      let start = 0;
      return inputs.map((input) => {
        const end = start + this.#rowsOf(input) * this.columns;
        const rows = (logits as Float32Array).subarray(start, end);
        start = end;
        return rows;
      });
    });
    return { done, cancel: () => job.cancel() };
  }

  #rowsOf({ length, selected }: Sized): number {
    if (this.#parts.kind === 'sequence') return 1;
    return this.#parts.kind === 'token' ? length : (selected as Int32Array).length;
  }

  #batch(inputs: readonly Sized[]): NativeBatch {
    const { kind, pooling } = this.#parts;
    const { tokens, offsets } = packed(inputs.map(({ ids }) => ids));
    const { tokens: types } = packed(inputs.map((input) => input.types));
    return {
      tokens,
      offsets,
      ...(this.#hasTypes && types.some((type) => type !== 0) && { types }),
      ...(kind === 'sequence' && { poolWeights: fillPoolWeights([pooling], offsets, 0) }),
      ...(kind === 'language' && { selected: selectedRows(inputs, offsets) }),
    };
  }

  /** Frees the weights once running batches have ended; what waits rejects with DISPOSED. May be repeated. */
  dispose(): void {
    this.#batcher.close();
    this.#parts.model.dispose();
  }
}

/** What `make` makes of the model; the model's memory is freed when that fails. */
export function madeOf<T>(model: HeadModel, make: (model: HeadModel) => T): T {
  try {
    return make(model);
  } catch (error) {
    model.dispose();
    throw error;
  }
}

function withHead(plan: Plan, kind: HeadKind, head: readonly Block[]): Plan {
  const between: Readonly<Record<HeadKind, readonly Block[]>> = {
    sequence: [{ block: 'pool', parts: ['weighted'] }],
    token: [],
    language: [{ block: 'select' }],
  };
  return { ...plan, blocks: [...plan.blocks, ...between[kind], ...head] };
}

function selectedRows(inputs: readonly HeadInput[], offsets: Int32Array): Int32Array {
  return Int32Array.from(
    inputs.flatMap(({ selected = [] }, i) => [...selected].map((row) => row + at(offsets, i))),
  );
}

function at(offsets: Int32Array, i: number): number {
  return offsets[i] as number;
}
