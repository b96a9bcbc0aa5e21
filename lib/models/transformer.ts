/**
 * The model of "Attention Is All You Need" (Vaswani et al. 2017, arXiv:1706.03762): an encoder and a decoder with
 * norms after the residuals (3.1), ReLU (3.3), one scaled matrix for both embeddings and the output (3.4) and
 * sinusoidal positions (3.5).
 *
 * No library names such a checkpoint, so examples/dates/model.py, which follows the paper, names this one.
 */

import { invalid } from '../check';
import type { Config } from '../json';
import type { AttentionBlock, Block, LinearSpec, NormSpec, WeightRef } from '../plan';
import { type Family, type FamilyModel, refuseLayersBeyond } from './family';

const LARGEST = 2 ** 31 - 1;

/** Of both embeddings and, transposed, of the projection to logits. */
const EMBEDDING: WeightRef = { tensor: 'embedding.weight' };

export const transformer: Family = {
  modelType: 'transformer',

  describe(config: Config, tensors: readonly string[]): FamilyModel {
    refuseUnsupported(config);
    const settings = readSettings(config);
    const { width, vocabulary } = settings;
    const encoderLayers = config.integer('num_encoder_layers', 1, LARGEST, 6);
    const decoderLayers = config.integer('num_decoder_layers', 1, LARGEST, 6);
    refuseLayersBeyond(config, 'num_encoder_layers', encoderLayers, tensors, 'encoder.');
    refuseLayersBeyond(config, 'num_decoder_layers', decoderLayers, tensors, 'decoder.');

    const embed = embedding(settings);
    const encoder: Block[] = [embed];
    for (let i = 0; i < encoderLayers; i += 1) {
      const layer = `encoder.${i}`;
      encoder.push(
        attention(`${layer}.attention`, settings),
        feedForward(`${layer}.feed_forward`, settings),
      );
    }
    const decoder: Block[] = [embed];
    for (let i = 0; i < decoderLayers; i += 1) {
      const layer = `decoder.${i}`;
      decoder.push(
        { ...attention(`${layer}.attention`, settings), mask: 'causal' },
        { ...attention(`${layer}.memory_attention`, settings), keysFrom: 'memory' },
        feedForward(`${layer}.feed_forward`, settings),
      );
    }
    const logits: Block = {
      block: 'project',
      width: vocabulary,
      activation: 'identity',
      linear: { weight: EMBEDDING },
    };
    return {
      architecture: 'encoder-decoder',
      plan: { width, blocks: encoder },
      decoder: { width, memoryWidth: width, blocks: decoder },
      heads: { language: [logits] },
      maxLength: settings.positions,
      isExpectedLeftover: () => false,
    };
  },
};

interface Settings {
  readonly vocabulary: number;
  readonly width: number;
  readonly heads: number;
  readonly inner: number;
  readonly positions: number;
  readonly epsilon: number;
}

/** Where the config is silent, the base model of the paper's table 3. */
function readSettings(config: Config): Settings {
  const width = config.integer('d_model', 1, LARGEST, 512);
  const heads = config.integer('num_heads', 1, LARGEST, 8);
  if (width % heads !== 0) {
    throw invalid(config.where('num_heads'), String(heads), `a divisor of d_model, ${width}`);
  }
  return {
    vocabulary: config.integer('vocab_size', 1, LARGEST),
    width,
    heads,
    inner: config.integer('d_ff', 1, LARGEST, 2048),
    positions: config.integer('max_position_embeddings', 1, LARGEST, 512),
    epsilon: config.number('layer_norm_eps', 0, 1e-5),
  };
}

function embedding({ vocabulary, width, positions }: Settings): Block {
  return {
    block: 'embed',
    vocabulary,
    tokens: EMBEDDING,
    scale: Math.sqrt(width),
    positions: { kind: 'sinusoidal', count: positions },
  };
}

function attention(name: string, { width, heads, epsilon }: Settings): AttentionBlock {
  const linear = (part: string): LinearSpec => ({ weight: { tensor: `${name}.${part}.weight` } });
  return {
    block: 'attention',
    heads,
    headDim: width / heads,
    query: linear('query'),
    key: linear('key'),
    value: linear('value'),
    output: linear('output'),
    normAfter: norm(name, epsilon),
  };
}

function feedForward(name: string, { inner, epsilon }: Settings): Block {
  const linear = (part: string): LinearSpec => ({
    weight: { tensor: `${name}.${part}.weight` },
    bias: { tensor: `${name}.${part}.bias` },
  });
  return {
    block: 'feedForward',
    inner,
    activation: 'relu',
    up: linear('up'),
    down: linear('down'),
    normAfter: norm(name, epsilon),
  };
}

function norm(name: string, epsilon: number): NormSpec {
  return {
    kind: 'layer',
    epsilon,
    gain: { tensor: `${name}.norm.weight` },
    bias: { tensor: `${name}.norm.bias` },
  };
}

function refuseUnsupported(config: Config): void {
  config.mustBe('is_encoder_decoder', [true]);
  config.mustBe('tie_word_embeddings', [true]);
  config.mustBe('scale_embedding', [true]);
  config.mustBe('attention_bias', [false]);
  config.mustBe('activation_function', ['relu']);
}
