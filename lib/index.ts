/** The public face of multihead. */

export type { NormOptions, NormPlacement, Place } from './block-names';
export type {
  AttentionOptions,
  BlockBuilder,
  EmbedOptions,
  FeedForwardOptions,
  NormBlockOptions,
  PlanOptions,
  PoolOptions,
  ProjectOptions,
  RelativeBiasOptions,
  RotaryPositions,
} from './blocks';
export { attention, embed, feedForward, norm, plan, pool, project, select } from './blocks';
export { CausalLM } from './causal-lm';
export type { ComputeOptions, Device, DeviceOption, DType } from './compute';
export type {
  CrossEncoderActivation,
  CrossEncoderInfo,
  PredictOptions,
  RankedDocument,
  RankOptions,
} from './cross-encoder';
export { CrossEncoder } from './cross-encoder';
export type { EmbeddingUsage } from './embeddings';
export { Embeddings } from './embeddings';
export type { ErrorCode, ErrorDetails } from './errors';
export { ERROR_CODES, MultiheadError } from './errors';
export type { Logits, LogitsInput } from './generation/forward';
export type { LanguageModelInfo, LanguageModelLoadOptions } from './generation/load';
export type {
  EarlyStopping,
  FinishReason,
  GenerateOptions,
  GenerateTokensOptions,
} from './generation/options';
export type {
  Generation,
  GenerationUsage,
  TokenGeneration,
  TokenIds,
} from './generation/results';
export type { HeadTaskLoadOptions } from './head-task';
export type { DownloadProgress, ResolvedModel, ResolveOptions } from './hub';
export { resolveModel } from './hub';
export type { FillMaskOptions, MaskedLMInfo, MaskFill } from './masked-lm';
export { MaskedLM } from './masked-lm';
export type { EncoderDecoder, PaperOptions } from './paper';
export { transformer } from './paper';
export type * from './plan';
export type { PlanWeight, WeightRole } from './plan-weights';
export { planWeights, randomWeights } from './plan-weights';
export type { PoolingMode } from './pooling';
export { poolWeights } from './pooling';
export type { RelativeBucketOptions, RotaryOptions, RotaryScaling } from './positions';
export { alibiSlopes, relativeBuckets, rotaryFrequencies } from './positions';
export type {
  EncodeOptions,
  SentenceEncoderInfo,
  SentenceEncoderLoadOptions,
} from './sentence-encoder';
export { SentenceEncoder } from './sentence-encoder';
export type { Seq2SeqLogitsInput } from './seq2seq-lm';
export { Seq2SeqLM } from './seq2seq-lm';
export type { ClassifierInfo, ClassifyOptions, ClassLabel } from './sequence-classifier';
export { SequenceClassifier } from './sequence-classifier';
export type { SourceOptions } from './source';
export type { Aggregation, Entity } from './token-aggregation';
export type { ClassifyTokensOptions, TokenClassifierInfo } from './token-classifier';
export { TokenClassifier } from './token-classifier';
export type { TextInput } from './tokenizer';
export type {
  ForwardInput,
  ForwardOutput,
  TransformerInfo,
  TransformerLoadOptions,
} from './transformer';
export { Transformer } from './transformer';
export type { Tensor, Weights } from './weights/memory';
