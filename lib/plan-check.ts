/**
 * Checks a plan and returns a deeply frozen copy of it.
 *
 * Everything that can be known without weights is checked here, with paths such as `plan.blocks[2].heads`;
 * the native compile checks again, and the shapes of the weights with it.
 */

import {
  checkArray,
  checkFinite,
  checkInteger,
  checkLiteral,
  checkObject,
  checkString,
  describe,
  invalid,
  isObject,
  optional,
} from './check';
import type {
  Activation,
  AttentionBlock,
  Block,
  EmbedBlock,
  FeedForwardBlock,
  LinearSpec,
  NormBlock,
  NormSpec,
  Plan,
  PoolBlock,
  Positions,
  ProjectBlock,
  WeightRef,
} from './plan';

/** Limits of the native engine. */
export const MOST_COLUMNS = 2 ** 24;
const MOST_ROWS = 2 ** 31 - 1;
const MOST_SINUSOIDAL_POSITIONS = 2 ** 20;
export const MOST_BLOCKS = 4096;
const MOST_PARTS = 64;
const MOST_HEAD_COLUMNS = 256;

const ACTIVATIONS: readonly Activation[] = [
  'identity',
  'relu',
  'gelu',
  'gelu_tanh',
  'silu',
  'tanh',
];

/** What the stream is before and after each block. */
export interface Stream {
  readonly rows: 'tokens' | 'sequences';
  readonly columns: number;
}

const CHECKS: { readonly [K in Block['block']]: (where: string, value: unknown) => Block } = {
  embed: checkEmbed,
  attention: checkAttention,
  feedForward: checkFeedForward,
  norm: checkNorm,
  project: checkProject,
  pool: checkPool,
};

/**
 * @throws MultiheadError INVALID_ARGUMENT, naming the path of the value
 * @example
 * const frozen = checkPlan(JSON.parse(text));
 */
export function checkPlan(value: unknown): Plan {
  const { width, blocks } = checkObject('plan', value, ['width', 'blocks']);
  const columns = checkInteger('plan.width', width, 1, MOST_COLUMNS);
  const list = checkArray('plan.blocks', blocks);
  if (list.length < 1 || list.length > MOST_BLOCKS) {
    throw invalid('plan.blocks', `${list.length} blocks`, `1 to ${MOST_BLOCKS}`);
  }
  let stream: Stream = { rows: 'tokens', columns };
  // Array.from reads the holes of a sparse array, which map would skip.
  const checked = Array.from(list, (entry, i) => {
    const where = `plan.blocks[${i}]`;
    const block = checkBlock(where, entry, i);
    stream = streamAfter(where, block, stream);
    return block;
  });
  return deepFreeze({ width: columns, blocks: checked });
}

/** The block at `index` of a plan, checked for itself. */
export function checkBlock(where: string, value: unknown, index: number): Block {
  if (!isObject(value)) throw invalid(where, describe(value), 'a block');
  const kinds = Object.keys(CHECKS) as Block['block'][];
  const kind = checkLiteral(`${where}.block`, value['block'], kinds);
  if ((kind === 'embed') !== (index === 0)) {
    throw invalid(where, kind, index === 0 ? 'embed' : 'a block that works on a stream');
  }
  return CHECKS[kind](where, value);
}

/** The stream after a checked block; throws where the block does not fit the stream. */
export function streamAfter(where: string, block: Block, stream: Stream): Stream {
  const isTokenLevel = block.block === 'attention' || block.block === 'pool';
  if (isTokenLevel && stream.rows === 'sequences') {
    throw invalid(where, `${block.block} after a pool`, 'a block that works on pooled rows');
  }
  if (block.block === 'project') return { ...stream, columns: block.width };
  if (block.block !== 'pool') return stream;
  const columns = block.parts.length * stream.columns;
  if (columns > MOST_COLUMNS) {
    throw invalid(where, `${columns} columns`, `at most ${MOST_COLUMNS}`);
  }
  return { rows: 'sequences', columns };
}

function checkEmbed(where: string, value: unknown): EmbedBlock {
  const known = ['block', 'vocabulary', 'tokens', 'types', 'positions', 'scale', 'norm'];
  const { vocabulary, tokens, types, positions, scale, norm } = checkObject(where, value, known);
  return defined({
    block: 'embed',
    vocabulary: checkInteger(`${where}.vocabulary`, vocabulary, 1, MOST_ROWS),
    tokens: checkRef(`${where}.tokens`, tokens),
    types: optional(types, (entry) => checkTypes(`${where}.types`, entry)),
    positions: optional(positions, (entry) => checkPositions(`${where}.positions`, entry)),
    scale: optional(scale, (entry) => checkFinite(`${where}.scale`, entry)),
    norm: optional(norm, (entry) => checkNormSpec(`${where}.norm`, entry)),
  });
}

function checkTypes(where: string, value: unknown): NonNullable<EmbedBlock['types']> {
  const { table, count } = checkObject(where, value, ['table', 'count']);
  return {
    table: checkRef(`${where}.table`, table),
    count: checkInteger(`${where}.count`, count, 1, MOST_ROWS),
  };
}

function checkPositions(where: string, value: unknown): Positions {
  const { kind, table, count, offset } = checkObject(where, value, [
    'kind',
    'table',
    'count',
    'offset',
  ]);
  if (checkLiteral(`${where}.kind`, kind, ['learned', 'sinusoidal']) === 'sinusoidal') {
    checkObject(where, value, ['kind', 'count']);
    const most = MOST_SINUSOIDAL_POSITIONS;
    return { kind: 'sinusoidal', count: checkInteger(`${where}.count`, count, 1, most) };
  }
  const rows = checkInteger(`${where}.count`, count, 1, MOST_ROWS);
  return defined({
    kind: 'learned',
    table: checkRef(`${where}.table`, table),
    count: rows,
    offset: optional(offset, (entry) => checkInteger(`${where}.offset`, entry, 0, rows - 1)),
  });
}

function checkAttention(where: string, value: unknown): AttentionBlock {
  const known = ['block', 'heads', 'keyHeads', 'headDim', 'query', 'key', 'value', 'output'];
  const entry = checkObject(where, value, [...known, 'scale', 'mask', 'window', ...NORMS]);
  const headDim = checkInteger(`${where}.headDim`, entry['headDim'], 1, MOST_HEAD_COLUMNS);
  const most = Math.floor(MOST_COLUMNS / headDim);
  const heads = checkInteger(`${where}.heads`, entry['heads'], 1, most);
  return defined({
    block: 'attention',
    heads,
    keyHeads: optional(entry['keyHeads'], (keyHeads) => checkKeyHeads(where, keyHeads, heads)),
    headDim,
    query: checkLinear(`${where}.query`, entry['query']),
    key: checkLinear(`${where}.key`, entry['key']),
    value: checkLinear(`${where}.value`, entry['value']),
    output: checkLinear(`${where}.output`, entry['output']),
    scale: optional(entry['scale'], (scale) => checkFinite(`${where}.scale`, scale)),
    mask: optional(entry['mask'], (mask) =>
      checkLiteral(`${where}.mask`, mask, ['full', 'causal'] as const),
    ),
    window: optional(entry['window'], (window) =>
      checkInteger(`${where}.window`, window, 0, MOST_ROWS),
    ),
    ...checkNorms(where, entry),
  });
}

function checkKeyHeads(where: string, value: unknown, heads: number): number {
  const keyHeads = checkInteger(`${where}.keyHeads`, value, 1, heads);
  if (heads % keyHeads === 0) return keyHeads;
  throw invalid(`${where}.keyHeads`, String(keyHeads), `a divisor of heads, ${heads}`);
}

function checkFeedForward(where: string, value: unknown): FeedForwardBlock {
  const known = ['block', 'inner', 'activation', 'up', 'down', ...NORMS];
  const entry = checkObject(where, value, known);
  return defined({
    block: 'feedForward',
    inner: checkInteger(`${where}.inner`, entry['inner'], 1, MOST_COLUMNS),
    activation: checkLiteral(`${where}.activation`, entry['activation'], ACTIVATIONS),
    up: checkLinear(`${where}.up`, entry['up']),
    down: checkLinear(`${where}.down`, entry['down']),
    ...checkNorms(where, entry),
  });
}

function checkNorm(where: string, value: unknown): NormBlock {
  const { norm } = checkObject(where, value, ['block', 'norm']);
  return { block: 'norm', norm: checkNormSpec(`${where}.norm`, norm) };
}

function checkProject(where: string, value: unknown): ProjectBlock {
  const known = ['block', 'width', 'activation', 'linear'];
  const { width, activation, linear } = checkObject(where, value, known);
  return {
    block: 'project',
    width: checkInteger(`${where}.width`, width, 1, MOST_COLUMNS),
    activation: checkLiteral(`${where}.activation`, activation, ACTIVATIONS),
    linear: checkLinear(`${where}.linear`, linear),
  };
}

function checkPool(where: string, value: unknown): PoolBlock {
  const { parts } = checkObject(where, value, ['block', 'parts']);
  const list = checkArray(`${where}.parts`, parts);
  if (list.length < 1 || list.length > MOST_PARTS) {
    throw invalid(`${where}.parts`, `${list.length} parts`, `1 to ${MOST_PARTS}`);
  }
  const checked = Array.from(list, (part, i) =>
    checkLiteral(`${where}.parts[${i}]`, part, ['weighted', 'max'] as const),
  );
  return { block: 'pool', parts: checked };
}

const NORMS = ['normBefore', 'normAfter'] as const;

function checkNorms(where: string, entry: Record<string, unknown>) {
  const check = (name: (typeof NORMS)[number]) =>
    optional(entry[name], (norm) => checkNormSpec(`${where}.${name}`, norm));
  return { normBefore: check('normBefore'), normAfter: check('normAfter') };
}

function checkNormSpec(where: string, value: unknown): NormSpec {
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

function checkLinear(where: string, value: unknown): LinearSpec {
  const { weight, bias } = checkObject(where, value, ['weight', 'bias']);
  return defined({
    weight: checkRef(`${where}.weight`, weight),
    bias: optional(bias, (ref) => checkRef(`${where}.bias`, ref)),
  });
}

function checkRef(where: string, value: unknown): WeightRef {
  const { tensor, rows, transpose } = checkObject(where, value, ['tensor', 'rows', 'transpose']);
  if (transpose !== undefined && typeof transpose !== 'boolean') {
    throw invalid(`${where}.transpose`, describe(transpose), 'true or false');
  }
  return defined({
    tensor: checkString(`${where}.tensor`, tensor),
    rows: optional(rows, (range) => checkRange(`${where}.rows`, range)),
    transpose,
  });
}

function checkRange(where: string, value: unknown): readonly [number, number] {
  const range = checkArray(where, value);
  if (range.length !== 2) throw invalid(where, describe(value), 'two row numbers, [begin, end)');
  const begin = checkInteger(`${where}[0]`, range[0], 0, MOST_ROWS);
  return [begin, checkInteger(`${where}[1]`, range[1], begin, MOST_ROWS)];
}

/** `value` without the properties that are undefined. */
function defined<T extends object>(value: T): T {
  for (const key of Object.keys(value) as (keyof T)[]) {
    if (value[key] === undefined) delete value[key];
  }
  return value;
}

function deepFreeze<T extends object>(value: T): T {
  for (const entry of Object.values(value)) {
    if (typeof entry === 'object' && entry !== null) deepFreeze(entry);
  }
  return Object.freeze(value);
}
