/** Labels of a classifier, and what its logits say of each. */

import { describe, invalid, isObject } from './check';
import type { Config } from './json';

/** The names in config.json's id2label; `LABEL_0` and so on where it has none, as in Python. */
export function readLabels(config: Config, count: number): readonly string[] {
  const names = config.get('id2label');
  if (names === undefined) return Array.from({ length: count }, (_, i) => `LABEL_${i}`);
  const where = config.where('id2label');
  if (!isObject(names)) throw invalid(where, describe(names), 'an object');
  return Array.from({ length: count }, (_, i) => {
    const name = names[String(i)];
    if (typeof name === 'string') return name;
    throw invalid(`${where}.${i}`, describe(name), `a name for each of ${count} labels`);
  });
}

export function softmax(logits: ArrayLike<number>): Float64Array {
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i += 1) largest = Math.max(largest, logits[i] as number);
  const scores = Float64Array.from(logits, (logit) => Math.exp(logit - largest));
  let sum = 0;
  for (const score of scores) sum += score;
  return scores.map((score) => score / sum);
}

export function sigmoid(logit: number): number {
  return 1 / (1 + Math.exp(-logit));
}

/** Indices of the `count` largest values, the largest first; of equal ones the first. */
export function topOf(values: ArrayLike<number>, count: number): number[] {
  const top: number[] = [];
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i] as number;
    if (top.length === count && !(value > (values[top[count - 1] as number] as number))) continue;
    let low = 0;
    let high = top.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((values[top[middle] as number] as number) >= value) low = middle + 1;
      else high = middle;
    }
    top.splice(low, 0, i);
    if (top.length > count) top.pop();
  }
  return top;
}
