/**
 * Every family on tiny random checkpoints against transformers: the stream after each layer and the heads, first of
 * the plan alone, run by the naive reference in f64, then of the engine; so that a failure names the family, the
 * layer and which of the two is wrong.
 */

import { readModelFolder } from '../../lib/models';
import { planWeights } from '../../lib/plan-weights';
import { Report } from './comparator';
import {
  compareStreams,
  type FamilyCase,
  familiesWithoutGolden,
  familyCases,
  type RunPlan,
  runEngine,
  streamsOf,
} from './family-folders';
import { Golden } from './goldens';
import { runNaive } from './naive';
import { naiveWeights } from './naive-folder';
import { exact } from './naive-math';

const CASES = familyCases().map((entry): [string, FamilyCase] => [entry.name, entry]);

const naive: RunPlan = async (plan, { folder }, batch) =>
  runNaive(plan, naiveWeights(folder), batch, exact).map(({ data }) => data);

test('every family has a golden', () => {
  expect(familiesWithoutGolden()).toEqual([]);
});

describe.each([
  ['plan', naive],
  ['engine', runEngine],
] as const)('%s', (kind, run) => {
  const report = new Report(`families, ${kind}`);
  afterAll(() => report.print());

  test.each(CASES)('%s', async (name, { folder }) => {
    const golden = new Golden(folder);
    const streams = await streamsOf(folder, golden, run);
    for (const comparison of compareStreams(name, streams, golden)) report.add(comparison);
  });
});

test.each(CASES)('%s: every tensor is used or an expected leftover', async (_name, { folder }) => {
  const { plan, decoder, heads, weights, isExpectedLeftover } = await readModelFolder(folder);
  const head = Object.values(heads).flatMap((blocks) => (Array.isArray(blocks) ? blocks : []));
  const end = decoder ?? plan;
  const plans = [plan, { ...end, blocks: [...end.blocks, ...head] }];
  const used = new Set(plans.flatMap((one) => planWeights(one)).map(({ name }) => name));
  const names = weights.tensors.map(({ name }) => name);
  expect([...used].filter((name) => !names.includes(name))).toEqual([]);
  expect(names.filter((name) => !used.has(name) && !isExpectedLeftover(name))).toEqual([]);
});
