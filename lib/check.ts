/**
 * Guards for values that come from outside: each says what, where, got and wanted.
 *
 * They read a value once and return it typed, so that a getter cannot answer differently the second time.
 */

import { types } from 'node:util';
import { MultiheadError } from './errors';

/** INVALID_ARGUMENT about `where`. */
export function invalid(where: string, got: string, expected: string): MultiheadError {
  return new MultiheadError('INVALID_ARGUMENT', { where, got, expected });
}

/** A value in a few words, for the `got` of an error. */
export function describe(value: unknown): string {
  if (typeof value === 'string') {
    return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  }
  if (typeof value === 'bigint') return `the bigint ${value}`;
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'symbol') return 'a symbol';
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  const name = Object.prototype.toString.call(value).slice(8, -1);
  return name === 'Object' ? 'an object' : `${/^[AEIOU]/.test(name) ? 'an' : 'a'} ${name}`;
}

/** Words joined as in a sentence: `a, b or c`. */
export function oneOf(values: readonly string[]): string {
  return values.length < 2
    ? values.join('')
    : `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An object whose keys are all among `known`; `where` names it. */
export function checkObject(
  where: string,
  value: unknown,
  known: readonly string[],
): Record<string, unknown> {
  if (!isObject(value) || types.isPromise(value) || ArrayBuffer.isView(value)) {
    throw invalid(where, describe(value), 'an object');
  }
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) throw invalid(`${where}.${key}`, 'not known', oneOf(known));
  }
  return value;
}

/** A whole number in [low, high]. */
export function checkInteger(where: string, value: unknown, low: number, high: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= low && value <= high) {
    return value;
  }
  throw invalid(where, describe(value), `an integer from ${low} to ${high}`);
}

export function checkFinite(where: string, value: unknown): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw invalid(where, describe(value), 'a finite number');
}

export function checkBoolean(where: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw invalid(where, describe(value), 'true or false');
}

/** A string that is not empty. */
export function checkString(where: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value;
  throw invalid(where, describe(value), 'a string that is not empty');
}

/** One of a closed set of strings. */
export function checkLiteral<T extends string>(
  where: string,
  value: unknown,
  choices: readonly T[],
): T {
  if (choices.includes(value as T)) return value as T;
  throw invalid(where, describe(value), oneOf(choices.map((choice) => `'${choice}'`)));
}

export function checkArray(where: string, value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw invalid(where, describe(value), 'an array');
}

export function checkInt32Array(where: string, value: unknown): Int32Array {
  if (types.isInt32Array(value)) return value;
  throw invalid(where, describe(value), 'an Int32Array');
}

export function checkFloat32Array(where: string, value: unknown): Float32Array {
  if (types.isFloat32Array(value)) return value;
  throw invalid(where, describe(value), 'a Float32Array');
}

export function checkFunction<T>(where: string, value: T): T {
  if (typeof value === 'function') return value;
  throw invalid(where, describe(value), 'a function');
}

/** An AbortSignal of any realm. */
export function checkSignal(where: string, value: unknown): AbortSignal | undefined {
  if (value === undefined) return undefined;
  const { aborted, addEventListener, removeEventListener } = (
    isObject(value) ? value : {}
  ) as Partial<AbortSignal>;
  const listens = [addEventListener, removeEventListener].every((f) => typeof f === 'function');
  if (typeof aborted === 'boolean' && listens) return value as AbortSignal;
  throw invalid(where, describe(value), 'an AbortSignal');
}

/** `check(value)`, or undefined where the value is. */
export function optional<V, T>(value: V, check: (value: V) => T): T | undefined {
  return value === undefined ? undefined : check(value);
}
