/**
 * Plans composed at random against the naive reference, after every block: norms before and after, every
 * activation, causal and windowed masks, grouped key heads, sinusoidal positions, weight views, pools.
 */

import { loadAddon } from '../../lib/native';
import { compare, maxAbsOf, policyTolerance, Report } from './comparator';
import { exact, runNaive } from './naive';
import { Random } from './random';
import { randomPlan } from './random-plan';

const SEEDS = Array.from({ length: 40 }, (_, i) => i + 1);
const report = new Report('random plans');
afterAll(() => report.print());

/** The weights as one source in memory. */
function nativeWeights(weights: ReturnType<typeof randomPlan>['weights']) {
  const sources: { data: Uint8Array }[] = [];
  const tensors = [...weights].map(([name, { shape, data }], source) => {
    sources.push({ data: new Uint8Array(Float32Array.from(data).buffer) });
    return {
      name,
      dtype: 'f32',
      shape,
      source,
      offset: 0,
      byteLength: data.length * 4,
    };
  });
  return { sources, tensors };
}

test.each(SEEDS)('seed %i: the stream after every block', async (seed) => {
  const { plan, weights, batch } = randomPlan(new Random(seed));
  const reference = runNaive(plan, weights, batch, exact);
  const single = runNaive(plan, weights, batch, Math.fround);
  const model = await loadAddon().load(plan, nativeWeights(weights)).done;
  const outputs = Int32Array.from(plan.blocks.keys());
  const streams = await model.run(batch, outputs).done;
  model.dispose();
  for (const [i, block] of plan.blocks.entries()) {
    const { data, columns } = reference[i] as (typeof reference)[number];
    const naive = maxAbsOf(data.map((x, n) => (single[i]?.data[n] as number) - x));
    const where = `seed ${seed}, block ${i} (${block.block})`;
    const tolerance = policyTolerance(data, naive);
    report.add(compare(where, streams[i] as Float32Array, data, columns, tolerance));
  }
});
