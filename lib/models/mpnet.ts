/**
 * MPNet (Song et al. 2020, arXiv:2004.09297): BERT without segment types, positions after the padding's, and one
 * relative bias that all layers share.
 *
 * Source: transformers, models/mpnet/modeling_mpnet.py.
 */

import type { Config } from '../json';
import { relativeBuckets } from '../positions';
import { bertEncoder, isBertLeftover, robertaHeads } from './bert-encoder';
import type { Family, FamilyModel } from './family';
import { BERT_NAMES } from './post-norm';

/** Fixed in the source: the config's relative_attention_num_buckets sizes the table only. */
const BUCKETS = 32;
const FIRST_POSITION = 2;

const NAMES = {
  ...BERT_NAMES,
  query: 'attention.attn.q',
  key: 'attention.attn.k',
  value: 'attention.attn.v',
  output: 'attention.attn.o',
  attentionNorm: 'attention.LayerNorm',
};

export const mpnet: Family = {
  modelType: 'mpnet',

  describe(config: Config, tensors: readonly string[]): FamilyModel {
    config.mustBe('relative_attention_num_buckets', [BUCKETS]);
    const encoder = bertEncoder(config, tensors, {
      prefix: 'mpnet.',
      vocabulary: 30527,
      types: 0,
      firstPosition: FIRST_POSITION,
      names: NAMES,
      relativeBias: (prefix) => ({
        table: { tensor: `${prefix}encoder.relative_attention_bias.weight` },
        bucketCount: BUCKETS,
        buckets: relativeBuckets({ buckets: BUCKETS, maxDistance: 128 }),
      }),
    });
    return {
      architecture: 'encoder',
      plan: encoder.plan,
      heads: robertaHeads(config, encoder, 'tanh'),
      maxLength: encoder.maxLength,
      isExpectedLeftover: isBertLeftover,
    };
  },
};
