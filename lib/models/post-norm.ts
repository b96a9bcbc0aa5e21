/** The layers of BERT and its kin: post-norm attention and feed-forward, biases everywhere. */

import type { Activation, Block, NormSpec, RelativeBias } from '../plan';
import { linear } from './parts';

/** Names below a layer's prefix. */
export interface PostNormNames {
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly output: string;
  readonly attentionNorm: string;
  readonly up: string;
  readonly down: string;
  readonly feedForwardNorm: string;
}

/** BERT's, which RoBERTa and ELECTRA have too. */
export const BERT_NAMES: PostNormNames = {
  query: 'attention.self.query',
  key: 'attention.self.key',
  value: 'attention.self.value',
  output: 'attention.output.dense',
  attentionNorm: 'attention.output.LayerNorm',
  up: 'intermediate.dense',
  down: 'output.dense',
  feedForwardNorm: 'output.LayerNorm',
};

export interface PostNormLayers {
  readonly layers: number;
  /** Before a layer's number: 'encoder.layer.' */
  readonly prefix: string;
  readonly names: PostNormNames;
  readonly norm: (name: string) => NormSpec;
  readonly heads: number;
  readonly headDim: number;
  readonly inner: number;
  readonly activation: Activation;
  /** The same in every layer. */
  readonly relativeBias?: RelativeBias;
}

export function postNormLayers(options: PostNormLayers): Block[] {
  const { layers, prefix, names, norm, heads, headDim, inner, activation, relativeBias } = options;
  return Array.from({ length: layers }, (_, i): Block[] => {
    const at = (part: keyof PostNormNames) => `${prefix}${i}.${names[part]}`;
    return [
      {
        block: 'attention',
        heads,
        headDim,
        query: linear(at('query')),
        key: linear(at('key')),
        value: linear(at('value')),
        output: linear(at('output')),
        ...(relativeBias && { relativeBias }),
        normAfter: norm(at('attentionNorm')),
      },
      {
        block: 'feedForward',
        inner,
        activation,
        up: linear(at('up')),
        down: linear(at('down')),
        normAfter: norm(at('feedForwardNorm')),
      },
    ];
  }).flat();
}
