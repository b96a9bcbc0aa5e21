/**
 * Plans composed at random against the naive reference, after every block: norms before and after, every
 * activation, causal and windowed masks, grouped key heads, sinusoidal positions, weight views, pools.
 */

import { loadAddon } from '../../lib/native';
import type { Block, Plan } from '../../lib/plan';
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

const blockName = (seed: number, i: number, { block }: Block) =>
  `seed ${seed}, block ${i} (${block})`;

/** Compares each block's stream with the naive one; throws at the first that disagrees, naming it. */
function compareBlocks(seed: number, random: RandomPlan, streams: Float32Array[]): Comparison[] {
  const { plan, weights, batch } = random;
  const reference = runNaive(plan, weights, batch, exact);
  const singles = naiveF32.map((arithmetic) => runNaive(plan, weights, batch, arithmetic));
  return plan.blocks.map((block, i) => {
    const { data, columns } = reference[i] as Matrix;
    const naive = maxAbsOf(singles.map((single) => distance(single[i] as Matrix, data)));
    const tolerance = policyTolerance(data, naive);
    return compare(blockName(seed, i, block), streams[i] as Float32Array, data, columns, tolerance);
  });
}

test.each(SEEDS)('seed %i: the stream after every block', async (seed) => {
  const random = randomPlan(new Random(seed));
  const streams = await run(random.plan, random);
  for (const comparison of compareBlocks(seed, random, streams)) report.add(comparison);
});

describe('a plan that differs in one property is seen, at the block that has it', () => {
  /** The block without a property; unchanged where it has none. */
  const without = (block: Block, key: string) =>
    Object.fromEntries(Object.entries(block).filter(([name]) => name !== key)) as unknown as Block;
  const changed = (block: Block, change: object) => ({ ...block, ...change }) as Block;
  const changes: [string, Block['block'], (block: Block) => Block][] = [
    ['the mask', 'attention', (block) => changed(block, { mask: 'causal', window: 2 })],
    ['the scale of scores', 'attention', (block) => changed(block, { scale: 0.03 })],
    ['no norm before attention', 'attention', (block) => without(block, 'normBefore')],
    ['no norm after attention', 'attention', (block) => without(block, 'normAfter')],
    ['the activation', 'feedForward', (block) => changed(block, { activation: 'silu' })],
    ['no norm before feed-forward', 'feedForward', (block) => without(block, 'normBefore')],
    ['no norm after feed-forward', 'feedForward', (block) => without(block, 'normAfter')],
    ['no positions', 'embed', (block) => without(block, 'positions')],
    ['the scale of embeddings', 'embed', (block) => changed(block, { scale: 1.01 })],
    ['no types', 'embed', (block) => without(block, 'types')],
  ];

  /** The first seeds whose plan has such a block, with more than a few tokens, and is changed by `change`. */
  function affected(kind: Block['block'], change: (block: Block) => Block) {
    return SEEDS.flatMap((seed) => {
      const random = randomPlan(new Random(seed));
      const place = random.plan.blocks.findIndex(({ block }) => block === kind);
      const block = random.plan.blocks[place];
      if (!block || random.batch.tokens.length < 20) return [];
      if (JSON.stringify(change(block)) === JSON.stringify(block)) return [];
      const blocks = random.plan.blocks.map((other, i) => (i === place ? change(other) : other));
      return [
        { seed, random, plan: { ...random.plan, blocks }, where: blockName(seed, place, block) },
      ];
    }).slice(0, 3);
  }

  test.each(changes)('%s', async (_name, kind, change) => {
    const cases = affected(kind, change);
    expect(cases).toHaveLength(3);
    for (const { seed, random, plan, where } of cases) {
      const { types: _types, ...untyped } = random.batch;
      const { batch } = 'types' in (plan.blocks[0] as Block) ? random : { batch: untyped };
      const streams = await run(plan, { ...random, batch });
      expect(() => compareBlocks(seed, random, streams)).toThrow(`${where}: row`);
    }
  });
});
