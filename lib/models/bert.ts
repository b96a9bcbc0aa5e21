/**
 * BERT (Devlin et al. 2018, arXiv:1810.04805): post-norm encoder, learned positions, segment types.
 *
 * Source: transformers, models/bert/modeling_bert.py and configuration_bert.py (names, defaults).
 */

import type { Config } from '../json';
import { type BertEncoder, bertEncoder, isBertLeftover, vocabularyScores } from './bert-encoder';
import type { Family, FamilyModel, Heads } from './family';
import { classifiers, maskedLanguage, project } from './heads';
import { linear } from './parts';

export const bert: Family = {
  modelType: 'bert',

  describe(config: Config, tensors: readonly string[]): FamilyModel {
    const kind = { prefix: 'bert.', vocabulary: 30522, types: 2 };
    const encoder = bertEncoder(config, tensors, kind);
    return {
      architecture: 'encoder',
      plan: encoder.plan,
      heads: headsOf(config, encoder),
      maxLength: encoder.maxLength,
      isExpectedLeftover: isBertLeftover,
    };
  },
};

function headsOf(config: Config, encoder: BertEncoder): Heads {
  const { tensors, prefix, width, vocabulary, activation, norm } = encoder;
  const transform = 'cls.predictions.transform';
  const scores = vocabularyScores(config, encoder, 'cls.predictions');
  const hasLanguage = tensors.has(`${transform}.dense.weight`);
  return {
    ...(hasLanguage &&
      scores && {
        language: maskedLanguage(
          [width, linear(`${transform}.dense`), activation],
          norm(`${transform}.LayerNorm`),
          [vocabulary, scores],
        ),
      }),
    ...classifiers(config, tensors, {
      before: [project(width, linear(`${prefix}pooler.dense`), 'tanh')],
      probe: `${prefix}pooler.dense.weight`,
      name: 'classifier',
    }),
  };
}
