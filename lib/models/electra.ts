/**
 * ELECTRA (Clark et al. 2020, arXiv:2003.10555): BERT with an embedding of its own width.
 *
 * Source: transformers, models/electra/modeling_electra.py.
 */

import type { Config } from '../json';
import { type BertEncoder, bertEncoder, isBertLeftover, robertaHeads } from './bert-encoder';
import type { Family, FamilyModel, Heads } from './family';
import { maskedLanguage, outputMatrix } from './heads';
import { dimension, linear } from './parts';

export const electra: Family = {
  modelType: 'electra',

  describe(config: Config, tensors: readonly string[]): FamilyModel {
    const encoder = bertEncoder(config, tensors, {
      prefix: 'electra.',
      vocabulary: 30522,
      types: 2,
      embeddingWidth: dimension(config, 'embedding_size', 128),
    });
    return {
      architecture: 'encoder',
      plan: encoder.plan,
      heads: { ...generatorHead(config, encoder), ...robertaHeads(config, encoder, 'gelu') },
      maxLength: encoder.maxLength,
      isExpectedLeftover: (name) =>
        isBertLeftover(name) ||
        /^(generator_predictions|generator_lm_head|discriminator_predictions)\./.test(name),
    };
  },
};

function generatorHead(
  config: Config,
  { tensors, tokens, plan, vocabulary, norm }: BertEncoder,
): Heads {
  const tied = config.boolean('tie_word_embeddings', true);
  const weight = outputMatrix(tensors, 'generator_lm_head.weight', tokens, { tied });
  if (!weight || !tensors.has('generator_predictions.dense.weight')) return {};
  const bias = { tensor: 'generator_lm_head.bias' };
  return {
    language: maskedLanguage(
      [plan.width, linear('generator_predictions.dense'), 'gelu'],
      norm('generator_predictions.LayerNorm'),
      [vocabulary, { weight, bias }],
    ),
  };
}
