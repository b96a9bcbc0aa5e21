/**
 * Mistral (Jiang et al. 2023, arXiv:2310.06825): Llama whose queries see a window of keys.
 *
 * Source: transformers, models/mistral/modeling_mistral.py.
 */

import type { Config } from '../json';
import type { Family } from './family';
import { dimension } from './parts';
import { rotaryDecoder } from './rotary-decoder';

export const mistral: Family = {
  modelType: 'mistral',

  describe(config, tensors) {
    const window = windowOf(config);
    return rotaryDecoder(config, tensors, {
      vocabulary: 32000,
      maxLength: 131072,
      biases: { queryKeyValue: false, output: false, feedForward: false },
      window: () => window,
    });
  },
};

/** The query's own token counts. A null says that there is none, as in later releases; an absent key does not. */
function windowOf(config: Config): number | undefined {
  if (config.values['sliding_window'] === null) return undefined;
  return dimension(config, 'sliding_window', 4096) - 1;
}
