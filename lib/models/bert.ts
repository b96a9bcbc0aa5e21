/**
 * BERT (Devlin et al. 2018, arXiv:1810.04805): post-norm encoder, learned positions, segment types.
 *
 * Names and defaults follow transformers' `BertConfig` and `BertModel`.
 */

import { invalid, oneOf } from '../check';
import type { Config } from '../json';
import type { Activation, Block, LinearSpec, NormSpec } from '../plan';
import { MOST_BLOCKS } from '../plan-check';
import { type Family, type FamilyModel, refuseLayersBeyond } from './family';

const LARGEST = 2 ** 31 - 1;
/** Two blocks each, after the embedding and before a pooling. */
const MOST_LAYERS = MOST_BLOCKS / 2 - 8;

const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  gelu: 'gelu',
  gelu_python: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  relu: 'relu',
  silu: 'silu',
  swish: 'silu',
};

export const bert: Family = {
  modelType: 'bert',

  describe(config: Config, tensors: readonly string[]): FamilyModel {
    refuseUnsupported(config);
    const prefix = tensors.includes('bert.embeddings.word_embeddings.weight') ? 'bert.' : '';
    const names = new Set(tensors);
    const layers = config.integer('num_hidden_layers', 1, MOST_LAYERS, 12);
    refuseLayersBeyond(config, 'num_hidden_layers', layers, tensors, `${prefix}encoder.layer.`);

    const width = config.integer('hidden_size', 1, LARGEST, 768);
    const heads = config.integer('num_attention_heads', 1, LARGEST, 12);
    if (width % heads !== 0) {
      const where = config.where('num_attention_heads');
      throw invalid(where, String(heads), `a divisor of hidden_size, ${width}`);
    }
    const epsilon = config.number('layer_norm_eps', 0, 1e-12);
    const maxLength = config.integer('max_position_embeddings', 1, LARGEST, 512);

    const linear = (name: string): LinearSpec => ({
      weight: { tensor: `${name}.weight` },
      bias: { tensor: `${name}.bias` },
    });
    // Checkpoints converted from the first release say gamma and beta.
    const norm = (name: string): NormSpec => {
      const old = names.has(`${name}.gamma`);
      return {
        kind: 'layer',
        epsilon,
        gain: { tensor: `${name}.${old ? 'gamma' : 'weight'}` },
        bias: { tensor: `${name}.${old ? 'beta' : 'bias'}` },
      };
    };

    const embeddings = `${prefix}embeddings`;
    const blocks: Block[] = [
      {
        block: 'embed',
        vocabulary: config.integer('vocab_size', 1, LARGEST, 30522),
        tokens: { tensor: `${embeddings}.word_embeddings.weight` },
        types: {
          table: { tensor: `${embeddings}.token_type_embeddings.weight` },
          count: config.integer('type_vocab_size', 1, LARGEST, 2),
        },
        positions: {
          kind: 'learned',
          table: { tensor: `${embeddings}.position_embeddings.weight` },
          count: maxLength,
        },
        norm: norm(`${embeddings}.LayerNorm`),
      },
    ];
    for (let i = 0; i < layers; i += 1) {
      const layer = `${prefix}encoder.layer.${i}`;
      blocks.push(
        {
          block: 'attention',
          heads,
          headDim: width / heads,
          query: linear(`${layer}.attention.self.query`),
          key: linear(`${layer}.attention.self.key`),
          value: linear(`${layer}.attention.self.value`),
          output: linear(`${layer}.attention.output.dense`),
          normAfter: norm(`${layer}.attention.output.LayerNorm`),
        },
        {
          block: 'feedForward',
          inner: config.integer('intermediate_size', 1, LARGEST, 3072),
          activation: activation(config),
          up: linear(`${layer}.intermediate.dense`),
          down: linear(`${layer}.output.dense`),
          normAfter: norm(`${layer}.output.LayerNorm`),
        },
      );
    }
    return {
      plan: { width, blocks },
      maxLength,
      isExpectedLeftover: (name) =>
        /(^|\.)(pooler|cls|classifier)\./.test(name) || name.endsWith('embeddings.position_ids'),
    };
  },
};

function activation(config: Config): Activation {
  const name = config.string('hidden_act', 'gelu');
  if (Object.hasOwn(ACTIVATIONS, name)) return ACTIVATIONS[name] as Activation;
  throw config.unsupported('hidden_act', oneOf(Object.keys(ACTIVATIONS)));
}

function refuseUnsupported(config: Config): void {
  config.mustBe('position_embedding_type', ['absolute']);
  config.mustBe('is_decoder', [false]);
  config.mustBe('add_cross_attention', [false]);
}
