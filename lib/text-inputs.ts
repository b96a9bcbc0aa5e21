/** Texts and pairs of texts as callers give them. */

import { checkObject, describe, invalid } from './check';
import type { AnnotatedTokens, TextInput } from './tokenizer';

/** A text, or a pair. */
export function readInput(where: string, value: unknown): TextInput {
  if (typeof value === 'string') return { text: value };
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(where, describe(value), 'a string, or { text, pair }');
  }
  const { text, pair } = checkObject(where, value, ['text', 'pair']);
  if (typeof text !== 'string') throw invalid(`${where}.text`, describe(text), 'a string');
  if (pair === undefined) return { text };
  if (typeof pair !== 'string') throw invalid(`${where}.pair`, describe(pair), 'a string');
  return { text, pair };
}

/** @throws MultiheadError INVALID_ARGUMENT: one was cut */
export function refuseCuts(
  tokens: readonly AnnotatedTokens[],
  where: (index: number) => string,
): void {
  tokens.forEach(({ ids, fullLength }, i) => {
    if (fullLength <= ids.length) return;
    throw invalid(where(i), `${fullLength} tokens`, `at most ${ids.length}, or truncate: true`);
  });
}
