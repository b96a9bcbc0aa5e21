/** One pass over given tokens, without a cache: the logits of each. */

import { settle, throwIfAborted } from '../abort';
import { checkInt32Array, checkObject, checkSignal, optional } from '../check';
import type { NativeBatch } from '../native';
import type { Running } from '../running';
import type { CachedDecoder } from './decoder';

/** A packed batch: B sequences one after the other, without padding. */
export interface LogitsInput {
  /** [T] ids in [0, vocabulary). */
  readonly tokens: Int32Array;
  /** [B + 1]: sequence b has the tokens offsets[b] to offsets[b + 1] - 1. */
  readonly offsets: Int32Array;
  /** [R] ascending: the tokens whose logits are computed. Default: all. */
  readonly selected?: Int32Array;
  /** Gives the pass up: it rejects with ABORTED. */
  readonly signal?: AbortSignal;
}

export interface Logits {
  /** [R, V]: what the model says of the token after each selected one. */
  readonly logits: Float32Array;
  /** V */
  readonly vocabulary: number;
}

const KEYS = ['tokens', 'offsets', 'selected', 'signal'] as const;

export interface CheckedLogitsInput {
  readonly batch: NativeBatch;
  readonly signal: AbortSignal | undefined;
}

/** @throws MultiheadError INVALID_ARGUMENT */
export function checkLogitsInput(
  input: unknown,
  others: readonly string[] = [],
): CheckedLogitsInput {
  const entry = checkObject('input', input, [...KEYS, ...others]);
  const selected = optional(entry['selected'], (rows) => checkInt32Array('input.selected', rows));
  return {
    batch: {
      tokens: checkInt32Array('input.tokens', entry['tokens']),
      offsets: checkInt32Array('input.offsets', entry['offsets']),
      ...(selected && { selected }),
    },
    signal: checkSignal('input.signal', entry['signal']),
  };
}

/** @throws MultiheadError INVALID_ARGUMENT · DISPOSED · ABORTED · OUT_OF_MEMORY */
export async function forwardLogits(
  decoder: CachedDecoder,
  batch: NativeBatch,
  running: Running,
  signal: AbortSignal | undefined,
): Promise<Logits> {
  throwIfAborted('forward', signal);
  const job = decoder.model.run(batch, Int32Array.of(decoder.lastBlock));
  running.track(job.done);
  const [logits] = await settle('forward', job, signal);
  return { logits: logits as Float32Array, vocabulary: decoder.vocabulary };
}
