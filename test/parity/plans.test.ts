/**
 * Plans composed at random against the naive reference, after every block: encoders and decoders with every
 * activation, mask, position scheme, source of keys, norm placement and weight view.
 */

import { loadAddon } from '../../lib/native';
import type { AttentionBlock, Block, Plan } from '../../lib/plan';
import { checkPlan } from '../../lib/plan-check';
import { planWeights } from '../../lib/plan-weights';
import { at, type Comparison, compare, maxAbsOf, policyTolerance, Report } from './comparator';
import { runNaive } from './naive';
import { exact, type Matrix, naiveF32 } from './naive-math';
import { Random } from './random';
import { type RandomPlan, randomPlan } from './random-plan';

const SEEDS = Array.from({ length: 40 }, (_, i) => i + 1);
const report = new Report('random plans');
afterAll(() => report.print());

/** The stream after every block of `plan`, which may differ from the plan that the weights were made for. */
async function run(plan: Plan, { weights, batch }: RandomPlan): Promise<Float32Array[]> {
  const sources: { data: Uint8Array }[] = [];
  const tensors = [...weights].map(([name, { shape, data }], source) => {
    sources.push({ data: new Uint8Array(Float32Array.from(data).buffer) });
    return { name, dtype: 'f32', shape, source, offset: 0, byteLength: data.length * 4 };
  });
  const model = await loadAddon().load(plan, { sources, tensors }).done;
  try {
    return await model.run(batch, Int32Array.from(plan.blocks.keys())).done;
  } finally {
    model.dispose();
  }
}

function distance({ data }: Matrix, reference: Float64Array): number {
  return maxAbsOf(data.map((x, i) => x - at(reference, i)));
}

/** A random plan, and what the naive reference says of it. */
interface Case extends RandomPlan {
  readonly seed: number;
  /** The stream after every block. */
  readonly reference: readonly Matrix[];
  readonly tolerances: readonly number[];
}

const known = new Map<number, Case>();

/** The case of a seed; computed once, as the naive reference is slow. */
function caseOf(seed: number): Case {
  const result = known.get(seed) ?? makeCase(seed);
  known.set(seed, result);
  return result;
}

function makeCase(seed: number): Case {
  const random = randomPlan(new Random(seed));
  const { plan, weights, batch } = random;
  const reference = runNaive(plan, weights, batch, exact);
  const singles = naiveF32.map((arithmetic) => runNaive(plan, weights, batch, arithmetic));
  const tolerances = reference.map(({ data }, i) => {
    const naive = maxAbsOf(singles.map((single) => distance(single[i] as Matrix, data)));
    return policyTolerance(data, naive);
  });
  return { ...random, seed, reference, tolerances };
}

const blockName = ({ seed, plan }: Case, i: number) =>
  `seed ${seed}, block ${i} (${plan.blocks[i]?.block})`;

/** Compares each block's stream with the naive one; throws at the first that disagrees, naming it. */
function compareBlocks(random: Case, streams: readonly Float32Array[]): Comparison[] {
  return random.reference.map(({ data, columns }, i) => {
    const ours = streams[i] as Float32Array;
    return compare(blockName(random, i), ours, data, columns, at(random.tolerances, i));
  });
}

test.each(SEEDS)('seed %i: the stream after every block', async (seed) => {
  const random = caseOf(seed);
  const streams = await run(random.plan, random);
  for (const comparison of compareBlocks(random, streams)) report.add(comparison);
});

describe('the random plans have, at least three times each', () => {
  const plans = SEEDS.map((seed) => randomPlan(new Random(seed)));
  const text = plans.map(({ plan }) => JSON.stringify(plan));
  test.each([
    '"keysFrom":"memory"',
    '"rotary"',
    '"pairs":"neighbours"',
    '"magnitude"',
    '"slopes"',
    '"relativeBias"',
    '"queryNorm"',
    '"keyNorm"',
    '"mask":"causal"',
    '"window"',
    '"gate"',
    '"layout":"split"',
    '"kind":"l2"',
    '"kind":"rms"',
    '"groups"',
    '"rows"',
    '"transpose"',
    '"block":"select"',
    '"block":"pool"',
    ...['identity', 'relu', 'gelu', 'gelu_tanh', 'silu', 'tanh'].map((name) => `"${name}"`),
  ])('%s', (property) => {
    expect(text.filter((plan) => plan.includes(property)).length).toBeGreaterThanOrEqual(3);
  });

  test('plans that the library accepts', () => {
    for (const { plan } of plans) expect(checkPlan(plan)).toEqual(plan);
  });

  test('weights as the library lists them', () => {
    for (const { plan, weights } of plans) {
      for (const { name, shape } of planWeights(plan)) {
        const stored = weights.get(name)?.shape ?? [];
        expect(stored).toHaveLength(shape.length);
        stored.forEach((size, i) => {
          expect(size).toBeGreaterThanOrEqual(at(shape, i));
        });
      }
    }
  });
});

describe('a plan that differs in one property is seen, at the block that has it', () => {
  /** The block without a property; unchanged where it has none. */
  const without = (block: Block, key: string) =>
    Object.fromEntries(Object.entries(block).filter(([name]) => name !== key)) as unknown as Block;
  const changed = (block: Block, change: object) => ({ ...block, ...change }) as Block;
  const ofAttention = (block: Block, change: (attention: AttentionBlock) => object) =>
    block.block === 'attention' ? changed(block, change(block)) : block;
  const reversed = <T>(list: readonly T[]) => [...list].reverse();
  const changes: [string, Block['block'], (block: Block) => Block][] = [
    [
      'the mask',
      'attention',
      (block) =>
        ofAttention(block, ({ keysFrom }) => (keysFrom ? {} : { mask: 'causal', window: 2 })),
    ],
    ['no rotation', 'attention', (block) => without(block, 'rotary')],
    [
      'the pairs of the rotation',
      'attention',
      (block) =>
        ofAttention(block, ({ rotary }) =>
          rotary
            ? {
                rotary: {
                  ...rotary,
                  pairs: rotary.pairs === 'neighbours' ? 'halves' : 'neighbours',
                },
              }
            : {},
        ),
    ],
    [
      'the magnitude of the rotation',
      'attention',
      (block) =>
        ofAttention(block, ({ rotary }) =>
          rotary ? { rotary: { ...rotary, magnitude: 1.1 } } : {},
        ),
    ],
    ['no slopes', 'attention', (block) => without(block, 'slopes')],
    [
      'the order of slopes',
      'attention',
      (block) => ofAttention(block, ({ slopes }) => (slopes ? { slopes: reversed(slopes) } : {})),
    ],
    ['no relative bias', 'attention', (block) => without(block, 'relativeBias')],
    [
      'the direction of relative bias',
      'attention',
      (block) =>
        ofAttention(block, ({ relativeBias }) =>
          relativeBias
            ? { relativeBias: { ...relativeBias, buckets: reversed(relativeBias.buckets) } }
            : {},
        ),
    ],
    ['no norm of queries', 'attention', (block) => without(block, 'queryNorm')],
    ['no norm of keys', 'attention', (block) => without(block, 'keyNorm')],
    ['the scale of scores', 'attention', (block) => changed(block, { scale: 0.03 })],
    ['no norm before attention', 'attention', (block) => without(block, 'normBefore')],
    ['no norm after attention', 'attention', (block) => without(block, 'normAfter')],
    ['the activation', 'feedForward', (block) => changed(block, { activation: 'silu' })],
    ['no norm before feed-forward', 'feedForward', (block) => without(block, 'normBefore')],
    ['no norm after feed-forward', 'feedForward', (block) => without(block, 'normAfter')],
    ['no gate', 'feedForward', (block) => without(block, 'gate')],
    ['the scale of a projection', 'project', (block) => changed(block, { scale: 1.01 })],
    [
      'the layout of sinusoids',
      'embed',
      (block) => {
        if (block.block !== 'embed' || block.positions?.kind !== 'sinusoidal') return block;
        const layout = block.positions.layout === 'split' ? 'interleaved' : 'split';
        return changed(block, { positions: { ...block.positions, layout } });
      },
    ],
    ['no positions', 'embed', (block) => without(block, 'positions')],
    ['the scale of embeddings', 'embed', (block) => changed(block, { scale: 1.01 })],
    ['no types', 'embed', (block) => without(block, 'types')],
  ];

  /** The first plans of which `change` changes a block and, by the naive reference, what it yields. */
  function affected(kind: Block['block'], change: (block: Block) => Block) {
    const found = [];
    for (const random of SEEDS.map(caseOf)) {
      const { blocks } = random.plan;
      const place = blocks.findIndex(
        (block) => block.block === kind && JSON.stringify(change(block)) !== JSON.stringify(block),
      );
      if (place < 0 || random.batch.tokens.length < 20) continue;
      const plan = {
        ...random.plan,
        blocks: blocks.map((block, i) => (i === place ? change(block) : block)),
      };
      if (!isSeen(random, plan, place)) continue;
      found.push({ random, plan, where: blockName(random, place) });
      if (found.length === 3) break;
    }
    return found;
  }

  /** Whether the changed block at `place` yields something else by more than rounding. */
  function isSeen({ weights, batch, reference }: Case, plan: Plan, place: number): boolean {
    const upTo = { ...plan, blocks: plan.blocks.slice(0, place + 1) };
    const changed = runNaive(upTo, weights, batch, exact).at(-1) as Matrix;
    const { data } = reference[place] as Matrix;
    return distance(changed, data) > 1e-3 * maxAbsOf(data);
  }

  test.each(changes)('%s', async (_name, kind, change) => {
    const cases = affected(kind, change);
    expect(cases).toHaveLength(3);
    for (const { random, plan, where } of cases) {
      const { types: _types, ...untyped } = random.batch;
      const { batch } = 'types' in (plan.blocks[0] as Block) ? random : { batch: untyped };
      const streams = await run(plan, { ...random, batch });
      expect(() => compareBlocks(random, streams)).toThrow(`${where}: row`);
    }
  });
});
