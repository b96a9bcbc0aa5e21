/**
 * T5 (Raffel et al. 2019, arXiv:1910.10683), its version 1.1 and FLAN: pre-norm encoder and decoder, RMS norms, relative
 * biases in place of positions, scores that are not scaled.
 *
 * Source: transformers, models/t5/modeling_t5.py.
 */

import { oneOf } from '../check';
import type { Config } from '../json';
import type { Activation, AttentionBlock, Block, Plan, RelativeBias, WeightRef } from '../plan';
import { relativeBuckets } from '../positions';
import { type Family, type FamilyModel, type Heads, refuseLayersBeyond } from './family';
import { outputMatrix } from './heads';
import { activationNamed, dimension, LARGEST, layerCount, linear, rmsNorm } from './parts';

export const t5: Family = {
  modelType: 't5',

  describe(config: Config, tensorNames: readonly string[]): FamilyModel {
    const tensors = new Set(tensorNames);
    const stack = stackMaker(config, tensorNames);
    const layers = layerCount(config, 'num_layers', 6);
    const encoder = stack('encoder', layers);
    const shared = {
      plan: encoder,
      // Relative biases have no last position.
      maxLength: LARGEST,
      isExpectedLeftover: (name: string) =>
        name.startsWith('lm_head.') ||
        /(^|\.)embed_tokens\.weight$/.test(name) ||
        name === 'shared.weight' ||
        name.endsWith('EncDecAttention.relative_attention_bias.weight'),
    };
    if (!tensors.has('decoder.final_layer_norm.weight')) {
      return { ...shared, architecture: 'encoder', heads: {} };
    }
    return {
      ...shared,
      architecture: 'encoder-decoder',
      decoder: stack('decoder', layerCount(config, 'num_decoder_layers', layers)),
      heads: headsOf(config, tensors, tokensOf('decoder', tensors)),
    };
  },
};

type Side = 'encoder' | 'decoder';

function tokensOf(side: Side, tensors: ReadonlySet<string>): WeightRef {
  const own = `${side}.embed_tokens.weight`;
  return { tensor: tensors.has('shared.weight') || !tensors.has(own) ? 'shared.weight' : own };
}

/** Of one side: the embedding, layers of (attention, attention over the memory, feed-forward), the last norm. */
function stackMaker(config: Config, tensorNames: readonly string[]) {
  const tensors = new Set(tensorNames);
  const width = dimension(config, 'd_model', 512);
  const heads = dimension(config, 'num_heads', 8);
  const headDim = dimension(config, 'd_kv', 64);
  const inner = dimension(config, 'd_ff', 2048);
  const vocabulary = dimension(config, 'vocab_size', 32128);
  const epsilon = config.number('layer_norm_epsilon', 0, 1e-6);
  const feedForward = feedForwardKind(config);

  const attention = (name: string, norm: string): AttentionBlock => ({
    block: 'attention',
    heads,
    headDim,
    scale: 1,
    query: linear(`${name}.q`, { bias: false }),
    key: linear(`${name}.k`, { bias: false }),
    value: linear(`${name}.v`, { bias: false }),
    output: linear(`${name}.o`, { bias: false }),
    normBefore: rmsNorm(norm, epsilon),
  });

  return (side: Side, layers: number): Plan => {
    const key = side === 'encoder' ? 'num_layers' : 'num_decoder_layers';
    refuseLayersBeyond(config, key, layers, tensorNames, `${side}.block.`);
    const relativeBias = relativeBiasOf(config, side);
    const blocks: Block[] = [{ block: 'embed', vocabulary, tokens: tokensOf(side, tensors) }];
    for (let i = 0; i < layers; i += 1) {
      const layer = (part: number) => `${side}.block.${i}.layer.${part}`;
      blocks.push({
        ...attention(`${layer(0)}.SelfAttention`, `${layer(0)}.layer_norm`),
        relativeBias,
        ...(side === 'decoder' && { mask: 'causal' }),
      });
      if (side === 'decoder') {
        blocks.push({
          ...attention(`${layer(1)}.EncDecAttention`, `${layer(1)}.layer_norm`),
          keysFrom: 'memory',
        });
      }
      const last = layer(side === 'decoder' ? 2 : 1);
      const dense = (name: string) => linear(`${last}.DenseReluDense.${name}`, { bias: false });
      blocks.push({
        block: 'feedForward',
        inner,
        activation: feedForward.activation,
        ...(feedForward.gated ? { gate: dense('wi_0'), up: dense('wi_1') } : { up: dense('wi') }),
        down: dense('wo'),
        normBefore: rmsNorm(`${last}.layer_norm`, epsilon),
      });
    }
    blocks.push({ block: 'norm', norm: rmsNorm(`${side}.final_layer_norm`, epsilon) });
    return { width, ...(side === 'decoder' && { memoryWidth: width }), blocks };
  };
}

/** The first layer's, for all layers. A decoder looks back only, so all its buckets do. */
function relativeBiasOf(config: Config, side: Side): RelativeBias {
  const buckets = config.integer('relative_attention_num_buckets', 4, 2 ** 20, 32);
  const fewest = Math.floor(buckets / 2) + 1;
  const maxDistance = config.integer('relative_attention_max_distance', fewest, 2 ** 20, 128);
  return {
    table: { tensor: `${side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight` },
    bucketCount: buckets,
    buckets: relativeBuckets({ buckets, maxDistance, bidirectional: side === 'encoder' }),
  };
}

/** 'relu', 'gated-gelu' ...: the gelu of gated-gelu is the one by tanh. */
function feedForwardKind(config: Config): {
  readonly activation: Activation;
  readonly gated: boolean;
} {
  const text = config.string('feed_forward_proj', 'relu');
  const [, gated, name = ''] = /^(gated-)?(.*)$/.exec(text) ?? [];
  const activation = text === 'gated-gelu' ? 'gelu_tanh' : activationNamed(name);
  if (activation) return { activation, gated: gated !== undefined };
  const expected = oneOf(['relu', 'gated-gelu', 'gated-silu']);
  throw config.unsupported('feed_forward_proj', `${expected}, or another activation, gated or not`);
}

/**
 * The first release shares one matrix between embedding and output and scales by 1/√d_model; later ones say
 * tie_word_embeddings false, which here tells only that they do not scale.
 */
function headsOf(config: Config, tensors: ReadonlySet<string>, tokens: WeightRef): Heads {
  const weight = outputMatrix(tensors, 'lm_head.weight', tokens, { tied: true });
  if (!weight) return {};
  const scales = config.boolean(
    'scale_decoder_outputs',
    config.boolean('tie_word_embeddings', true),
  );
  const width = dimension(config, 'd_model', 512);
  return {
    language: [
      {
        block: 'project',
        width: dimension(config, 'vocab_size', 32128),
        activation: 'identity',
        ...(scales && { scale: 1 / Math.sqrt(width) }),
        linear: { weight },
      },
    ],
  };
}
