/** What a model family supplies: a config becomes a plan, and the checkpoint's leftovers are judged. */

import type { Config } from '../json';
import type { Block, Plan } from '../plan';
import { weightInvalid } from '../weights/table';

/** What follows the last hidden states, for each task that the checkpoint has the weights of. */
export interface Heads {
  /** Token rows to logits over the vocabulary: masked or causal language model, or the decoder's output. */
  readonly language?: readonly Block[];
  /** One row a sequence, made by `pooling`, to logits over labels. */
  readonly sequence?: readonly Block[];
  /** How a sequence becomes the row that `sequence` reads; only beside it. */
  readonly pooling?: 'cls' | 'lasttoken' | 'mean';
  /** Token rows to logits over labels. */
  readonly token?: readonly Block[];
}

/** A model of a family, as its config and tensor names describe it. */
export interface FamilyModel {
  readonly architecture: 'encoder' | 'decoder' | 'encoder-decoder';
  /** The encoder's, or a decoder's without an encoder; up to the last hidden states. */
  readonly plan: Plan;
  /** Of an encoder-decoder, up to its last hidden states; its memory is what `plan` yields. */
  readonly decoder?: Plan;
  readonly heads: Heads;
  /** The longest sequence that the positions allow, in tokens. */
  readonly maxLength: number;
  /** Tensors that such checkpoints carry and this plan does not need. */
  isExpectedLeftover(tensor: string): boolean;
}

export interface Family {
  /** `model_type` in config.json. */
  readonly modelType: string;
  /** @throws MultiheadError INVALID_ARGUMENT, UNSUPPORTED or WEIGHT_INVALID naming the key or tensor. */
  describe(config: Config, tensors: readonly string[]): FamilyModel;
}

/** Weights of layers that the config does not have: config and checkpoint disagree. */
export function refuseLayersBeyond(
  config: Config,
  key: string,
  layers: number,
  tensors: readonly string[],
  layerPrefix: string,
): void {
  for (const name of tensors) {
    if (!name.startsWith(layerPrefix)) continue;
    const layer = Number(/^\d+/.exec(name.slice(layerPrefix.length))?.[0] ?? -1);
    if (layer < layers) continue;
    const expected = `layers 0 to ${layers - 1}: ${config.file} says ${key} ${layers}`;
    throw weightInvalid(name, `a tensor of layer ${layer}`, expected);
  }
}
