/**
 * The encoder and decoder of "Attention Is All You Need" (Vaswani et al. 2017, arXiv:1706.03762), of any size.
 *
 * As published: norms after each residual, ReLU, sinusoidal positions, embeddings times √width, one table for source,
 * target and projection, biases in feed-forwards only. What differs: nothing is dropped out, as nothing is trained
 * here; positions end at `positions`; the paper names no epsilon of its norms, and its authors' code has 1e-6. The
 * base model has 63 M parameters with the paper's 37000 tokens; its table 3 says 65, which about 41100 tokens give.
 */

import {
  type AttentionOptions,
  attention,
  embed,
  feedForward,
  plan,
  project,
  select,
} from './blocks';
import { checkInteger, checkLiteral, checkObject, invalid } from './check';
import type { Plan } from './plan';
import { MOST_COLUMNS } from './plan-check-specs';

export interface PaperOptions {
  /** V, of the target, and of the source unless `sourceVocabulary` says otherwise. */
  readonly vocabulary: number;
  /** N, of the encoder and of the decoder. Default: 6. */
  readonly layers?: number;
  /** d_model. Default: 512. */
  readonly width?: number;
  /** h; divides `width`. Default: 8. */
  readonly heads?: number;
  /** d_ff. Default: 2048. */
  readonly inner?: number;
  /** The longest sequence. Default: 1024. */
  readonly positions?: number;
  /**
   * Which of the source's table, the target's table and the projection are one matrix: 'all' (section 3.4), the last
   * 'target' two, or 'none'. Default: 'all'.
   */
  readonly shared?: 'all' | 'target' | 'none';
  /** Only where the source has a table of its own. */
  readonly sourceVocabulary?: number;
  /** Added to the variance in norms. Default: 1e-6. */
  readonly epsilon?: number;
}

/** Two plans whose weights have one set of names: the same weights serve both. */
export interface EncoderDecoder {
  /** Token ids of the source -> [T, width], the decoder's memory. */
  readonly encoder: Plan;
  /** Token ids of the target and the memory -> logits [R, vocabulary] of the rows selected. */
  readonly decoder: Plan;
}

/**
 * The Transformer as published; without sizes its base model.
 *
 * @throws MultiheadError INVALID_ARGUMENT
 * @example
 * const { encoder, decoder } = transformer({ layers: 6, width: 512, heads: 8, inner: 2048, vocabulary: 37000 });
 * const weights = { ...randomWeights(encoder, { seed: 1 }), ...randomWeights(decoder, { seed: 1 }) };
 */
export function transformer(options: PaperOptions): EncoderDecoder {
  const { vocabulary, layers, width, heads, inner, positions, shared, sourceVocabulary, epsilon } =
    checkOptions(options);
  const [source, target] = shared === 'all' ? ['shared', 'shared'] : ['source', 'target'];
  const embedding = (name: string, vocabulary: number) =>
    embed({ vocabulary, positions: { sinusoidal: positions }, scale: Math.sqrt(width), name });
  const layersOf = (stack: string, attentions: readonly Partial<AttentionOptions>[]) =>
    Array.from({ length: layers }, (_, i) => [
      ...attentions.map((kind) =>
        attention({
          heads,
          bias: false,
          epsilon,
          ...kind,
          name: `${stack}.${i}.${kind.keysFrom === 'memory' ? 'crossAttention' : 'attention'}`,
        }),
      ),
      feedForward({ inner, activation: 'relu', epsilon, name: `${stack}.${i}.feedForward` }),
    ]).flat();
  const encoder = plan({ width }, [
    embedding(source, sourceVocabulary),
    ...layersOf('encoder', [{ mask: 'full' }]),
  ]);
  const decoder = plan({ width, memoryWidth: width }, [
    embedding(target, vocabulary),
    ...layersOf('decoder', [{ mask: 'causal' }, { keysFrom: 'memory' }]),
    select(),
    project({
      width: vocabulary,
      bias: false,
      ...(shared !== 'none' && { weight: `${target}.tokens` }),
      name: 'projection',
    }),
  ]);
  return { encoder, decoder };
}

const DEFAULTS = {
  layers: 6,
  width: 512,
  heads: 8,
  inner: 2048,
  positions: 1024,
  shared: 'all',
  epsilon: 1e-6,
} as const;

/** The options with their defaults; what plans check themselves is left to them. */
function checkOptions(options: PaperOptions): Required<PaperOptions> {
  const known = ['vocabulary', 'sourceVocabulary', ...Object.keys(DEFAULTS)];
  const given = Object.entries(checkObject('transformer options', options, known));
  const { vocabulary } = options;
  const all: Required<PaperOptions> = {
    ...DEFAULTS,
    vocabulary,
    sourceVocabulary: vocabulary,
    ...Object.fromEntries(given.filter(([, value]) => value !== undefined)),
  };
  checkLiteral('transformer.shared', all.shared, ['all', 'target', 'none']);
  checkInteger('transformer.vocabulary', vocabulary, 1, MOST_COLUMNS);
  checkInteger('transformer.sourceVocabulary', all.sourceVocabulary, 1, MOST_COLUMNS);
  if (all.shared === 'all' && all.sourceVocabulary !== vocabulary) {
    const expected = `${vocabulary}, as the table is shared`;
    throw invalid('transformer.sourceVocabulary', String(all.sourceVocabulary), expected);
  }
  checkInteger('transformer.layers', all.layers, 1, 1024);
  checkInteger('transformer.width', all.width, 1, MOST_COLUMNS);
  checkInteger('transformer.heads', all.heads, 1, all.width);
  return all;
}
