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
  describe,
  invalid,
  isObject,
  optional,
} from './check';
import type {
  Block,
  EmbedBlock,
  FeedForwardBlock,
  NormBlock,
  Plan,
  PoolBlock,
  Positions,
  ProjectBlock,
  SelectBlock,
} from './plan';
import { checkAttention } from './plan-check-attention';
import {
  checkActivation,
  checkLinear,
  checkNormSpec,
  checkNorms,
  checkRef,
  defined,
  MOST_COLUMNS,
  MOST_ROWS,
  NORMS,
} from './plan-check-specs';

const MOST_SINUSOIDAL_POSITIONS = 2 ** 20;
export const MOST_BLOCKS = 4096;
const MOST_PARTS = 64;

/** What the stream is before and after each block. */
export interface Stream {
  readonly rows: 'tokens' | 'selected' | 'sequences';
  readonly columns: number;
}

const CHECKS: { readonly [K in Block['block']]: (where: string, value: unknown) => Block } = {
  embed: checkEmbed,
  attention: checkAttention,
  feedForward: checkFeedForward,
  norm: checkNorm,
  project: checkProject,
  pool: checkPool,
  select: checkSelect,
};

/**
 * @throws MultiheadError INVALID_ARGUMENT, naming the path of the value
 * @example
 * const frozen = checkPlan(JSON.parse(text));
 */
export function checkPlan(value: unknown): Plan {
  const entry = checkObject('plan', value, ['width', 'memoryWidth', 'blocks']);
  const columns = checkInteger('plan.width', entry['width'], 1, MOST_COLUMNS);
  const memoryWidth = optional(entry['memoryWidth'], (width) =>
    checkInteger('plan.memoryWidth', width, 1, MOST_COLUMNS),
  );
  const list = checkArray('plan.blocks', entry['blocks']);
  if (list.length < 1 || list.length > MOST_BLOCKS) {
    throw invalid('plan.blocks', `${list.length} blocks`, `1 to ${MOST_BLOCKS}`);
  }
  let stream: Stream = { rows: 'tokens', columns };
  // Array.from reads the holes of a sparse array, which map would skip.
  const blocks = Array.from(list, (given, i) => {
    const where = `plan.blocks[${i}]`;
    const block = checkBlock(where, given, i);
    stream = streamAfter(where, block, stream);
    return block;
  });
  checkMemory(memoryWidth, blocks);
  return deepFreeze(defined({ width: columns, memoryWidth, blocks }));
}

/** A memory has a width if and only if a block reads it. */
function checkMemory(memoryWidth: number | undefined, blocks: readonly Block[]): void {
  const reader = blocks.findIndex(
    (block) => block.block === 'attention' && block.keysFrom === 'memory',
  );
  if (reader >= 0 && memoryWidth === undefined) {
    const expected = `the columns of the memory that plan.blocks[${reader}] reads`;
    throw invalid('plan.memoryWidth', 'undefined', expected);
  }
  if (reader < 0 && memoryWidth !== undefined) {
    throw invalid('plan.memoryWidth', String(memoryWidth), 'none, as no block reads a memory');
  }
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

/** Blocks that need every token of a sequence; the others work row by row. */
const ON_TOKENS: readonly Block['block'][] = ['attention', 'pool', 'select'];

/** Columns of the stream after the last block of a checked plan. */
export function columnsAfter({ width, blocks }: Plan): number {
  let stream: Stream = { rows: 'tokens', columns: width };
  for (const [i, block] of blocks.entries()) {
    stream = streamAfter(`plan.blocks[${i}]`, block, stream);
  }
  return stream.columns;
}

/** The stream after a checked block; throws where the block does not fit the stream. */
export function streamAfter(where: string, block: Block, stream: Stream): Stream {
  if (stream.rows !== 'tokens' && ON_TOKENS.includes(block.block)) {
    const before = stream.rows === 'sequences' ? 'a pool' : 'a select';
    throw invalid(where, `${block.block} after ${before}`, 'a block that works on single rows');
  }
  switch (block.block) {
    case 'project':
      return { ...stream, columns: block.width };
    case 'select':
      return { ...stream, rows: 'selected' };
    case 'pool': {
      const columns = block.parts.length * stream.columns;
      if (columns <= MOST_COLUMNS) return { rows: 'sequences', columns };
      throw invalid(where, `${columns} columns`, `at most ${MOST_COLUMNS}`);
    }
    default:
      return stream;
  }
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
  const known = ['kind', 'table', 'count', 'offset', 'layout'];
  const { kind } = checkObject(where, value, known);
  const kinds = ['learned', 'sinusoidal'] as const;
  if (checkLiteral(`${where}.kind`, kind, kinds) === 'sinusoidal') {
    const { count, layout } = checkObject(where, value, ['kind', 'count', 'layout']);
    return defined({
      kind: 'sinusoidal',
      count: checkInteger(`${where}.count`, count, 1, MOST_SINUSOIDAL_POSITIONS),
      layout: optional(layout, (entry) =>
        checkLiteral(`${where}.layout`, entry, ['interleaved', 'split'] as const),
      ),
    });
  }
  const { table, count, offset } = checkObject(where, value, ['kind', 'table', 'count', 'offset']);
  const rows = checkInteger(`${where}.count`, count, 1, MOST_ROWS);
  return defined({
    kind: 'learned',
    table: checkRef(`${where}.table`, table),
    count: rows,
    offset: optional(offset, (entry) => checkInteger(`${where}.offset`, entry, 0, rows - 1)),
  });
}

function checkFeedForward(where: string, value: unknown): FeedForwardBlock {
  const known = ['block', 'inner', 'activation', 'gate', 'up', 'down', ...NORMS];
  const entry = checkObject(where, value, known);
  return defined({
    block: 'feedForward',
    inner: checkInteger(`${where}.inner`, entry['inner'], 1, MOST_COLUMNS),
    activation: checkActivation(`${where}.activation`, entry['activation']),
    gate: optional(entry['gate'], (gate) => checkLinear(`${where}.gate`, gate)),
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
  const known = ['block', 'width', 'scale', 'activation', 'linear'];
  const { width, scale, activation, linear } = checkObject(where, value, known);
  return defined({
    block: 'project',
    width: checkInteger(`${where}.width`, width, 1, MOST_COLUMNS),
    scale: optional(scale, (entry) => checkFinite(`${where}.scale`, entry)),
    activation: checkActivation(`${where}.activation`, activation),
    linear: checkLinear(`${where}.linear`, linear),
  });
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

function checkSelect(where: string, value: unknown): SelectBlock {
  checkObject(where, value, ['block']);
  return { block: 'select' };
}

function deepFreeze<T extends object>(value: T): T {
  for (const entry of Object.values(value)) {
    if (typeof entry === 'object' && entry !== null) deepFreeze(entry);
  }
  return Object.freeze(value);
}
