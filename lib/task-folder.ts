/** A model folder opened for a task: the options that every load shares, and the head that the task needs. */

import { throwIfAborted } from './abort';
import { checkObject, oneOf } from './check';
import { COMPUTE_KEYS, type Compute, checkCompute } from './compute';
import { MultiheadError } from './errors';
import { resolveModel } from './hub';
import { type ModelFolder, readModelFolder } from './models';
import type { FamilyModel } from './models/family';
import type { Block } from './plan';
import { checkSource, SOURCE_KEYS } from './source';

/** A folder that was read but not loaded, and the load's options. */
export interface TaskFolder {
  readonly model: ModelFolder;
  readonly compute: Compute;
  /** All options, those of the task still to be checked. */
  readonly options: Readonly<Record<string, unknown>>;
}

/**
 * @param keys options of the task beside those that every load has
 * @throws MultiheadError INVALID_ARGUMENT: an option, or a malformed file · FILE_ERROR · UNKNOWN_MODEL · UNSUPPORTED ·
 * WEIGHT_INVALID · ABORTED
 */
export async function openTaskFolder(
  idOrFolder: string,
  options: unknown,
  keys: readonly string[] = [],
): Promise<TaskFolder> {
  const checked = checkObject('options', options, [...COMPUTE_KEYS, ...SOURCE_KEYS, ...keys]);
  const compute = checkCompute(checked);
  const { folder } = await resolveModel(idOrFolder, checkSource(checked, compute.signal));
  const model = await readModelFolder(folder);
  throwIfAborted('load', compute.signal);
  return { model, compute, options: checked };
}

type Architecture = FamilyModel['architecture'];
type HeadName = 'language' | 'sequence' | 'token';

/** Classes that fit a model, for messages. */
const LANGUAGE_CLASSES: Readonly<Record<Architecture, string>> = {
  encoder: 'MaskedLM',
  decoder: 'CausalLM',
  'encoder-decoder': 'Seq2SeqLM',
};
const HEAD_CLASSES = { sequence: 'SequenceClassifier', token: 'TokenClassifier' } as const;

/**
 * The blocks of a head.
 *
 * @param architectures those that the class can run
 * @throws MultiheadError UNSUPPORTED: a model of another kind; WEIGHT_MISSING: the checkpoint lacks the head. Both name
 * the classes that fit.
 */
export function headOf(
  className: string,
  model: ModelFolder,
  name: HeadName,
  architectures: readonly Architecture[],
): readonly Block[] {
  const { architecture, heads, modelType, folder } = model;
  const fitting = `a class that fits: ${oneOf(classesFor(model))}`;
  if (!architectures.includes(architecture)) {
    throw new MultiheadError('UNSUPPORTED', {
      where: `${className}: ${folder}`,
      got: `${modelType}, ${/^e/.test(architecture) ? 'an' : 'a'} ${architecture}`,
      expected: fitting,
    });
  }
  const head = heads[name];
  if (head) return head;
  throw new MultiheadError('WEIGHT_MISSING', {
    where: `${className}: ${folder}`,
    got: `a checkpoint of ${modelType} without the weights of a ${name} head`,
    expected: `them, or ${fitting}`,
  });
}

function classesFor({ architecture, heads }: ModelFolder): string[] {
  return [
    ...(heads.language ? [LANGUAGE_CLASSES[architecture]] : []),
    ...(heads.sequence ? [HEAD_CLASSES.sequence] : []),
    ...(heads.token ? [HEAD_CLASSES.token] : []),
    'Transformer',
    ...(architecture === 'encoder' ? ['SentenceEncoder'] : []),
  ];
}
