/** The families there are, and the one that a folder's config.json asks for. */

import { MultiheadError } from '../errors';
import { Config } from '../json';
import { openWeights } from '../weights';
import type { WeightTable } from '../weights/table';
import { bert } from './bert';
import type { Family, FamilyModel } from './family';
import { transformer } from './transformer';

const FAMILIES: readonly Family[] = [bert, transformer];

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
