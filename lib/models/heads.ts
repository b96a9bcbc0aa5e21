/** Heads as blocks: what follows the last hidden states for a task. */

import { isObject } from '../check';
import type { Config } from '../json';
import type { Activation, Block, LinearSpec, NormSpec, ProjectBlock, WeightRef } from '../plan';
import type { Heads } from './family';
import { linear } from './parts';

/** stream = activation(linear(stream)). */
export function project(
  width: number,
  spec: LinearSpec,
  activation: Activation = 'identity',
): ProjectBlock {
  return { block: 'project', width, activation, linear: spec };
}

/** Labels of a classifier, counted as transformers does. */
function labelCount(config: Config): number {
  const names = config.get('id2label');
  const count = isObject(names) ? Object.keys(names).length : 0;
  return count > 0 ? count : config.integer('num_labels', 1, 2 ** 31 - 1, 2);
}

export function toLabels(
  config: Config,
  name: string,
  options: { readonly bias?: boolean } = {},
): ProjectBlock {
  return project(labelCount(config), linear(name, options));
}

/**
 * The class of transformers that wrote the checkpoint, without the family's name: 'SequenceClassification' of
 * BertForSequenceClassification. Two heads may have tensors of the same names.
 */
export function taskOf(config: Config): string | undefined {
  const architectures = config.get('architectures');
  const [first] = Array.isArray(architectures) ? architectures : [];
  return typeof first === 'string' ? /For(\w+)$/.exec(first)?.[1] : undefined;
}

/**
 * Classifiers of an encoder; each is there if the checkpoint has its tensors.
 *
 * @param names `classifier` over `sequence` blocks, of which one reads `sequenceProbe`; a checkpoint without that
 * tensor classifies tokens
 */
export function classifiers(
  config: Config,
  tensors: ReadonlySet<string>,
  sequence: { readonly before: readonly Block[]; readonly probe: string; readonly name: string },
): Heads {
  const task = taskOf(config);
  const isSequence = tensors.has(sequence.probe) && task !== 'TokenClassification';
  if (isSequence && tensors.has(`${sequence.name}.weight`) && !isOther(task)) {
    const blocks = [...sequence.before, toLabels(config, sequence.name)];
    return { sequence: blocks, pooling: 'cls' };
  }
  if (!isSequence && tensors.has('classifier.weight') && !isOther(task)) {
    return { token: [toLabels(config, 'classifier')] };
  }
  return {};
}

/** Tasks whose heads have the tensor names of a classifier and another meaning. */
function isOther(task: string | undefined): boolean {
  return task === 'MultipleChoice' || task === 'QuestionAnswering';
}

/** A masked language model's: dense, activation, norm, then scores over the vocabulary. */
export function maskedLanguage(
  [width, dense, activation]: readonly [number, LinearSpec, Activation],
  norm: NormSpec,
  [vocabulary, scores]: readonly [number, LinearSpec],
): readonly Block[] {
  return [project(width, dense, activation), { block: 'norm', norm }, project(vocabulary, scores)];
}

/**
 * The matrix from states to scores over the vocabulary: a tensor of its own, or else the token table, if the config
 * ties them; as transformers does, a tensor that is there counts more than the config.
 */
export function outputMatrix(
  tensors: ReadonlySet<string>,
  own: string,
  tokens: WeightRef,
  options: { readonly tied: boolean },
): WeightRef | undefined {
  if (tensors.has(own)) return { tensor: own };
  return options.tied ? tokens : undefined;
}
