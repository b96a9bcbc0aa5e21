/**
 * GPT-2 (Radford et al. 2019): pre-norm decoder, learned positions; its matrices are stored as [in, out], and those of
 * queries, keys and values as one.
 *
 * Source: transformers, models/gpt2/modeling_gpt2.py.
 */

import type { Config } from '../json';
import type { Block, LinearSpec } from '../plan';
import { decoderHeads } from './decoder-heads';
import { type Family, type FamilyModel, refuseLayersBeyond } from './family';
import { activation, dimension, headColumns, layerCount, layerNorms, prefixOf } from './parts';

export const gpt2: Family = {
  modelType: 'gpt2',

  describe(config: Config, tensorNames: readonly string[]): FamilyModel {
    config.mustBe('add_cross_attention', [false]);
    const tensors = new Set(tensorNames);
    const prefix = prefixOf(tensors, 'transformer.', 'wte.weight');
    const layers = layerCount(config, 'n_layer', 12);
    refuseLayersBeyond(config, 'n_layer', layers, tensorNames, `${prefix}h.`);

    const width = dimension(config, 'n_embd', 768);
    const heads = dimension(config, 'n_head', 12);
    const headDim = headColumns(config, ['n_head', heads], ['n_embd', width]);
    const inner = dimension(config, 'n_inner', 4 * width);
    const hidden = activation(config, 'activation_function', 'gelu_new');
    const norm = layerNorms(tensors, config.number('layer_norm_epsilon', 0, 1e-5));
    const vocabulary = dimension(config, 'vocab_size', 50257);
    const positions = dimension(config, 'n_positions', 1024);
    const tokens = { tensor: `${prefix}wte.weight` };
    const scale = config.boolean('scale_attn_weights', true) ? 1 / Math.sqrt(headDim) : 1;
    const dividesByLayer = config.boolean('scale_attn_by_inverse_layer_idx', false);

    const blocks: Block[] = [
      {
        block: 'embed',
        vocabulary,
        tokens,
        positions: {
          kind: 'learned',
          table: { tensor: `${prefix}wpe.weight` },
          count: positions,
        },
      },
    ];
    for (let i = 0; i < layers; i += 1) {
      const layer = `${prefix}h.${i}`;
      const third = (part: number) =>
        transposed(`${layer}.attn.c_attn`, [part * width, (part + 1) * width]);
      blocks.push(
        {
          block: 'attention',
          heads,
          headDim,
          query: third(0),
          key: third(1),
          value: third(2),
          output: transposed(`${layer}.attn.c_proj`),
          scale: dividesByLayer ? scale / (i + 1) : scale,
          mask: 'causal',
          normBefore: norm(`${layer}.ln_1`),
        },
        {
          block: 'feedForward',
          inner,
          activation: hidden,
          up: transposed(`${layer}.mlp.c_fc`),
          down: transposed(`${layer}.mlp.c_proj`),
          normBefore: norm(`${layer}.ln_2`),
        },
      );
    }
    blocks.push({ block: 'norm', norm: norm(`${prefix}ln_f`) });
    return {
      architecture: 'decoder',
      plan: { width, blocks },
      heads: decoderHeads(config, tensors, { vocabulary, tokens, isTied: true }),
      maxLength: positions,
      // Old checkpoints stored the causal mask as attn.bias.
      isExpectedLeftover: (name) =>
        /^(lm_head|score)\./.test(name) || /\.attn\.(bias|masked_bias)$/.test(name),
    };
  },
};

/** A linear stored as [in, out], or the rows of it that a part of the outputs needs. */
function transposed(name: string, rows?: readonly [number, number]): LinearSpec {
  const range = rows && { rows };
  return {
    weight: { tensor: `${name}.weight`, transpose: true, ...range },
    bias: { tensor: `${name}.bias`, ...range },
  };
}
