/**
 * Qwen3 (Yang et al. 2025, arXiv:2505.09388): Llama with a norm of each head of queries and keys.
 *
 * Source: transformers, models/qwen3/modeling_qwen3.py.
 */

import type { Family } from './family';
import { qwenWindow, rotaryDecoder } from './rotary-decoder';

export const qwen3: Family = {
  modelType: 'qwen3',

  describe(config, tensors) {
    const bias = config.boolean('attention_bias', false);
    return rotaryDecoder(config, tensors, {
      vocabulary: 151936,
      maxLength: 32768,
      biases: { queryKeyValue: bias, output: bias, feedForward: false },
      headDim: 128,
      headNorms: true,
      window: qwenWindow(config),
    });
  },
};
