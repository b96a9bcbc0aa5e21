/** Where and how a model computes: the options that every load shares, and the load itself. */

import { settle, throwIfAborted } from './abort';
import { checkInteger, checkLiteral, checkSignal, describe, optional } from './check';
import { MultiheadError } from './errors';
import { loadAddon, type NativeModel } from './native';
import type { Plan } from './plan';
import type { WeightTable } from './weights/table';

/** 'auto' is the best device that can be used. */
export type DeviceOption = 'auto' | 'cpu' | 'cuda';
/** What a model runs on. */
export type Device = 'cpu';
/** The type that a model computes in. Weights may be stored in f32, f16 or bf16. */
export type DType = 'f32';

export interface ComputeOptions {
  /** Default: 'auto'. */
  readonly device?: DeviceOption;
  /** Default: 'f32'. */
  readonly dtype?: DType;
  /** The most threads that one batch computes on, 1 to 256. Default: the processors that this process may use. */
  readonly threads?: number;
  /** Gives a load up: it rejects with ABORTED. */
  readonly signal?: AbortSignal;
}

export const COMPUTE_KEYS = ['device', 'dtype', 'threads', 'signal'] as const;
const DTYPES: readonly DType[] = ['f32'];
const MOST_THREADS = 256;

/** Checked options; `where` names the object they came in. */
export interface Compute {
  readonly device: Device;
  readonly dtype: DType;
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

/**
 * @throws MultiheadError INVALID_ARGUMENT; DEVICE_UNAVAILABLE: 'cuda', which this build does not have; UNSUPPORTED:
 * another dtype
 */
export function checkCompute(options: Readonly<Record<string, unknown>>): Compute {
  const { device = 'auto', dtype = 'f32', threads, signal } = options;
  if (checkLiteral('options.device', device, ['auto', 'cpu', 'cuda']) === 'cuda') {
    throw new MultiheadError('DEVICE_UNAVAILABLE', {
      where: 'options.device',
      got: 'cuda, and this build has no CUDA backend',
      expected: "'cpu' or 'auto'",
    });
  }
  if (!DTYPES.includes(dtype as DType)) {
    const code = typeof dtype === 'string' ? 'UNSUPPORTED' : 'INVALID_ARGUMENT';
    const expected = DTYPES.map((name) => `'${name}'`).join(' or ');
    throw new MultiheadError(code, { where: 'options.dtype', got: describe(dtype), expected });
  }
  return {
    device: 'cpu',
    dtype: 'f32',
    threads: optional(threads, (count) => checkInteger('options.threads', count, 1, MOST_THREADS)),
    signal: checkSignal('options.signal', signal),
  };
}

/** Reads and packs the weights off the event loop. */
export async function loadModel(
  plan: Plan,
  weights: WeightTable,
  { threads, signal }: Compute,
): Promise<NativeModel> {
  throwIfAborted('load', signal);
  const job = loadAddon().load(plan, weights, threads === undefined ? {} : { threads });
  // A load that was given up may still end well; its weights are then dropped.
  const dispose = (model: NativeModel) => signal?.aborted && model.dispose();
  job.done.then(dispose, () => {});
  return await settle('load', job, signal);
}
