/**
 * ModernBERT (Warner et al. 2024, arXiv:2412.13663): pre-norm encoder, gated feed-forward, rotary positions; most layers
 * see a window, and those turn by another base.
 *
 * Source: transformers, models/modernbert/modeling_modernbert.py.
 */

import type { Config } from '../json';
import type { Block, NormSpec, WeightRef } from '../plan';
import { type Family, type FamilyModel, type Heads, refuseLayersBeyond } from './family';
import { outputMatrix, project, taskOf, toLabels } from './heads';
import {
  activation,
  dimension,
  headColumns,
  layerCount,
  layerTypes,
  linear,
  prefixOf,
} from './parts';
import { rotaryOf } from './rope';

export const modernbert: Family = {
  modelType: 'modernbert',

  describe(config: Config, tensorNames: readonly string[]): FamilyModel {
    const tensors = new Set(tensorNames);
    const prefix = prefixOf(tensors, 'model.', 'embeddings.tok_embeddings.weight');
    const layers = layerCount(config, 'num_hidden_layers', 22);
    refuseLayersBeyond(config, 'num_hidden_layers', layers, tensorNames, `${prefix}layers.`);

    const width = dimension(config, 'hidden_size', 768);
    const heads = dimension(config, 'num_attention_heads', 12);
    const headDim = headColumns(config, ['num_attention_heads', heads], ['hidden_size', width]);
    const inner = dimension(config, 'intermediate_size', 1152);
    const hidden = activation(config, 'hidden_activation', 'gelu');
    const norm = normsOf(config);
    const vocabulary = dimension(config, 'vocab_size', 50368);
    const tokens = { tensor: `${prefix}embeddings.tok_embeddings.weight` };
    const scopes = scopesOf(config, layers, headDim);
    const attentionBias = config.boolean('attention_bias', false);
    const bias = config.boolean('mlp_bias', false);

    const blocks: Block[] = [
      { block: 'embed', vocabulary, tokens, norm: norm(`${prefix}embeddings.norm`) },
    ];
    scopes.forEach((scope, i) => {
      const layer = `${prefix}layers.${i}`;
      const third = (part: number) =>
        rowsOf(`${layer}.attn.Wqkv`, [part * width, (part + 1) * width], { bias: attentionBias });
      blocks.push(
        {
          block: 'attention',
          heads,
          headDim,
          query: third(0),
          key: third(1),
          value: third(2),
          output: linear(`${layer}.attn.Wo`, { bias: attentionBias }),
          ...scope,
          // The embedding's norm stands before the first layer.
          ...(i > 0 && { normBefore: norm(`${layer}.attn_norm`) }),
        },
        {
          block: 'feedForward',
          inner,
          activation: hidden,
          gate: rowsOf(`${layer}.mlp.Wi`, [0, inner], { bias }),
          up: rowsOf(`${layer}.mlp.Wi`, [inner, 2 * inner], { bias }),
          down: linear(`${layer}.mlp.Wo`, { bias }),
          normBefore: norm(`${layer}.mlp_norm`),
        },
      );
    });
    blocks.push({ block: 'norm', norm: norm(`${prefix}final_norm`) });
    return {
      architecture: 'encoder',
      plan: { width, blocks },
      heads: headsOf(config, tensors, { width, vocabulary, tokens, norm }),
      maxLength: dimension(config, 'max_position_embeddings', 8192),
      isExpectedLeftover: (name) => /^(head|decoder|classifier)\./.test(name),
    };
  },
};

function normsOf(config: Config): (name: string) => NormSpec {
  const epsilon = config.number('norm_eps', 0, 1e-5);
  const hasBias = config.boolean('norm_bias', false);
  return (name) => ({
    kind: 'layer',
    epsilon,
    gain: { tensor: `${name}.weight` },
    ...(hasBias && { bias: { tensor: `${name}.bias` } }),
  });
}

/** What each layer sees: everything, or `local_attention` tokens around the query. */
function scopesOf(config: Config, layers: number, headDim: number) {
  const types = config.has('layer_types') ? layerTypes(config) : alternating(config, layers);
  const base = (key: string, otherwise: number) => config.number(key, 0, otherwise);
  const everything = {
    rotary: rotaryOf(config, headDim, {
      layerType: 'full_attention',
      base: base('global_rope_theta', 160000),
    }),
  };
  const nearby = {
    rotary: rotaryOf(config, headDim, {
      layerType: 'sliding_attention',
      base: base('local_rope_theta', 10000),
    }),
    window: Math.floor(dimension(config, 'local_attention', 128) / 2),
  };
  return types.map((type) => (type === 'full_attention' ? everything : nearby));
}

function alternating(config: Config, layers: number) {
  const every = dimension(config, 'global_attn_every_n_layers', 3);
  return Array.from({ length: layers }, (_, i) =>
    i % every === 0 ? 'full_attention' : 'sliding_attention',
  );
}

/** Some of the outputs of a fused linear. */
function rowsOf(
  name: string,
  rows: readonly [number, number],
  { bias }: { readonly bias: boolean },
) {
  const weight: WeightRef = { tensor: `${name}.weight`, rows };
  return bias ? { weight, bias: { tensor: `${name}.bias`, rows } } : { weight };
}

interface HeadParts {
  readonly width: number;
  readonly vocabulary: number;
  readonly tokens: WeightRef;
  readonly norm: (name: string) => NormSpec;
}

function headsOf(
  config: Config,
  tensors: ReadonlySet<string>,
  { width, vocabulary, tokens, norm }: HeadParts,
): Heads {
  if (!tensors.has('head.dense.weight')) return {};
  const dense = linear('head.dense', { bias: config.boolean('classifier_bias', false) });
  const before: readonly Block[] = [
    project(width, dense, activation(config, 'classifier_activation', 'gelu')),
    { block: 'norm', norm: norm('head.norm') },
  ];
  if (tensors.has('classifier.weight')) {
    const blocks = [...before, toLabels(config, 'classifier')];
    const task = taskOf(config);
    if (task === 'TokenClassification') return { token: blocks };
    if (task !== 'SequenceClassification') return {};
    const pooling = config.literal('classifier_pooling', ['cls', 'mean'], 'cls');
    return { sequence: blocks, pooling };
  }
  const tied = config.boolean('tie_word_embeddings', true);
  const weight = outputMatrix(tensors, 'decoder.weight', tokens, { tied });
  const bias = { tensor: 'decoder.bias' };
  const scores = weight && (config.boolean('decoder_bias', true) ? { weight, bias } : { weight });
  return scores ? { language: [...before, project(vocabulary, scores)] } : {};
}
