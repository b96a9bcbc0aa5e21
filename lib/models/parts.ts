/** What families share: dimensions and activations from a config, weights of linears and norms by name. */

import { checkArray, checkLiteral, invalid, oneOf } from '../check';
import type { Config } from '../json';
import type { Activation, LinearSpec, NormSpec, WeightRef } from '../plan';
import { MOST_BLOCKS } from '../plan-check';

export const LARGEST = 2 ** 31 - 1;

/** The names of transformers' ACT2FN whose functions there are here. */
const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  gelu: 'gelu',
  gelu_python: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_fast: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  relu: 'relu',
  silu: 'silu',
  swish: 'silu',
  tanh: 'tanh',
  linear: 'identity',
};

/** A whole number of at least 1. */
export function dimension(config: Config, key: string, otherwise?: number): number {
  return config.integer(key, 1, LARGEST, otherwise);
}

/** Three blocks each at most, with the embedding before and heads after them: a plan's blocks are bounded. */
const MOST_LAYERS = Math.floor((MOST_BLOCKS - 16) / 3);

export function layerCount(config: Config, key: string, otherwise?: number): number {
  return config.integer(key, 1, MOST_LAYERS, otherwise);
}

/** @throws MultiheadError UNSUPPORTED for a name that is not known */
export function activation(config: Config, key: string, otherwise: string): Activation {
  const known = activationNamed(config.string(key, otherwise));
  if (known) return known;
  throw config.unsupported(key, oneOf(Object.keys(ACTIVATIONS)));
}

export function activationNamed(name: string): Activation | undefined {
  return Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name] : undefined;
}

/** Columns of a head where the heads share the width. @throws MultiheadError INVALID_ARGUMENT unless they can */
export function headColumns(
  config: Config,
  [headsKey, heads]: readonly [string, number],
  [widthKey, width]: readonly [string, number],
): number {
  if (width % heads === 0) return width / heads;
  throw invalid(config.where(headsKey), String(heads), `a divisor of ${widthKey}, ${width}`);
}

/** `layer_types`: which keys each layer's queries see. */
export function layerTypes(config: Config): readonly ('full_attention' | 'sliding_attention')[] {
  const where = config.where('layer_types');
  const types = checkArray(where, config.get('layer_types'));
  const layers = layerCount(config, 'num_hidden_layers');
  if (types.length !== layers) {
    throw invalid(where, `${types.length} entries`, `one for each of ${layers} layers`);
  }
  return types.map((type, i) =>
    checkLiteral(`${where}[${i}]`, type, ['full_attention', 'sliding_attention']),
  );
}

/** Adds a bias of the same name, unless told not to. */
export function linear(name: string, options: { readonly bias?: boolean } = {}): LinearSpec {
  const weight: WeightRef = { tensor: `${name}.weight` };
  return (options.bias ?? true) ? { weight, bias: { tensor: `${name}.bias` } } : { weight };
}

export function rmsNorm(name: string, epsilon: number): NormSpec {
  return { kind: 'rms', epsilon, gain: { tensor: `${name}.weight` } };
}

/** Layer norms by name. Checkpoints converted from the first BERT release say gamma and beta. */
export function layerNorms(
  tensors: ReadonlySet<string>,
  epsilon: number,
): (name: string) => NormSpec {
  return (name) => {
    const old = tensors.has(`${name}.gamma`);
    return {
      kind: 'layer',
      epsilon,
      gain: { tensor: `${name}.${old ? 'gamma' : 'weight'}` },
      bias: { tensor: `${name}.${old ? 'beta' : 'bias'}` },
    };
  };
}

/**
 * The prefix of the base model's tensors: a checkpoint with a head has one, one without may not.
 *
 * @param probe a tensor of the base model, without prefix
 */
export function prefixOf(tensors: ReadonlySet<string>, prefix: string, probe: string): string {
  return tensors.has(prefix + probe) ? prefix : '';
}
