/** What the classes of tasks with a head share: device, type, and the end. */

import './disposal';
import type { ComputeOptions, Device, DType } from './compute';
import type { HeadModel } from './head-model';
import type { SourceOptions } from './source';

export interface HeadTaskLoadOptions extends ComputeOptions, SourceOptions {}

export abstract class HeadTask {
  readonly device: Device;
  readonly dtype: DType;
  protected readonly model: HeadModel;

  protected constructor(model: HeadModel) {
    this.device = model.compute.device;
    this.dtype = model.compute.dtype;
    this.model = model;
  }

  /**
   * Frees the weights once running batches have ended; what waits for one, and later calls, reject with DISPOSED. May
   * be repeated.
   *
   * @returns resolves when nothing runs any more
   */
  async dispose(): Promise<void> {
    this.model.dispose();
    await this.model.running.ended();
  }

  [Symbol.dispose](): void {
    this.model.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}
