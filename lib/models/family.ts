/** What a model family supplies: a config becomes a plan, and the checkpoint's leftovers are judged. */

import type { Config } from '../json';
import type { Plan } from '../plan';
import { weightInvalid } from '../weights/table';

/** A model of a family, as its config and tensor names describe it. */
export interface FamilyModel {
  /** Up to the last hidden states; pooling and heads come after it. */
  readonly plan: Plan;
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
