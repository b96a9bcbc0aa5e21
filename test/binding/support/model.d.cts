import type { NativeBatch, NativeWeights } from '../../../lib/native';
import type { Plan } from '../../../lib/plan';

export interface TestModel {
  plan: Plan;
  weights: NativeWeights;
  /** The index of the last block, a pool. */
  last: number;
}
export interface TestBatch extends NativeBatch {
  types: Int32Array;
  poolWeights: Float32Array;
}
export const ROOT: string;
export function addonPath(): string;
export function random(seed: number): () => number;
export function makeModel(options?: {
  width?: number;
  heads?: number;
  inner?: number;
  layers?: number;
  seed?: number;
}): TestModel;
export function makeBatch(lengths: readonly number[], seed?: number): TestBatch;
export function makeSlowWork(): TestModel & { batch: TestBatch };
