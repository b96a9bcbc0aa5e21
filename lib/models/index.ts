/** The families there are, and the one that a folder's config.json asks for. */

import { MultiheadError } from '../errors';
import { Config } from '../json';
import { openWeights } from '../weights';
import type { WeightTable } from '../weights/table';
import { bert } from './bert';
import { bloom } from './bloom';
import { distilbert } from './distilbert';
import { electra } from './electra';
import type { Family, FamilyModel } from './family';
import { gpt2 } from './gpt2';
import { llama } from './llama';
import { marian } from './marian';
import { mistral } from './mistral';
import { modernbert } from './modernbert';
import { mpnet } from './mpnet';
import { qwen2 } from './qwen2';
import { qwen3 } from './qwen3';
import { roberta, xlmRoberta } from './roberta';
import { t5 } from './t5';
import { transformer } from './transformer';

/** Every family; test/parity/families.test.ts fails for one without a golden. */
export const FAMILIES: readonly Family[] = [
  bert,
  roberta,
  xlmRoberta,
  distilbert,
  mpnet,
  electra,
  modernbert,
  gpt2,
  llama,
  qwen2,
  qwen3,
  mistral,
  bloom,
  t5,
  marian,
  transformer,
];

const CONVERT =
  "from transformers import AutoModel; AutoModel.from_pretrained('.').save_pretrained('.')";

/** A model folder, read but not loaded: its description and where its weights lie. */
export interface ModelFolder extends FamilyModel {
  readonly folder: string;
  readonly modelType: string;
  readonly config: Config;
  readonly weights: WeightTable;
}

/**
 * Reads config.json and the headers of the weight files.
 *
 * @throws UNKNOWN_MODEL when no family knows its `model_type`; else what the files deserve.
 */
export async function readModelFolder(folder: string): Promise<ModelFolder> {
  const config = await Config.read(folder, 'config.json');
  const modelType = config.string('model_type');
  const family = FAMILIES.find((candidate) => candidate.modelType === modelType);
  if (!family) {
    throw new MultiheadError('UNKNOWN_MODEL', {
      where: config.where('model_type'),
      got: JSON.stringify(modelType),
      expected: FAMILIES.map((known) => known.modelType).join(', '),
    });
  }
  const weights = await openWeights(folder, CONVERT);
  const model = family.describe(
    config,
    weights.tensors.map(({ name }) => name),
  );
  return { ...model, folder, modelType, config, weights };
}
