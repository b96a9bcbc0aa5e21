/**
 * Llama (Touvron et al. 2023, arXiv:2302.13971; Dubey et al. 2024, arXiv:2407.21783).
 *
 * Source: transformers, models/llama/modeling_llama.py.
 */

import type { Family } from './family';
import { rotaryDecoder } from './rotary-decoder';

export const llama: Family = {
  modelType: 'llama',

  describe(config, tensors) {
    const bias = config.boolean('attention_bias', false);
    return rotaryDecoder(config, tensors, {
      vocabulary: 32000,
      maxLength: 2048,
      biases: {
        queryKeyValue: bias,
        output: bias,
        feedForward: config.boolean('mlp_bias', false),
      },
    });
  },
};
