/**
 * The model of "Attention Is All You Need" (Vaswani et al. 2017, arXiv:1706.03762), as lib/paper.ts builds and names it.
 *
 * examples/dates holds a trained one. Keys are the paper's terms, and where the config is silent it is the base model
 * of the paper's table 3; only what the paper does is accepted.
 */

import type { Config } from '../json';
import { transformer as paper } from '../paper';
import { type Family, type FamilyModel, refuseLayersBeyond } from './family';
import { dimension, headColumns, layerCount } from './parts';

export const transformer: Family = {
  modelType: 'transformer',

  describe(config: Config, tensors: readonly string[]): FamilyModel {
    refuseUnsupported(config);
    const layers = layerCount(config, 'num_layers', 6);
    for (const stack of ['encoder.', 'decoder.']) {
      refuseLayersBeyond(config, 'num_layers', layers, tensors, stack);
    }
    const width = dimension(config, 'd_model', 512);
    const heads = dimension(config, 'num_heads', 8);
    headColumns(config, ['num_heads', heads], ['d_model', width]);
    const positions = dimension(config, 'max_position_embeddings', 1024);
    const { encoder, decoder } = paper({
      vocabulary: dimension(config, 'vocab_size'),
      layers,
      width,
      heads,
      inner: dimension(config, 'd_ff', 2048),
      positions,
      epsilon: config.number('layer_norm_eps', 0, 1e-6),
    });
    const end = decoder.blocks.findIndex(({ block }) => block === 'select');
    return {
      architecture: 'encoder-decoder',
      plan: encoder,
      decoder: { ...decoder, blocks: decoder.blocks.slice(0, end) },
      heads: { language: decoder.blocks.slice(end + 1) },
      maxLength: positions,
      isExpectedLeftover: () => false,
    };
  },
};

function refuseUnsupported(config: Config): void {
  config.mustBe('is_encoder_decoder', [true]);
  config.mustBe('tie_word_embeddings', [true]);
}
