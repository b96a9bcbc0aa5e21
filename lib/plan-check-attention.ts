/** Checks of an attention block: its heads, where its keys come from, and the position schemes of its scores. */

import {
  checkArray,
  checkFinite,
  checkInteger,
  checkLiteral,
  checkObject,
  describe,
  invalid,
  optional,
} from './check';
import type { AttentionBlock, RelativeBias, Rotary } from './plan';
import {
  checkLinear,
  checkNormSpec,
  checkNorms,
  checkRef,
  defined,
  MOST_COLUMNS,
  MOST_ROWS,
  NORMS,
} from './plan-check-specs';

const MOST_HEAD_COLUMNS = 256;
const MOST_BUCKETS = 2 ** 24;

const PROJECTIONS = ['query', 'key', 'value', 'output'] as const;

/** What depends on distances of positions, which a query and a memory's key do not have. */
const OF_POSITIONS = ['rotary', 'slopes', 'relativeBias', 'window'] as const;

const KNOWN = [
  'block',
  'keysFrom',
  'heads',
  'keyHeads',
  'headDim',
  ...PROJECTIONS,
  'queryNorm',
  'keyNorm',
  ...OF_POSITIONS,
  'scale',
  'mask',
  ...NORMS,
];

export function checkAttention(where: string, value: unknown): AttentionBlock {
  const entry = checkObject(where, value, KNOWN);
  const at = (name: string) => `${where}.${name}`;
  const read = <T>(name: string, check: (where: string, value: unknown) => T) =>
    optional(entry[name], (given) => check(at(name), given));
  const headDim = checkInteger(at('headDim'), entry['headDim'], 1, MOST_HEAD_COLUMNS);
  const most = Math.floor(MOST_COLUMNS / headDim);
  const heads = checkInteger(at('heads'), entry['heads'], 1, most);
  const block = defined<AttentionBlock>({
    block: 'attention',
    keysFrom: read('keysFrom', (path, from) => checkLiteral(path, from, ['stream', 'memory'])),
    heads,
    keyHeads: read('keyHeads', (path, keyHeads) => checkKeyHeads(path, keyHeads, heads)),
    headDim,
    query: checkLinear(at('query'), entry['query']),
    key: checkLinear(at('key'), entry['key']),
    value: checkLinear(at('value'), entry['value']),
    output: checkLinear(at('output'), entry['output']),
    queryNorm: read('queryNorm', checkNormSpec),
    keyNorm: read('keyNorm', checkNormSpec),
    rotary: read('rotary', (path, rotary) => checkRotary(path, rotary, headDim)),
    slopes: read('slopes', (path, slopes) => checkSlopes(path, slopes, heads)),
    relativeBias: read('relativeBias', checkRelativeBias),
    scale: read('scale', checkFinite),
    mask: read('mask', (path, mask) => checkLiteral(path, mask, ['full', 'causal'])),
    window: read('window', (path, window) => checkInteger(path, window, 0, MOST_ROWS)),
    ...checkNorms(where, entry),
  });
  if (block.keysFrom === 'memory') refusePositions(where, block);
  return block;
}

function checkKeyHeads(where: string, value: unknown, heads: number): number {
  const keyHeads = checkInteger(where, value, 1, heads);
  if (heads % keyHeads === 0) return keyHeads;
  throw invalid(where, String(keyHeads), `a divisor of heads, ${heads}`);
}

function refusePositions(where: string, block: AttentionBlock): void {
  const expected = "none with keysFrom 'memory', whose keys have no distance from a query";
  for (const name of OF_POSITIONS) {
    if (block[name] !== undefined) {
      throw invalid(`${where}.${name}`, describe(block[name]), expected);
    }
  }
  if (block.mask === 'causal') throw invalid(`${where}.mask`, "'causal'", expected);
}

function checkRotary(where: string, value: unknown, headDim: number): Rotary {
  const known = ['frequencies', 'pairs', 'magnitude'];
  const { frequencies, pairs, magnitude } = checkObject(where, value, known);
  const most = Math.floor(headDim / 2);
  const list = checkArray(`${where}.frequencies`, frequencies);
  if (list.length < 1 || list.length > most) {
    const expected = `1 to ${most}, the pairs of ${headDim} columns`;
    throw invalid(`${where}.frequencies`, `${list.length} frequencies`, expected);
  }
  return defined({
    frequencies: checkNumbers(`${where}.frequencies`, list),
    pairs: optional(pairs, (entry) =>
      checkLiteral(`${where}.pairs`, entry, ['halves', 'neighbours'] as const),
    ),
    magnitude: optional(magnitude, (entry) => checkFinite(`${where}.magnitude`, entry)),
  });
}

function checkSlopes(where: string, value: unknown, heads: number): readonly number[] {
  const list = checkArray(where, value);
  if (list.length === heads) return checkNumbers(where, list);
  throw invalid(where, `${list.length} slopes`, `one for each of ${heads} heads`);
}

function checkNumbers(where: string, list: readonly unknown[]): readonly number[] {
  return Array.from(list, (entry, i) => checkFinite(`${where}[${i}]`, entry));
}

function checkRelativeBias(where: string, value: unknown): RelativeBias {
  const known = ['table', 'bucketCount', 'buckets'];
  const { table, bucketCount, buckets } = checkObject(where, value, known);
  const count = checkInteger(`${where}.bucketCount`, bucketCount, 1, MOST_ROWS);
  const list = checkArray(`${where}.buckets`, buckets);
  if (list.length % 2 === 0 || list.length > MOST_BUCKETS) {
    const expected = `an odd number up to ${MOST_BUCKETS}: distances from -L to L`;
    throw invalid(`${where}.buckets`, `${list.length} buckets`, expected);
  }
  return {
    table: checkRef(`${where}.table`, table),
    bucketCount: count,
    buckets: Array.from(list, (bucket, i) =>
      checkInteger(`${where}.buckets[${i}]`, bucket, 0, count - 1),
    ),
  };
}
