/** Heads of decoders: scores of the next token, and the classifier of a sequence by its last token. */

import type { Config } from '../json';
import type { WeightRef } from '../plan';
import type { Heads } from './family';
import { outputMatrix, project, taskOf, toLabels } from './heads';

export interface DecoderTokens {
  readonly vocabulary: number;
  readonly tokens: WeightRef;
  /** `tie_word_embeddings` where the config does not say. */
  readonly isTied: boolean;
}

export function decoderHeads(
  config: Config,
  tensors: ReadonlySet<string>,
  { vocabulary, tokens, isTied }: DecoderTokens,
): Heads {
  if (tensors.has('score.weight')) {
    if (taskOf(config) === 'TokenClassification') {
      return { token: [toLabels(config, 'score', { bias: tensors.has('score.bias') })] };
    }
    return { sequence: [toLabels(config, 'score', { bias: false })], pooling: 'lasttoken' };
  }
  const tied = config.boolean('tie_word_embeddings', isTied);
  const weight = outputMatrix(tensors, 'lm_head.weight', tokens, { tied });
  return weight ? { language: [project(vocabulary, { weight })] } : {};
}
