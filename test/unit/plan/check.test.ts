/** checkPlan: every rule with the path that it names, and what comes back. */

import fc from 'fast-check';
import { MultiheadError } from '../../../lib/errors';
import { checkPlan } from '../../../lib/plan-check';
import { errorOf } from '../../binding/support/errors';

const ref = (tensor: string) => ({ tensor });
const linear = { weight: ref('w'), bias: ref('b') };
const layerNorm = { kind: 'layer', epsilon: 1e-5, gain: ref('g'), bias: ref('b') };

/** A plan with every kind of block and every key; fresh each time, to be spoilt. */
const full = () =>
  structuredClone({
    width: 8,
    blocks: [
      {
        block: 'embed',
        vocabulary: 10,
        tokens: ref('tokens'),
        types: { table: ref('types'), count: 2 },
        positions: { kind: 'learned', table: ref('positions'), count: 4, offset: 2 },
        scale: 2,
        norm: layerNorm,
      },
      {
        block: 'attention',
        heads: 4,
        keyHeads: 2,
        headDim: 2,
        query: { weight: { tensor: 'qkv', rows: [0, 8], transpose: true } },
        key: linear,
        value: linear,
        output: linear,
        scale: 0.5,
        mask: 'causal',
        window: 3,
        normBefore: { kind: 'rms', epsilon: 0, gain: ref('g') },
        normAfter: layerNorm,
      },
      { block: 'feedForward', inner: 16, activation: 'silu', up: linear, down: linear },
      { block: 'norm', norm: { kind: 'l2', epsilon: 1e-12 } },
      { block: 'pool', parts: ['weighted', 'max'] },
      { block: 'project', width: 3, activation: 'tanh', linear },
    ],
  });

/** A copy with the value at a path as `blocks.1.heads` replaced. */
function changed(path: string, value: unknown): unknown {
  const plan = full();
  const keys = path.split('.');
  const last = keys.pop() as string;
  const parent = keys.reduce<Record<string, unknown>>(
    (object, key) => object[key] as Record<string, unknown>,
    plan as unknown as Record<string, unknown>,
  );
  parent[last] = value;
  return plan;
}

function isFrozen(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return Object.isFrozen(value) && Object.values(value).every(isFrozen);
}

test('a plan with everything passes unchanged, as a frozen copy', () => {
  const plan = full();
  const checked = checkPlan(plan);
  expect(checked).toEqual(full());
  expect(isFrozen(checked)).toBe(true);
  plan.width = 9;
  (plan.blocks[4] as { parts: string[] }).parts.push('max');
  expect(checked).toEqual(full());
  expect(Object.isFrozen(plan)).toBe(false);
});

test('undefined options are left out', () => {
  const plan = checkPlan(changed('blocks.1.mask', undefined));
  expect(Object.hasOwn(plan.blocks[1] as object, 'mask')).toBe(false);
  expect(JSON.parse(JSON.stringify(plan))).toEqual(plan);
});

test.each<[string, unknown, string?]>([
  ['width', 0],
  ['width', 1.5],
  ['width', '8'],
  ['width', Number.NaN],
  ['width', 2 ** 24 + 1],
  ['blocks', {}],
  ['blocks', []],
  ['blocks', new Array(4097).fill({ block: 'embed' })],
  ['more', 1],
  ['blocks.1', null],
  ['blocks.1', 7],
  ['blocks.1', []],
  ['blocks.1.block', 'atention'],
  ['blocks.1.block', ['attention']],
  ['blocks.1.block', 'constructor'],
  ['blocks.0.block', 'norm', 'blocks[0]'],
  ['blocks.3.block', 'embed', 'blocks[3]'],
  ['blocks.0.vocabulary', 0],
  ['blocks.0.vocabulary', 2 ** 31],
  ['blocks.0.vocabulary', 10n],
  ['blocks.0.tokens', 'tokens'],
  ['blocks.0.tokens.tensor', ''],
  ['blocks.0.tokens.tensor', 7],
  ['blocks.0.tokens.row', [0, 1]],
  ['blocks.0.types.count', 0],
  ['blocks.0.types', null],
  ['blocks.0.positions.kind', 'rotary'],
  ['blocks.0.positions.count', 0],
  ['blocks.0.positions.offset', 4],
  ['blocks.0.positions.offset', -1],
  ['blocks.0.positions', { kind: 'sinusoidal', count: 2 ** 20 + 1 }, 'blocks[0].positions.count'],
  ['blocks.0.positions', { kind: 'sinusoidal', count: 2, offset: 0 }, 'blocks[0].positions.offset'],
  ['blocks.0.scale', Number.POSITIVE_INFINITY],
  ['blocks.0.scale', null],
  ['blocks.0.norm.kind', 'batch'],
  ['blocks.0.norm.epsilon', -1e-9],
  ['blocks.0.norm.epsilon', Number.NaN],
  ['blocks.0.norm.beta', ref('b')],
  ['blocks.1.normBefore.bias', ref('b')],
  ['blocks.3.norm.gain', ref('g')],
  ['blocks.3.norm.bias', ref('b')],
  ['blocks.1.heads', 0],
  ['blocks.1.heads', 2 ** 23 + 1],
  ['blocks.1.headDim', 257],
  ['blocks.1.keyHeads', 3],
  ['blocks.1.keyHeads', 8],
  ['blocks.1.query', undefined],
  ['blocks.1.query.weight', undefined],
  ['blocks.1.query.weight.rows', [0]],
  ['blocks.1.query.weight.rows', [0, 1, 2]],
  ['blocks.1.query.weight.rows', '01'],
  ['blocks.1.query.weight.rows', [3, 2], 'blocks[1].query.weight.rows[1]'],
  ['blocks.1.query.weight.rows', [-1, 2], 'blocks[1].query.weight.rows[0]'],
  ['blocks.1.query.weight.rows', new Array(2), 'blocks[1].query.weight.rows[0]'],
  ['blocks.1.query.weight.transpose', 1],
  ['blocks.1.key.gain', ref('g')],
  ['blocks.1.scale', '1'],
  ['blocks.1.mask', 'none'],
  ['blocks.1.window', -1],
  ['blocks.1.norm', layerNorm],
  ['blocks.2.inner', 0],
  ['blocks.2.activation', 'swish'],
  ['blocks.2.activation', undefined],
  ['blocks.4.parts', []],
  ['blocks.4.parts', 'max'],
  ['blocks.4.parts', new Array(65).fill('max')],
  ['blocks.4.parts', ['max', 'mean'], 'blocks[4].parts[1]'],
  ['blocks.4.parts', new Array(2), 'blocks[4].parts[0]'],
  ['blocks.5.width', 0],
  ['blocks.5', { block: 'pool', parts: ['max'] }, 'blocks[5]'],
  ['blocks.5', full().blocks[1], 'blocks[5]'],
])('%s: %p is refused by its path', async (path, value, ...[where]) => {
  const error = await errorOf(() => checkPlan(changed(path, value)));
  const byIndex = path.replace(/\.(\d+)/g, '[$1]');
  expect([error.code, error.details.where]).toEqual([
    'INVALID_ARGUMENT',
    `plan.${where ?? byIndex}`,
  ]);
});

test.each([undefined, null, 7, 'plan', [], () => full(), Promise.resolve(full()), new Map()])(
  '%p is no plan',
  async (value) => {
    expect((await errorOf(() => checkPlan(value))).code).toBe('INVALID_ARGUMENT');
  },
);

test('a hole among the blocks is refused', async () => {
  const plan = full();
  plan.blocks.length += 1;
  expect((await errorOf(() => checkPlan(plan))).details.where).toBe('plan.blocks[6]');
});

test('more columns after a pool than the engine takes', async () => {
  const blocks = [full().blocks[0], { block: 'pool', parts: ['max', 'max'] }];
  const error = await errorOf(() => checkPlan({ width: 2 ** 24, blocks }));
  expect(error.message).toContain('plan.blocks[1]: 33554432 columns');
});

test('a getter is asked once', () => {
  const plan = full();
  let asked = 0;
  Object.defineProperty(plan.blocks[1], 'heads', {
    enumerable: true,
    get: () => {
      asked += 1;
      return asked === 1 ? 4 : 'later another';
    },
  });
  expect(checkPlan(plan).blocks[1]).toMatchObject({ heads: 4 });
  expect(asked).toBe(1);
});

test('any JSON, and plans with any JSON somewhere, are refused by a typed error or frozen', () => {
  const seen = { plans: 0, refused: 0 };
  const paths = fc.constantFrom(
    ...['width', 'blocks', 'more', 'blocks.0', 'blocks.0.scale', 'blocks.0.norm', 'blocks.6'],
    ...['blocks.1.heads', 'blocks.1.keyHeads', 'blocks.1.query.weight', 'blocks.1.window'],
    ...['blocks.2.inner', 'blocks.2.up.bias', 'blocks.3.norm', 'blocks.4.parts', 'blocks.5.width'],
  );
  const value = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom(1, 2, 4, undefined, layerNorm, ref('x'), ['max'], full().blocks[3]),
  );
  const candidate = fc.oneof(
    fc.jsonValue(),
    fc.tuple(paths, value).map(([path, entry]) => changed(path, entry)),
  );
  const property = fc.property(candidate, (plan) => {
    try {
      expect(isFrozen(checkPlan(plan))).toBe(true);
      seen.plans += 1;
    } catch (error) {
      if (!(error instanceof MultiheadError)) throw error;
      expect([error.code, error.details.where]).toEqual([
        'INVALID_ARGUMENT',
        expect.stringMatching(/^plan/),
      ]);
      seen.refused += 1;
    }
  });
  fc.assert(property, { seed: 99, numRuns: 3000 });
  expect(seen.plans).toBeGreaterThan(50);
  expect(seen.refused).toBeGreaterThan(1000);
});
