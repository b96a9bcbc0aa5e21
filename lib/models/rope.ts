/**
 * Rotary positions as configs describe them: `rope_parameters` since transformers 5, before that `rope_theta` and
 * `rope_scaling`.
 *
 * Source: transformers, modeling_rope_utils.py.
 */

import { describe, invalid, isObject } from '../check';
import { Config } from '../json';
import type { Rotary } from '../plan';
import { type RotaryScaling, rotaryFrequencies, yarnMagnitude } from '../positions';
import { LARGEST } from './parts';

/** The rotation of a whole model, or in a model with several of the layers of `layerType`. */
export function rotaryOf(
  config: Config,
  headDim: number,
  options: { readonly layerType?: string; readonly base?: number } = {},
): Rotary {
  const parameters = parametersOf(config, options.layerType);
  const base = parameters.number(
    'rope_theta',
    0,
    options.base ?? config.number('rope_theta', 0, 10000),
  );
  const portion = parameters.has('partial_rotary_factor') ? parameters : config;
  const dims = Math.trunc(headDim * portion.number('partial_rotary_factor', 0, 1));
  if (dims < 2 || dims % 2 !== 0 || dims > headDim) {
    const where = portion.where('partial_rotary_factor');
    throw invalid(
      where,
      `${dims} of ${headDim} columns that turn`,
      `an even number from 2 to ${headDim}`,
    );
  }
  const scaling = scalingOf(parameters, config);
  return rotaryFrequencies({ base, dims, ...(scaling && { scaling }) });
}

function parametersOf(config: Config, layerType: string | undefined): Config {
  const key = config.has('rope_scaling') ? 'rope_scaling' : 'rope_parameters';
  const outer = nested(config, key);
  return layerType !== undefined && outer.has(layerType) ? nested(outer, layerType) : outer;
}

/** An object in an object; empty where there is none. */
function nested(config: Config, key: string): Config {
  const value = config.get(key) ?? {};
  if (!isObject(value)) throw invalid(config.where(key), describe(value), 'an object');
  return new Config(config.where(key), value);
}

/** A number above 0. */
function positive(parameters: Config, key: string, otherwise?: number): number {
  const value = parameters.number(key, 0, otherwise);
  if (value > 0) return value;
  throw invalid(parameters.where(key), String(value), 'above 0');
}

function scalingOf(parameters: Config, config: Config): RotaryScaling | undefined {
  const key = parameters.has('rope_type') ? 'rope_type' : 'type';
  const kind = parameters.string(key, 'default');
  switch (kind) {
    case 'default':
      return undefined;
    case 'linear':
      return { kind, factor: positive(parameters, 'factor') };
    case 'llama3':
      return {
        kind,
        factor: positive(parameters, 'factor'),
        lowFrequencyFactor: positive(parameters, 'low_freq_factor'),
        highFrequencyFactor: positive(parameters, 'high_freq_factor'),
        originalLength: originalLength(parameters, config),
      };
    case 'yarn':
      return yarn(parameters, originalLength(parameters, config));
    default:
      throw parameters.unsupported(key, 'default, linear, llama3 or yarn');
  }
}

function originalLength(parameters: Config, config: Config): number {
  const key = 'original_max_position_embeddings';
  const owner = config.has(key) ? config : parameters;
  const trained = config.integer('max_position_embeddings', 1, LARGEST);
  return owner.integer(key, 1, LARGEST, trained);
}

function yarn(parameters: Config, length: number): RotaryScaling {
  const factor = positive(parameters, 'factor');
  return {
    kind: 'yarn',
    factor,
    originalLength: length,
    attentionFactor: attentionFactor(parameters, factor),
    betaFast: positive(parameters, 'beta_fast', 32),
    betaSlow: positive(parameters, 'beta_slow', 1),
    ramp: parameters.boolean('truncate', true) ? 'whole' : 'exact',
  };
}

function attentionFactor(parameters: Config, factor: number): number {
  if (parameters.has('attention_factor')) return positive(parameters, 'attention_factor');
  const [weight, ofAll] = ['mscale', 'mscale_all_dim'].map((key) => parameters.number(key, 0, 0));
  if (!weight || !ofAll) return yarnMagnitude(factor);
  return yarnMagnitude(factor, weight) / yarnMagnitude(factor, ofAll);
}
