/**
 * RoBERTa (Liu et al. 2019, arXiv:1907.11692) and XLM-RoBERTa (Conneau et al. 2019, arXiv:1911.02116): BERT whose
 * positions start after the padding's.
 *
 * Source: transformers, models/roberta/modeling_roberta.py and models/xlm_roberta/modeling_xlm_roberta.py.
 */

import type { Config } from '../json';
import { bertEncoder, isBertLeftover, robertaHeads } from './bert-encoder';
import type { Family, FamilyModel } from './family';
import { LARGEST } from './parts';

export const roberta: Family = { modelType: 'roberta', describe };
export const xlmRoberta: Family = { modelType: 'xlm-roberta', describe };

function describe(config: Config, tensors: readonly string[]): FamilyModel {
  const padding = config.integer('pad_token_id', 0, LARGEST - 2, 1);
  const encoder = bertEncoder(config, tensors, {
    prefix: 'roberta.',
    vocabulary: 50265,
    types: 2,
    firstPosition: padding + 1,
  });
  return {
    architecture: 'encoder',
    plan: encoder.plan,
    heads: robertaHeads(config, encoder, 'tanh'),
    maxLength: encoder.maxLength,
    isExpectedLeftover: isBertLeftover,
  };
}
