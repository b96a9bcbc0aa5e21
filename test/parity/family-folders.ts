/** The goldens of the families: what a folder's plans and heads compute, by the names of the golden's arrays. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadModel } from '../../lib/compute';
import { FAMILIES, type ModelFolder, readModelFolder } from '../../lib/models';
import type { Block, Plan } from '../../lib/plan';
import { fillPoolWeights } from '../../lib/pooling';
import { at, type Comparison, compare, type Numbers, policyTolerance } from './comparator';
import { GOLDEN, type Golden, goldenCases } from './goldens';
import type { NaiveBatch } from './naive';

/**
 * The paper's model has no class in transformers; plans.test.ts judges its blocks, and examples/dates the model.
 */
const WITHOUT_ORACLE = ['transformer'];

export interface FamilyCase {
  readonly family: string;
  readonly name: string;
  readonly folder: string;
}

/** Families of the index that have no golden. */
export function familiesWithoutGolden(): string[] {
  const present = readdirSync(join(GOLDEN, 'families'));
  const families = FAMILIES.map(({ modelType }) => modelType);
  return families.filter((name) => !present.includes(name) && !WITHOUT_ORACLE.includes(name));
}

export function familyCases(): FamilyCase[] {
  return goldenCases('families').flatMap((family) =>
    goldenCases(join('families', family)).map((name) => ({
      family,
      name: `${family}/${name}`,
      folder: join(GOLDEN, 'families', family, name),
    })),
  );
}

/** Runs a plan with a folder's weights and returns the stream after every block. */
export type RunPlan = (plan: Plan, model: ModelFolder, batch: NaiveBatch) => Promise<Numbers[]>;

export const runEngine: RunPlan = async (plan, { weights }, batch) => {
  const model = await loadModel(plan, weights, { device: 'cpu', dtype: 'f32' });
  try {
    return await model.run(batch, Int32Array.from(plan.blocks.keys())).done;
  } finally {
    model.dispose();
  }
};

/** Everything that the golden holds, computed from the folder, in the order of computation. */
export async function streamsOf(
  folder: string,
  golden: Golden,
  run: RunPlan,
): Promise<Map<string, Numbers>> {
  const model = await readModelFolder(folder);
  const batch: NaiveBatch = {
    tokens: golden.ints('tokens'),
    offsets: golden.ints('offsets'),
    ...(golden.has('types') && { types: golden.ints('types') }),
  };
  const streams = new Map<string, Numbers>();
  const keep = async (prefix: string, plan: Plan, input: NaiveBatch, tail: Tail | undefined) => {
    const blocks = [...plan.blocks, ...(tail?.blocks ?? [])];
    const { poolWeights } = tail ?? {};
    const found = await run({ ...plan, blocks }, model, {
      ...input,
      ...(poolWeights && { poolWeights }),
    });
    let layer = 0;
    for (const [i, { block }] of plan.blocks.entries()) {
      if (block !== 'embed' && block !== 'feedForward') continue;
      streams.set(`${prefix}layer.${layer}`, found[i] as Numbers);
      layer += 1;
    }
    streams.set(`${prefix}hidden`, found[plan.blocks.length - 1] as Numbers);
    if (tail) streams.set(tail.name, found.at(-1) as Numbers);
  };
  const tail = tailOf(model, golden);
  await keep('', model.plan, batch, model.decoder ? undefined : tail);
  if (model.decoder && golden.has('decoder_tokens')) {
    const decoderBatch: NaiveBatch = {
      tokens: golden.ints('decoder_tokens'),
      offsets: golden.ints('decoder_offsets'),
      // The naive reference takes an f64 memory as it is.
      memory: streams.get('hidden') as Float32Array,
      memoryOffsets: batch.offsets,
    };
    await keep('decoder.', model.decoder, decoderBatch, tail);
  }
  return streams;
}

/** The head that the golden has, after what makes its rows. */
interface Tail {
  readonly name: string;
  readonly blocks: readonly Block[];
  readonly poolWeights?: Float32Array;
}

function tailOf({ heads, folder }: ModelFolder, golden: Golden): Tail | undefined {
  const name = (['language', 'sequence', 'token'] as const).find((head) => golden.has(head));
  if (!name) return undefined;
  const head = heads[name];
  if (!head) throw new Error(`${folder}: no ${name} head`);
  if (name !== 'sequence') return { name, blocks: [{ block: 'select' }, ...head] };
  if (!heads.pooling) throw new Error(`${folder}: a sequence head without a pooling`);
  return {
    name,
    blocks: [{ block: 'pool', parts: ['weighted'] }, ...head],
    poolWeights: fillPoolWeights([heads.pooling], golden.ints('offsets'), 0),
  };
}

const SUFFIX = '.torch_f32_max_abs';

/** Compares all streams with the golden; throws at the first that disagrees, naming it. */
export function compareStreams(
  label: string,
  streams: ReadonlyMap<string, Numbers>,
  golden: Golden,
): Comparison[] {
  const expected = golden.names.filter((name) => name.endsWith(SUFFIX));
  const missing = expected.find((name) => !streams.has(name.slice(0, -SUFFIX.length)));
  if (missing) throw new Error(`${label}: nothing computed for ${missing}`);
  return [...streams].map(([name, stream]) => {
    const reference = golden.floats(name);
    // Torch sums in one order; others stray up to 1.7 times as far (DECISIONS.md).
    const tolerance = policyTolerance(reference, 1.25 * at(golden.floats(name + SUFFIX), 0));
    const columns = golden.shape(name).at(-1) as number;
    return compare(`${label}, ${name}`, stream, reference, columns, tolerance);
  });
}
