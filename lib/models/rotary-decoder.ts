/**
 * Llama and the decoders after it: RMS norms before each block, rotary positions, gated feed-forward.
 *
 * Source: transformers, models/llama/modeling_llama.py, of which those of the others are copies with a change or two.
 */

import { invalid } from '../check';
import type { Config } from '../json';
import type { Block, Rotary } from '../plan';
import { decoderHeads } from './decoder-heads';
import { type FamilyModel, refuseLayersBeyond } from './family';
import {
  activation,
  dimension,
  headColumns,
  LARGEST,
  layerCount,
  layerTypes,
  linear,
  prefixOf,
  rmsNorm,
} from './parts';
import { rotaryOf } from './rope';

/** In what a family differs from Llama. */
export interface RotaryDecoderKind {
  readonly vocabulary: number;
  readonly maxLength: number;
  /** Which linears have biases. */
  readonly biases: {
    readonly queryKeyValue: boolean;
    readonly output: boolean;
    readonly feedForward: boolean;
  };
  /** Columns of a head where the config does not say; default: the heads share the width. */
  readonly headDim?: number;
  /** A norm of each head of queries and keys. */
  readonly headNorms?: boolean;
  /** The most distant key that a layer's queries see; undefined: all. */
  readonly window?: (layer: number) => number | undefined;
}

export function rotaryDecoder(
  config: Config,
  tensorNames: readonly string[],
  kind: RotaryDecoderKind,
): FamilyModel {
  const tensors = new Set(tensorNames);
  const prefix = prefixOf(tensors, 'model.', 'embed_tokens.weight');
  const layers = layerCount(config, 'num_hidden_layers', 32);
  refuseLayersBeyond(config, 'num_hidden_layers', layers, tensorNames, `${prefix}layers.`);

  const width = dimension(config, 'hidden_size', 4096);
  const vocabulary = dimension(config, 'vocab_size', kind.vocabulary);
  const tokens = { tensor: `${prefix}embed_tokens.weight` };
  const norm = (name: string) => rmsNorm(name, config.number('rms_norm_eps', 0, 1e-6));
  const attention = attentionOf(config, width, kind);
  const inner = dimension(config, 'intermediate_size', 11008);
  const hidden = activation(config, 'hidden_act', 'silu');
  const inputs = { bias: kind.biases.queryKeyValue };
  const output = { bias: kind.biases.output };
  const feedForward = { bias: kind.biases.feedForward };

  const blocks: Block[] = [{ block: 'embed', vocabulary, tokens }];
  for (let i = 0; i < layers; i += 1) {
    const layer = `${prefix}layers.${i}`;
    const window = kind.window?.(i);
    blocks.push(
      {
        block: 'attention',
        ...attention,
        query: linear(`${layer}.self_attn.q_proj`, inputs),
        key: linear(`${layer}.self_attn.k_proj`, inputs),
        value: linear(`${layer}.self_attn.v_proj`, inputs),
        output: linear(`${layer}.self_attn.o_proj`, output),
        ...(kind.headNorms && {
          queryNorm: norm(`${layer}.self_attn.q_norm`),
          keyNorm: norm(`${layer}.self_attn.k_norm`),
        }),
        ...(window !== undefined && { window }),
        normBefore: norm(`${layer}.input_layernorm`),
      },
      {
        block: 'feedForward',
        inner,
        activation: hidden,
        gate: linear(`${layer}.mlp.gate_proj`, feedForward),
        up: linear(`${layer}.mlp.up_proj`, feedForward),
        down: linear(`${layer}.mlp.down_proj`, feedForward),
        normBefore: norm(`${layer}.post_attention_layernorm`),
      },
    );
  }
  blocks.push({ block: 'norm', norm: norm(`${prefix}norm`) });
  return {
    architecture: 'decoder',
    plan: { width, blocks },
    heads: decoderHeads(config, tensors, { vocabulary, tokens, isTied: false }),
    maxLength: dimension(config, 'max_position_embeddings', kind.maxLength),
    isExpectedLeftover: (name) =>
      /^(lm_head|score)\./.test(name) || name.endsWith('.rotary_emb.inv_freq'),
  };
}

function attentionOf(
  config: Config,
  width: number,
  kind: RotaryDecoderKind,
): {
  readonly heads: number;
  readonly keyHeads: number;
  readonly headDim: number;
  readonly rotary: Rotary;
  readonly mask: 'causal';
} {
  const heads = dimension(config, 'num_attention_heads', 32);
  const keyHeads = dimension(config, 'num_key_value_heads', heads);
  if (heads % keyHeads !== 0) {
    const where = config.where('num_key_value_heads');
    throw invalid(where, String(keyHeads), `a divisor of num_attention_heads, ${heads}`);
  }
  const shared = () => headColumns(config, ['num_attention_heads', heads], ['hidden_size', width]);
  const headDim = config.has('head_dim')
    ? dimension(config, 'head_dim')
    : (kind.headDim ?? shared());
  return { heads, keyHeads, headDim, rotary: rotaryOf(config, headDim), mask: 'causal' };
}

/**
 * Qwen's windows: `use_sliding_window` gives the layers from `max_window_layers` on one of `sliding_window` tokens, the
 * query's own counted; `layer_types` lists them where it is there.
 */
export function qwenWindow(config: Config): (layer: number) => number | undefined {
  if (!config.boolean('use_sliding_window', false)) return () => undefined;
  const window = dimension(config, 'sliding_window', 4096) - 1;
  if (config.has('layer_types')) {
    const types = layerTypes(config);
    return (layer) => (types[layer] === 'sliding_attention' ? window : undefined);
  }
  const first = config.integer('max_window_layers', 0, LARGEST, 28);
  return (layer) => (layer >= first ? window : undefined);
}
