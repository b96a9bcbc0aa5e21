/**
 * Marian (Junczys-Dowmunt et al. 2018, arXiv:1804.00344): the Transformer of Vaswani et al. 2017, post-norm, sinusoidal
 * positions with all sines first, scaled embeddings, one bias over the vocabulary.
 *
 * Source: transformers, models/marian/modeling_marian.py.
 */

import type { Config } from '../json';
import type { Activation, AttentionBlock, Block, NormSpec, Plan, WeightRef } from '../plan';
import { type Family, type FamilyModel, type Heads, refuseLayersBeyond } from './family';
import { outputMatrix, project } from './heads';
import { activation, dimension, headColumns, layerNorms, linear, prefixOf } from './parts';

/** torch's default, which no config changes. */
const EPSILON = 1e-5;

export const marian: Family = {
  modelType: 'marian',

  describe(config: Config, tensorNames: readonly string[]): FamilyModel {
    config.mustBe('normalize_before', [false]);
    config.mustBe('normalize_embedding', [false]);
    config.mustBe('add_final_layer_norm', [false]);
    config.mustBe('static_position_embeddings', [true]);
    const tensors = new Set(tensorNames);
    const prefix = prefixOf(tensors, 'model.', 'encoder.layers.0.fc1.weight');
    const stack = (side: Side) => {
      const layers = dimension(config, `${side}_layers`, 12);
      const layerPrefix = `${prefix}${side}.layers.`;
      refuseLayersBeyond(config, `${side}_layers`, layers, tensorNames, layerPrefix);
      return stackOf(config, tensors, { side, prefix, layers });
    };
    return {
      architecture: 'encoder-decoder',
      plan: stack('encoder'),
      decoder: stack('decoder'),
      heads: headsOf(config, tensors, tokensOf('decoder', prefix, tensors)),
      maxLength: dimension(config, 'max_position_embeddings', 1024),
      isExpectedLeftover: (name) =>
        /(^|\.)embed_(positions|tokens)\.weight$/.test(name) ||
        /^(lm_head\.weight|final_logits_bias)$/.test(name),
    };
  },
};

type Side = 'encoder' | 'decoder';

function tokensOf(side: Side, prefix: string, tensors: ReadonlySet<string>): WeightRef {
  const own = `${prefix}${side}.embed_tokens.weight`;
  const shared = `${prefix}shared.weight`;
  return { tensor: tensors.has(shared) || !tensors.has(own) ? shared : own };
}

/** Rows of the decoder's table and of the scores. */
function vocabularyOf(config: Config, side: Side): number {
  const shared = dimension(config, 'vocab_size', 58101);
  const own = side === 'decoder' && !config.boolean('share_encoder_decoder_embeddings', true);
  return own ? dimension(config, 'decoder_vocab_size', shared) : shared;
}

interface StackParts {
  readonly side: Side;
  readonly prefix: string;
  readonly layers: number;
}

function stackOf(
  config: Config,
  tensors: ReadonlySet<string>,
  { side, prefix, layers }: StackParts,
): Plan {
  const width = dimension(config, 'd_model', 1024);
  const inner = dimension(config, `${side}_ffn_dim`, 4096);
  const hidden: Activation = activation(config, 'activation_function', 'gelu');
  const attention = attentionMaker(config, side, width, layerNorms(tensors, EPSILON));
  const norm = layerNorms(tensors, EPSILON);
  const blocks: Block[] = [
    {
      block: 'embed',
      vocabulary: vocabularyOf(config, side),
      tokens: tokensOf(side, prefix, tensors),
      positions: {
        kind: 'sinusoidal',
        count: dimension(config, 'max_position_embeddings', 1024),
        layout: 'split',
      },
      ...(config.boolean('scale_embedding', false) && { scale: Math.sqrt(width) }),
    },
  ];
  for (let i = 0; i < layers; i += 1) {
    const layer = `${prefix}${side}.layers.${i}`;
    blocks.push({
      ...attention(`${layer}.self_attn`),
      ...(side === 'decoder' && { mask: 'causal' }),
    });
    if (side === 'decoder') {
      blocks.push({ ...attention(`${layer}.encoder_attn`), keysFrom: 'memory' });
    }
    blocks.push({
      block: 'feedForward',
      inner,
      activation: hidden,
      up: linear(`${layer}.fc1`),
      down: linear(`${layer}.fc2`),
      normAfter: norm(`${layer}.final_layer_norm`),
    });
  }
  return { width, ...(side === 'decoder' && { memoryWidth: width }), blocks };
}

function attentionMaker(
  config: Config,
  side: Side,
  width: number,
  norm: (name: string) => NormSpec,
): (name: string) => AttentionBlock {
  const key = `${side}_attention_heads`;
  const heads = dimension(config, key, 16);
  const headDim = headColumns(config, [key, heads], ['d_model', width]);
  return (name) => ({
    block: 'attention',
    heads,
    headDim,
    query: linear(`${name}.q_proj`),
    key: linear(`${name}.k_proj`),
    value: linear(`${name}.v_proj`),
    output: linear(`${name}.out_proj`),
    normAfter: norm(`${name}_layer_norm`),
  });
}

function headsOf(config: Config, tensors: ReadonlySet<string>, tokens: WeightRef): Heads {
  const tied = config.boolean('tie_word_embeddings', true);
  const weight = outputMatrix(tensors, 'lm_head.weight', tokens, { tied });
  if (!weight) return {};
  const bias = tensors.has('final_logits_bias') && {
    bias: { tensor: 'final_logits_bias', transpose: true },
  };
  return { language: [project(vocabularyOf(config, 'decoder'), { weight, ...bias })] };
}
