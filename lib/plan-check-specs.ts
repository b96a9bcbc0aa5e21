/** Checks of what blocks are made of: views of weights, linear maps, norms; and the limits of the native engine. */

import {
  checkArray,
  checkFinite,
  checkInteger,
  checkLiteral,
  checkObject,
  checkString,
  describe,
  invalid,
  optional,
} from './check';
import type { Activation, LinearSpec, NormSpec, WeightRef } from './plan';

/** Limits of the native engine. */
export const MOST_COLUMNS = 2 ** 24;
export const MOST_ROWS = 2 ** 31 - 1;

const ACTIVATIONS: readonly Activation[] = [
  'identity',
  'relu',
  'gelu',
  'gelu_tanh',
  'silu',
  'tanh',
];

export function checkActivation(where: string, value: unknown): Activation {
  return checkLiteral(where, value, ACTIVATIONS);
}

export const NORMS = ['normBefore', 'normAfter'] as const;

export function checkNorms(where: string, entry: Record<string, unknown>) {
  const check = (name: (typeof NORMS)[number]) =>
    optional(entry[name], (norm) => checkNormSpec(`${where}.${name}`, norm));
  return { normBefore: check('normBefore'), normAfter: check('normAfter') };
}

export function checkNormSpec(where: string, value: unknown): NormSpec {
  const entry = checkObject(where, value, ['kind', 'epsilon', 'gain', 'bias']);
  const kind = checkLiteral(`${where}.kind`, entry['kind'], ['layer', 'rms', 'l2'] as const);
  const epsilon = checkFinite(`${where}.epsilon`, entry['epsilon']);
  if (epsilon < 0) throw invalid(`${where}.epsilon`, String(epsilon), 'at least 0');
  const gain = optional(entry['gain'], (ref) => checkRef(`${where}.gain`, ref));
  const bias = optional(entry['bias'], (ref) => checkRef(`${where}.bias`, ref));
  if (gain && kind === 'l2') throw invalid(`${where}.gain`, gain.tensor, 'none for an l2 norm');
  if (bias && kind !== 'layer') {
    throw invalid(`${where}.bias`, bias.tensor, 'none, except for a layer norm');
  }
  return defined({ kind, epsilon, gain, bias });
}

export function checkLinear(where: string, value: unknown): LinearSpec {
  const { weight, bias } = checkObject(where, value, ['weight', 'bias']);
  return defined({
    weight: checkRef(`${where}.weight`, weight),
    bias: optional(bias, (ref) => checkRef(`${where}.bias`, ref)),
  });
}

export function checkRef(where: string, value: unknown): WeightRef {
  const known = ['tensor', 'rows', 'groups', 'transpose'];
  const { tensor, rows, groups, transpose } = checkObject(where, value, known);
  if (transpose !== undefined && typeof transpose !== 'boolean') {
    throw invalid(`${where}.transpose`, describe(transpose), 'true or false');
  }
  if (rows !== undefined && groups !== undefined) {
    throw invalid(where, 'rows and groups', 'one of them');
  }
  return defined({
    tensor: checkString(`${where}.tensor`, tensor),
    rows: optional(rows, (range) => checkRange(`${where}.rows`, range)),
    groups: optional(groups, (entry) => checkGroups(`${where}.groups`, entry)),
    transpose,
  });
}

function checkRange(where: string, value: unknown): readonly [number, number] {
  const range = checkArray(where, value);
  if (range.length !== 2) throw invalid(where, describe(value), 'two row numbers, [begin, end)');
  const begin = checkInteger(`${where}[0]`, range[0], 0, MOST_ROWS);
  return [begin, checkInteger(`${where}[1]`, range[1], begin, MOST_ROWS)];
}

function checkGroups(where: string, value: unknown): readonly [number, number, number] {
  const groups = checkArray(where, value);
  if (groups.length !== 3) throw invalid(where, describe(value), '[begin, length, step]');
  const begin = checkInteger(`${where}[0]`, groups[0], 0, MOST_ROWS);
  const length = checkInteger(`${where}[1]`, groups[1], 1, MOST_ROWS);
  return [begin, length, checkInteger(`${where}[2]`, groups[2], length, MOST_ROWS)];
}

/** `value` without the properties that are undefined. */
export function defined<T extends object>(value: T): T {
  for (const key of Object.keys(value) as (keyof T)[]) {
    if (value[key] === undefined) delete value[key];
  }
  return value;
}
