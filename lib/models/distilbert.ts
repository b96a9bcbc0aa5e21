/**
 * DistilBERT (Sanh et al. 2019, arXiv:1910.01108): BERT's layers under other names, without segment types.
 *
 * Source: transformers, models/distilbert/modeling_distilbert.py.
 */

import type { Config } from '../json';
import { isBertLeftover } from './bert-encoder';
import { type Family, type FamilyModel, type Heads, refuseLayersBeyond } from './family';
import { classifiers, maskedLanguage, outputMatrix, project } from './heads';
import { activation, dimension, headColumns, layerNorms, linear, prefixOf } from './parts';
import { type PostNormNames, postNormLayers } from './post-norm';

const EPSILON = 1e-12;

const NAMES: PostNormNames = {
  query: 'attention.q_lin',
  key: 'attention.k_lin',
  value: 'attention.v_lin',
  output: 'attention.out_lin',
  attentionNorm: 'sa_layer_norm',
  up: 'ffn.lin1',
  down: 'ffn.lin2',
  feedForwardNorm: 'output_layer_norm',
};

export const distilbert: Family = {
  modelType: 'distilbert',

  describe(config: Config, tensorNames: readonly string[]): FamilyModel {
    const tensors = new Set(tensorNames);
    const prefix = prefixOf(tensors, 'distilbert.', 'embeddings.word_embeddings.weight');
    const layers = dimension(config, 'n_layers', 6);
    const layerPrefix = `${prefix}transformer.layer.`;
    refuseLayersBeyond(config, 'n_layers', layers, tensorNames, layerPrefix);

    const width = dimension(config, 'dim', 768);
    const heads = dimension(config, 'n_heads', 12);
    const vocabulary = dimension(config, 'vocab_size', 30522);
    const hidden = activation(config, 'activation', 'gelu');
    const norm = layerNorms(tensors, EPSILON);
    const tokens = { tensor: `${prefix}embeddings.word_embeddings.weight` };
    const positions = dimension(config, 'max_position_embeddings', 512);

    const tied = config.boolean('tie_word_embeddings', true);
    const scores = outputMatrix(tensors, 'vocab_projector.weight', tokens, { tied });
    const language: Heads =
      scores && tensors.has('vocab_transform.weight')
        ? {
            language: maskedLanguage(
              [width, linear('vocab_transform'), hidden],
              norm('vocab_layer_norm'),
              [vocabulary, { weight: scores, bias: { tensor: 'vocab_projector.bias' } }],
            ),
          }
        : {};
    return {
      architecture: 'encoder',
      plan: {
        width,
        blocks: [
          {
            block: 'embed',
            vocabulary,
            tokens,
            // Sinusoidal ones are stored as a table too.
            positions: {
              kind: 'learned',
              table: { tensor: `${prefix}embeddings.position_embeddings.weight` },
              count: positions,
            },
            norm: norm(`${prefix}embeddings.LayerNorm`),
          },
          ...postNormLayers({
            layers,
            prefix: layerPrefix,
            names: NAMES,
            norm,
            heads,
            headDim: headColumns(config, ['n_heads', heads], ['dim', width]),
            inner: dimension(config, 'hidden_dim', 3072),
            activation: hidden,
          }),
        ],
      },
      heads: {
        ...language,
        ...classifiers(config, tensors, {
          before: [project(width, linear('pre_classifier'), 'relu')],
          probe: 'pre_classifier.weight',
          name: 'classifier',
        }),
      },
      maxLength: positions,
      isExpectedLeftover: (name) =>
        isBertLeftover(name) || /^vocab_(transform|layer_norm|projector)\./.test(name),
    };
  },
};
