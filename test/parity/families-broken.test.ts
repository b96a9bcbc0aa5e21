/**
 * Proof that the comparisons of families.test.ts can fail, and that they name the layer: each test breaks one thing of
 * a folder that passes.
 */

import { join } from 'node:path';
import { compareStreams, runEngine, streamsOf } from './family-folders';
import { FolderCopy } from './folder-copy';
import { GOLDEN, Golden } from './goldens';

type Break = (copy: FolderCopy) => void;

const config =
  (change: Record<string, unknown>): Break =>
  (copy) =>
    copy.editConfig(change);
const swap =
  (one: string, other: string): Break =>
  (copy) =>
    copy.swap(one, other);
const rope = (change: object) =>
  config({
    rope_parameters: {
      full_attention: { rope_type: 'default', rope_theta: 400 },
      sliding_attention: { rope_type: 'default', rope_theta: 50 },
      ...change,
    },
  });

/** What is broken, where, how, and the first stream that must differ. */
const BROKEN: readonly (readonly [what: string, name: string, how: Break, where: string])[] = [
  // Encoders with learned positions.
  ['the first position', 'roberta/masked', config({ pad_token_id: 2 }), 'layer.0'],
  ['two layers swapped', 'roberta/sequence', swap('layer.0.', 'layer.1.'), 'layer.1'],
  [
    'the head’s bias',
    'bert/masked-untied',
    swap('cls.predictions.decoder.bias', 'cls.predictions.bias'),
    'language',
  ],
  ['a norm’s epsilon', 'xlm-roberta/masked', config({ layer_norm_eps: 0.1 }), 'layer.0'],
  ['the activation', 'distilbert/base', config({ activation: 'gelu' }), 'layer.1'],
  [
    'queries and keys',
    'distilbert/token',
    swap('1.attention.q_lin', '1.attention.k_lin'),
    'layer.2',
  ],
  [
    'values and outputs',
    'mpnet/token',
    swap('1.attention.attn.v', '1.attention.attn.o'),
    'layer.2',
  ],
  [
    'the embedding projected by another matrix',
    'electra/sequence',
    swap('embeddings_project.bias', 'encoder.layer.0.output.dense.bias'),
    'layer.1',
  ],
  // Rotary encoders.
  [
    'the base of near layers',
    'modernbert/masked',
    rope({ sliding_attention: { rope_theta: 51 } }),
    'layer.2',
  ],
  [
    'the base of far layers',
    'modernbert/masked',
    rope({ full_attention: { rope_theta: 401 } }),
    'layer.1',
  ],
  ['the window', 'modernbert/token', config({ local_attention: 10 }), 'layer.2'],
  ['what the head pools', 'modernbert/sequence', config({ classifier_pooling: 'cls' }), 'sequence'],
  // Decoders.
  ['layers swapped', 'gpt2/causal', swap('h.1.', 'h.2.'), 'layer.2'],
  [
    'scores divided by the layer',
    'gpt2/base',
    config({ scale_attn_by_inverse_layer_idx: false }),
    'layer.2',
  ],
  [
    'the scaling of frequencies',
    'llama/linear',
    config({ rope_scaling: { type: 'linear', factor: 3.01 } }),
    'layer.1',
  ],
  ['the output matrix', 'llama/yarn', swap('lm_head', 'model.embed_tokens'), 'layer.0'],
  ['the first layer with a window', 'qwen2/window', config({ max_window_layers: 2 }), 'layer.2'],
  ['norms of heads', 'qwen3/causal', swap('2.self_attn.q_norm', '2.self_attn.k_norm'), 'layer.3'],
  ['a window one longer', 'mistral/window', config({ sliding_window: 6 }), 'layer.1'],
  ['the number of heads', 'bloom/causal', config({ n_head: 4 }), 'layer.1'],
  // Encoder-decoders.
  [
    'the distance of the last bucket',
    't5/first-release',
    config({ relative_attention_max_distance: 16 }),
    'layer.1',
  ],
  ['the scale of logits', 't5/gated', config({ tie_word_embeddings: true }), 'language'],
  [
    'attention over the memory',
    't5/gated',
    swap('decoder.block.1.layer.1.EncDecAttention.k', 'decoder.block.1.layer.1.EncDecAttention.q'),
    'decoder.layer.2',
  ],
  ['the scale of embeddings', 'marian/shared', config({ scale_embedding: false }), 'layer.0'],
  [
    'a decoder’s layer',
    'marian/apart',
    swap('decoder.layers.0.fc1.bias', 'decoder.layers.1.fc1.bias'),
    'decoder.layer.1',
  ],
];

test.each(BROKEN)('%s: %s', async (_what, name, how, where) => {
  const copy = new FolderCopy(join(GOLDEN, 'families', name));
  try {
    const golden = new Golden(copy.folder);
    expect(() => compareStreams(name, new Map(), golden)).toThrow('nothing computed');
    how(copy);
    const streams = await streamsOf(copy.folder, golden, runEngine);
    expect(() => compareStreams(name, streams, golden)).toThrow(`${name}, ${where}: row`);
  } finally {
    copy.remove();
  }
});
