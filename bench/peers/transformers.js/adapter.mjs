// transformers.js: its feature-extraction pipeline for texts, and for token ids the model, the mean pooling and
// the normalisation which that pipeline is made of.
import { basename, dirname } from 'node:path';
import { env, mean_pooling, pipeline, Tensor } from '@huggingface/transformers';
import { paddedInputs } from '../padding.mjs';

export async function open({ onnxFolder, threads, options }) {
  env.allowRemoteModels = false;
  env.localModelPath = dirname(onnxFolder);
  const sessionOptions = {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
  };
  const extractor = await pipeline('feature-extraction', basename(onnxFolder), {
    device: 'cpu',
    dtype: 'fp32',
    session_options: sessionOptions,
  });
  return {
    settings: { ...sessionOptions, batch: options.batch },
    async embedIds(sequences) {
      const inputs = paddedInputs(sequences, Tensor);
      const { last_hidden_state: hidden } = await extractor.model(inputs);
      return mean_pooling(hidden, inputs.attention_mask).normalize(2, -1).data;
    },
    async embedTexts(texts) {
      const parts = [];
      for (let at = 0; at < texts.length; at += options.batch) {
        const batch = texts.slice(at, at + options.batch);
        const output = await extractor(batch, { pooling: 'mean', normalize: true });
        parts.push(output.data);
      }
      return concatenate(parts);
    },
    close: () => extractor.dispose(),
  };
}

function concatenate(parts) {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
