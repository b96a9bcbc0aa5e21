/**
 * BLOOM (BigScience 2022, arXiv:2211.05100): pre-norm decoder with ALiBi and a normed embedding; queries, keys and
 * values of a head are stored one after the other.
 *
 * Source: transformers, models/bloom/modeling_bloom.py.
 */

import type { Config } from '../json';
import type { Block, LinearSpec } from '../plan';
import { alibiSlopes } from '../positions';
import { decoderHeads } from './decoder-heads';
import { type Family, type FamilyModel, refuseLayersBeyond } from './family';
import { dimension, headColumns, LARGEST, layerCount, layerNorms, linear, prefixOf } from './parts';

export const bloom: Family = {
  modelType: 'bloom',

  describe(config: Config, tensorNames: readonly string[]): FamilyModel {
    config.mustBe('apply_residual_connection_post_layernorm', [false]);
    const tensors = new Set(tensorNames);
    const prefix = prefixOf(tensors, 'transformer.', 'word_embeddings.weight');
    const layersKey = firstKey(config, 'n_layer', 'num_hidden_layers');
    const layers = layerCount(config, layersKey, 2);
    refuseLayersBeyond(config, layersKey, layers, tensorNames, `${prefix}h.`);

    const widthKey = firstKey(config, 'n_embed', 'hidden_size');
    const width = dimension(config, widthKey, 64);
    const headsKey = firstKey(config, 'n_head', 'num_attention_heads');
    const heads = dimension(config, headsKey, 8);
    const headDim = headColumns(config, [headsKey, heads], [widthKey, width]);
    const norm = layerNorms(tensors, config.number('layer_norm_epsilon', 0, 1e-5));
    const vocabulary = dimension(config, 'vocab_size', 250880);
    const tokens = { tensor: `${prefix}word_embeddings.weight` };
    const slopes = alibiSlopes(heads);

    const blocks: Block[] = [
      { block: 'embed', vocabulary, tokens, norm: norm(`${prefix}word_embeddings_layernorm`) },
    ];
    for (let i = 0; i < layers; i += 1) {
      const layer = `${prefix}h.${i}`;
      const third = (part: number): LinearSpec => {
        const name = `${layer}.self_attention.query_key_value`;
        const groups = [part * headDim, headDim, 3 * headDim] as const;
        return {
          weight: { tensor: `${name}.weight`, groups },
          bias: { tensor: `${name}.bias`, groups },
        };
      };
      blocks.push(
        {
          block: 'attention',
          heads,
          headDim,
          query: third(0),
          key: third(1),
          value: third(2),
          output: linear(`${layer}.self_attention.dense`),
          slopes,
          mask: 'causal',
          normBefore: norm(`${layer}.input_layernorm`),
        },
        {
          block: 'feedForward',
          inner: 4 * width,
          activation: 'gelu_tanh',
          up: linear(`${layer}.mlp.dense_h_to_4h`),
          down: linear(`${layer}.mlp.dense_4h_to_h`),
          normBefore: norm(`${layer}.post_attention_layernorm`),
        },
      );
    }
    blocks.push({ block: 'norm', norm: norm(`${prefix}ln_f`) });
    return {
      architecture: 'decoder',
      plan: { width, blocks },
      heads: decoderHeads(config, tensors, { vocabulary, tokens, isTied: true }),
      // ALiBi has no last position; what the model was trained on is the config's seq_length.
      maxLength: LARGEST,
      isExpectedLeftover: (name) => /^(lm_head|score)\./.test(name),
    };
  },
};

/** The first key that the config has, else the last: older configs name some differently. */
function firstKey(config: Config, ...keys: readonly [string, string]): string {
  return config.has(keys[0]) ? keys[0] : keys[1];
}
