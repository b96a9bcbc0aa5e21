/**
 * Qwen2 and Qwen2.5 (Yang et al. 2024, arXiv:2407.10671): Llama with biases of queries, keys and values.
 *
 * Source: transformers, models/qwen2/modeling_qwen2.py.
 */

import type { Family } from './family';
import { qwenWindow, rotaryDecoder } from './rotary-decoder';

export const qwen2: Family = {
  modelType: 'qwen2',

  describe(config, tensors) {
    return rotaryDecoder(config, tensors, {
      vocabulary: 151936,
      maxLength: 32768,
      biases: { queryKeyValue: true, output: false, feedForward: false },
      window: qwenWindow(config),
    });
  },
};
