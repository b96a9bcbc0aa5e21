/** The encoder of BERT and of the families that keep its config keys and its layers. */

import type { Config } from '../json';
import type {
  Activation,
  Block,
  LinearSpec,
  NormSpec,
  Plan,
  RelativeBias,
  WeightRef,
} from '../plan';
import { type Heads, refuseLayersBeyond } from './family';
import { classifiers, maskedLanguage, outputMatrix, project } from './heads';
import {
  activation,
  dimension,
  headColumns,
  LARGEST,
  layerCount,
  layerNorms,
  linear,
  prefixOf,
} from './parts';
import { BERT_NAMES, type PostNormNames, postNormLayers } from './post-norm';

/** In what a family differs from BERT. */
export interface BertKind {
  /** Of the base model in a checkpoint with a head. */
  readonly prefix: string;
  readonly vocabulary: number;
  /** Segment types where the config does not say; 0: the family has none. */
  readonly types: number;
  /** The row of the position table that a first token reads: RoBERTa's start after the padding's. */
  readonly firstPosition?: number;
  /** Default: BERT's. */
  readonly names?: PostNormNames;
  readonly relativeBias?: (prefix: string) => RelativeBias;
  /** Columns of the embedding where they are not the layers'. */
  readonly embeddingWidth?: number;
}

export interface BertEncoder {
  readonly plan: Plan;
  readonly maxLength: number;
  readonly tensors: ReadonlySet<string>;
  readonly prefix: string;
  /** Columns of the last hidden states. */
  readonly width: number;
  readonly vocabulary: number;
  readonly tokens: WeightRef;
  readonly activation: Activation;
  readonly norm: (name: string) => NormSpec;
}

export function bertEncoder(
  config: Config,
  tensorNames: readonly string[],
  kind: BertKind,
): BertEncoder {
  config.mustBe('position_embedding_type', ['absolute']);
  config.mustBe('is_decoder', [false]);
  config.mustBe('add_cross_attention', [false]);
  const tensors = new Set(tensorNames);
  const prefix = prefixOf(tensors, kind.prefix, 'embeddings.word_embeddings.weight');
  const layers = layerCount(config, 'num_hidden_layers', 12);
  refuseLayersBeyond(config, 'num_hidden_layers', layers, tensorNames, `${prefix}encoder.layer.`);

  const width = dimension(config, 'hidden_size', 768);
  const heads = dimension(config, 'num_attention_heads', 12);
  const norm = layerNorms(tensors, config.number('layer_norm_eps', 0, 1e-12));
  const hidden = activation(config, 'hidden_act', 'gelu');
  const vocabulary = dimension(config, 'vocab_size', kind.vocabulary);
  const tokens: WeightRef = { tensor: `${prefix}embeddings.word_embeddings.weight` };
  const first = kind.firstPosition ?? 0;
  const positions = config.integer('max_position_embeddings', first + 1, LARGEST, 512);
  const embeddingWidth = kind.embeddingWidth ?? width;

  const blocks: Block[] = [
    {
      block: 'embed',
      vocabulary,
      tokens,
      ...(kind.types > 0 && {
        types: {
          table: { tensor: `${prefix}embeddings.token_type_embeddings.weight` },
          count: dimension(config, 'type_vocab_size', kind.types),
        },
      }),
      positions: {
        kind: 'learned',
        table: { tensor: `${prefix}embeddings.position_embeddings.weight` },
        count: positions,
        ...(first > 0 && { offset: first }),
      },
      norm: norm(`${prefix}embeddings.LayerNorm`),
    },
    ...(embeddingWidth === width ? [] : [project(width, linear(`${prefix}embeddings_project`))]),
    ...postNormLayers({
      layers,
      prefix: `${prefix}encoder.layer.`,
      names: kind.names ?? BERT_NAMES,
      norm,
      heads,
      headDim: headColumns(config, ['num_attention_heads', heads], ['hidden_size', width]),
      inner: dimension(config, 'intermediate_size', 3072),
      activation: hidden,
      ...(kind.relativeBias && { relativeBias: kind.relativeBias(prefix) }),
    }),
  ];
  return {
    plan: { width: embeddingWidth, blocks },
    maxLength: positions - first,
    tensors,
    prefix,
    width,
    vocabulary,
    tokens,
    activation: hidden,
    norm,
  };
}

/** Scores over the vocabulary. Their bias may have two names; as in transformers, the decoder's own counts more. */
export function vocabularyScores(
  config: Config,
  { tensors, tokens }: BertEncoder,
  head: string,
): LinearSpec | undefined {
  const tied = config.boolean('tie_word_embeddings', true);
  const weight = outputMatrix(tensors, `${head}.decoder.weight`, tokens, { tied });
  const names = [`${head}.decoder.bias`, `${head}.bias`];
  const bias = names.find((name) => tensors.has(name)) ?? `${head}.bias`;
  return weight && { weight, bias: { tensor: bias } };
}

/** The heads of RoBERTa and the families after it; they differ in one activation. */
export function robertaHeads(
  config: Config,
  encoder: BertEncoder,
  classifierActivation: Activation,
): Heads {
  const { tensors, width, vocabulary, norm } = encoder;
  const scores = vocabularyScores(config, encoder, 'lm_head');
  const hasLanguage = tensors.has('lm_head.dense.weight');
  return {
    ...(hasLanguage &&
      scores && {
        language: maskedLanguage(
          [width, linear('lm_head.dense'), 'gelu'],
          norm('lm_head.layer_norm'),
          [vocabulary, scores],
        ),
      }),
    ...classifiers(config, tensors, {
      before: [project(width, linear('classifier.dense'), classifierActivation)],
      probe: 'classifier.dense.weight',
      name: 'classifier.out_proj',
    }),
  };
}

/** Heads that a plan of the encoder alone does not read, and indices that old checkpoints stored. */
export function isBertLeftover(name: string): boolean {
  return (
    /(^|\.)(pooler|cls|lm_head|classifier|pre_classifier|qa_outputs|seq_relationship)\./.test(
      name,
    ) || /embeddings\.(position_ids|token_type_ids)$/.test(name)
  );
}
