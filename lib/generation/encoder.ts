/** The encoder of an encoder-decoder: token sequences to the memory that the decoder reads. */

import { settle } from '../abort';
import type { NativeModel } from '../native';
import { type Packed, packed, unpackRows } from '../packing';
import type { Plan } from '../plan';
import type { Running } from '../running';

export class SourceEncoder {
  readonly #model: NativeModel;
  readonly #plan: Plan;
  /** Ids of the source lie below it. */
  readonly vocabulary: number;
  readonly #columns: number;
  readonly maxLength: number;

  /** @param columns of the memory */
  constructor(model: NativeModel, plan: Plan, columns: number, maxLength: number) {
    this.#model = model;
    this.#plan = plan;
    const [first] = plan.blocks;
    this.vocabulary = first?.block === 'embed' ? first.vocabulary : 0;
    this.#columns = columns;
    this.maxLength = maxLength;
  }

  /** [tokens, columns] of each source. */
  async run(
    sources: readonly Int32Array[],
    running: Running,
    signal: AbortSignal | undefined,
  ): Promise<readonly Float32Array[]> {
    const batch = packed(sources);
    const memory = await this.runPacked(batch, running, signal);
    return unpackRows(memory, batch.offsets, this.#columns);
  }

  /** [T, columns] */
  async runPacked(
    batch: Packed,
    running: Running,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    const job = this.#model.run(batch, Int32Array.of(this.#plan.blocks.length - 1));
    running.track(job.done);
    const [memory] = await settle('encoder', job, signal);
    return memory as Float32Array;
  }

  dispose(): void {
    this.#model.dispose();
  }
}
