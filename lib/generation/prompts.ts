/** Prompts as callers give them, and how much of a model they leave for what follows. */

import { checkInteger, describe, invalid } from '../check';
import type { TokenIds } from './results';

export function readPrompts(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  if (!Array.isArray(value)) {
    throw invalid('prompts', describe(value), 'a string or an array of strings');
  }
  return Array.from(value, (prompt, i) => {
    if (typeof prompt === 'string') return prompt;
    throw invalid(`prompts[${i}]`, describe(prompt), 'a string');
  });
}

/** Sequences of ids in [0, vocabulary). */
export function readSequences(value: unknown, vocabulary: number): readonly Int32Array[] {
  if (isSequence(value)) return [readSequence('prompts[0]', value, vocabulary)];
  if (!Array.isArray(value)) {
    throw invalid('prompts', describe(value), 'token ids, or an array of arrays of token ids');
  }
  return Array.from(value, (ids, i) => {
    if (!Array.isArray(ids) && !(ids instanceof Int32Array)) {
      throw invalid(`prompts[${i}]`, describe(ids), 'token ids');
    }
    return readSequence(`prompts[${i}]`, ids, vocabulary);
  });
}

/** An empty array is no sequence at all. */
function isSequence(value: unknown): value is TokenIds {
  return value instanceof Int32Array || (Array.isArray(value) && typeof value[0] === 'number');
}

function readSequence(where: string, ids: TokenIds, vocabulary: number): Int32Array {
  return Int32Array.from(ids as ArrayLike<number>, (id, i) =>
    checkInteger(`${where}[${i}]`, id, 0, vocabulary - 1),
  );
}

/**
 * The most new tokens that fit after `length` tokens.
 *
 * @throws MultiheadError INVALID_ARGUMENT: no token, or no room for one more
 */
export function roomAfter(index: number, length: number, maxLength: number): number {
  const where = `prompts[${index}]`;
  if (length === 0) {
    throw invalid(where, 'no token', 'one or more: this tokenizer adds none to an empty text');
  }
  if (length < maxLength) return maxLength - length;
  throw invalid(where, `${length} tokens`, `fewer than the model's ${maxLength}`);
}

/** @throws MultiheadError INVALID_ARGUMENT: no token, or more than an encoder reads */
export function checkSource(index: number, length: number, maxLength: number): void {
  const where = `prompts[${index}]`;
  if (length === 0) throw invalid(where, 'no token', 'one or more');
  if (length > maxLength) throw invalid(where, `${length} tokens`, `at most ${maxLength}`);
}
