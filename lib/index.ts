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
export type { ComputeOptions, Device, DeviceOption, DType } from './compute';
export type { EmbeddingUsage } from './embeddings';
export { Embeddings } from './embeddings';
export type { ErrorCode, ErrorDetails } from './errors';
export { ERROR_CODES, MultiheadError } from './errors';
export type { DownloadProgress, ResolvedModel, ResolveOptions } from './hub';
export { resolveModel } from './hub';
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
export type { SourceOptions } from './source';
export type {
  ForwardInput,
  ForwardOutput,
  TransformerInfo,
  TransformerLoadOptions,
} from './transformer';
export { Transformer } from './transformer';
export type { Tensor, Weights } from './weights/memory';
