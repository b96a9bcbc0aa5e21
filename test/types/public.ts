// The public face as a caller sees it: what is accepted, what is refused, and what comes back.

import { expectTypeOf } from 'expect-type';
import {
  attention,
  type Block,
  type BlockBuilder,
  type DownloadProgress,
  type Embeddings,
  type EncoderDecoder,
  type ERROR_CODES,
  type ErrorCode,
  embed,
  feedForward,
  MultiheadError,
  norm,
  type Plan,
  type PlanWeight,
  plan,
  planWeights,
  pool,
  poolWeights,
  project,
  randomWeights,
  resolveModel,
  rotaryFrequencies,
  SentenceEncoder,
  select,
  type Tensor,
  Transformer,
  transformer,
  type Weights,
} from '../../lib/index';

// Plans.
expectTypeOf(embed({ vocabulary: 10 })).toEqualTypeOf<BlockBuilder>();
expectTypeOf(plan({ width: 8 }, [embed({ vocabulary: 10 }), norm(), pool()])).toEqualTypeOf<Plan>();
plan({ width: 8 }, [{ block: 'norm', norm: { kind: 'l2', epsilon: 0 } }, feedForward()]);
embed({ vocabulary: 10, positions: { sinusoidal: 9 } });
pool({ parts: ['weighted', 'max'] });
// @ts-expect-error a vocabulary is needed
embed({});
// @ts-expect-error heads are needed
attention({});
// @ts-expect-error no such norm placement
attention({ heads: 2, norm: 'inside' });
// @ts-expect-error an embedding has no norm before it
embed({ vocabulary: 10, norm: 'before' });
// @ts-expect-error no such activation
feedForward({ activation: 'swish' });
// @ts-expect-error no such option
project({ width: 2, name: 'p', size: 3 });
// @ts-expect-error no such part
pool({ parts: ['mean'] });
attention({ heads: 2, mask: 'causal', rotary: { base: 500000 }, queryKeyNorm: 'rms' });
attention({ heads: 2, rotary: { frequencies: [1] }, relativeBias: { buckets: 8 }, alibi: true });
attention({ heads: 2, keysFrom: 'memory' });
expectTypeOf(select()).toEqualTypeOf<BlockBuilder>();
expectTypeOf(transformer({ vocabulary: 10 })).toEqualTypeOf<EncoderDecoder>();
// @ts-expect-error no such source of keys
attention({ heads: 2, keysFrom: 'cache' });
// @ts-expect-error a scaling needs a factor
rotaryFrequencies({ dims: 8, scaling: { kind: 'linear' } });
// @ts-expect-error a vocabulary is needed
transformer({ layers: 6 });
// @ts-expect-error a plan needs a width
plan({}, []);
declare const somePlan: Plan;
// @ts-expect-error a plan is frozen
somePlan.width = 3;
// @ts-expect-error so are its blocks
somePlan.blocks.push({ block: 'pool', parts: ['max'] });
expectTypeOf<Block['block']>().toEqualTypeOf<
  'embed' | 'attention' | 'feedForward' | 'norm' | 'project' | 'pool' | 'select'
>();

// Weights.
expectTypeOf(planWeights(somePlan)).toEqualTypeOf<readonly PlanWeight[]>();
expectTypeOf(randomWeights(somePlan, { seed: 1 })).toEqualTypeOf<Record<string, Tensor>>();
expectTypeOf<Map<string, Tensor>>().toExtend<Weights>();
expectTypeOf<{ data: number[]; shape: number[] }>().not.toExtend<Tensor>();
// @ts-expect-error a seed is needed
randomWeights(somePlan, {});

// Transformers.
expectTypeOf(Transformer.create).returns.resolves.toEqualTypeOf<Transformer>();
expectTypeOf(Transformer.load).returns.resolves.toEqualTypeOf<Transformer>();
// @ts-expect-error only create and load make one
new Transformer();
// @ts-expect-error a half-precision computation does not exist yet
Transformer.load('.', { dtype: 'f16' });
// @ts-expect-error a tokenizer's option
Transformer.load('.', { maxQueued: 3 });
declare const running: Transformer;
expectTypeOf(running.plan).toEqualTypeOf<Plan>();
expectTypeOf(running.device).toEqualTypeOf<'cpu'>();
expectTypeOf(running.info.unusedTensors).toEqualTypeOf<readonly string[]>();
const tokens = Int32Array.of(1);
expectTypeOf(running.forward).returns.resolves.toEqualTypeOf<{
  readonly hidden: Float32Array;
  readonly layers?: Float32Array[];
  readonly pooled?: Float32Array;
  readonly logits?: Float32Array;
}>();
// @ts-expect-error only typed arrays
running.forward({ tokens: [1], offsets: Int32Array.of(0, 1) });
// @ts-expect-error offsets are needed
running.forward({ tokens });
// @ts-expect-error read only
running.device = 'cpu';

// Sentence encoders.
declare const encoder: SentenceEncoder;
expectTypeOf(SentenceEncoder.load).returns.resolves.toEqualTypeOf<SentenceEncoder>();
expectTypeOf(encoder.encode).returns.resolves.toEqualTypeOf<Embeddings>();
expectTypeOf(encoder.encode).parameter(0).toEqualTypeOf<string | readonly string[]>();
expectTypeOf(encoder.dispose).returns.resolves.toEqualTypeOf<void>();
expectTypeOf(encoder.info.pooling).items.toEqualTypeOf<
  'cls' | 'max' | 'mean' | 'mean_sqrt_len_tokens' | 'weightedmean' | 'lasttoken'
>();
// @ts-expect-error no such option
encoder.encode('a', { batchSize: 3 });
// @ts-expect-error not a text
encoder.encode(7);
// @ts-expect-error not texts
encoder.encode([1]);
expectTypeOf<SentenceEncoder>().toExtend<AsyncDisposable & Disposable>();
expectTypeOf<Transformer>().toExtend<AsyncDisposable & Disposable>();

// Results.
declare const embeddings: Embeddings;
expectTypeOf(embeddings.at(0)).toEqualTypeOf<Float32Array>();
expectTypeOf(embeddings.toArray()).toEqualTypeOf<number[][]>();
expectTypeOf(embeddings.usage).toEqualTypeOf<{
  readonly tokens: number;
  readonly truncated: number;
}>();
// @ts-expect-error read only
embeddings.count = 3;
expectTypeOf(poolWeights(['mean'], tokens, { skipped: 1 })).toEqualTypeOf<Float32Array>();
// @ts-expect-error no such mode
poolWeights(['median'], tokens);

// Errors.
declare const error: MultiheadError;
expectTypeOf(error).toExtend<Error>();
expectTypeOf(error.code).toEqualTypeOf<ErrorCode>();
expectTypeOf(error.details).toEqualTypeOf<{
  readonly where: string;
  readonly got: string;
  readonly expected?: string;
}>();
expectTypeOf<keyof typeof ERROR_CODES>().toEqualTypeOf<ErrorCode>();
// @ts-expect-error no such code
new MultiheadError('OOPS', { where: 'a', got: 'b' });

// Models by name.
expectTypeOf(resolveModel).returns.resolves.toEqualTypeOf<{
  readonly folder: string;
  readonly revision?: string;
}>();
resolveModel('a/b', {
  onProgress: (progress) => expectTypeOf(progress).toEqualTypeOf<DownloadProgress>(),
});
