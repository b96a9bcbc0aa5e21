/**
 * What a sentence-transformers folder says beyond its Transformer: pooling, Dense, Normalize, prompt,
 * length. A folder without modules.json gets mean pooling, as sentence-transformers gives it.
 *
 * Source: sentence-transformers 6.2 (modules.json and each module's config.json).
 */

import { join } from 'node:path';
import { checkArray, checkLiteral, describe, invalid, isObject } from './check';
import { MultiheadError } from './errors';
import { Config, isPresent, parseJson, readText } from './json';
import { type ModelFolder, readModelFolder } from './models';
import type { Activation, Block, NormBlock, Plan } from './plan';
import { columnsAfter } from './plan-check';
import { POOLING_MODES, type PoolingMode, poolParts } from './pooling';
import { openWeights } from './weights';
import { mergeTables, type WeightTable } from './weights/table';

/** A sentence encoder as its folder describes it. */
export interface SentenceFolder {
  readonly model: ModelFolder;
  /** From the embedding to the pooled vector, and last an l2 norm that a call may leave out. */
  readonly plan: Plan;
  readonly weights: WeightTable;
  readonly poolings: readonly PoolingMode[];
  /** Whether vectors are normalized unless a call says otherwise. */
  readonly normalize: boolean;
  /** Columns of a vector. */
  readonly dimensions: number;
  /** The limit that sentence_bert_config.json sets, in tokens. */
  readonly maxLength: number | undefined;
  readonly lowerCase: boolean;
  /** Prepended to every text. */
  readonly prompt: string;
  /** Whether the prompt's tokens count in the pooling. */
  readonly promptCounts: boolean;
}

/** `torch.nn.functional.normalize` divides by at least this. */
const L2: NormBlock = { block: 'norm', norm: { kind: 'l2', epsilon: 1e-12 } };

const DENSE_ACTIVATIONS: Readonly<Record<string, Activation>> = {
  'torch.nn.modules.linear.Identity': 'identity',
  'torch.nn.modules.activation.Tanh': 'tanh',
  'torch.nn.modules.activation.ReLU': 'relu',
  'torch.nn.modules.activation.GELU': 'gelu',
  'torch.nn.modules.activation.SiLU': 'silu',
};

interface Module {
  readonly kind: string;
  readonly path: string;
}

/** Reads a folder's configs and the headers of its weights. @throws MultiheadError as the files deserve. */
export async function readSentenceFolder(folder: string): Promise<SentenceFolder> {
  const [first, ...modules] = await readModules(folder);
  const transformerFolder = join(folder, first.path);
  const model = await readModelFolder(transformerFolder);
  const settings = await Config.readIfPresent(transformerFolder, 'sentence_bert_config.json');
  const tail = await readTail(folder, modules, columnsAfter(model.plan));
  const { prompt } = await readPrompt(folder);
  if (prompt !== '' && !tail.promptCounts && tail.poolings.includes('max')) {
    throw new MultiheadError('UNSUPPORTED', {
      where: join(folder, '1_Pooling', 'config.json'),
      got: 'max pooling with include_prompt false and a default prompt',
      expected: 'include_prompt true, or poolings that are weighted sums',
    });
  }
  return {
    model,
    plan: { width: model.plan.width, blocks: [...model.plan.blocks, ...tail.blocks, L2] },
    weights: mergeTables([{ table: model.weights, prefix: '' }, ...tail.tables]),
    poolings: tail.poolings,
    normalize: tail.normalize,
    dimensions: tail.dimensions,
    maxLength: settings.has('max_seq_length')
      ? settings.integer('max_seq_length', 1, 2 ** 31 - 1)
      : undefined,
    lowerCase: settings.boolean('do_lower_case', false),
    prompt,
    promptCounts: tail.promptCounts,
  };
}

async function readModules(folder: string): Promise<[Module, ...Module[]]> {
  const path = join(folder, 'modules.json');
  if (!(await isPresent(path))) return [{ kind: 'Transformer', path: '' }];
  const rows = checkArray(path, parseJson(path, await readText(path)));
  const modules = rows.map((row, i) => {
    const { type, path: part } = isObject(row) ? row : {};
    if (typeof type !== 'string' || typeof part !== 'string') {
      throw invalid(`${path}: [${i}]`, describe(row), 'a module with type and path');
    }
    if (/(^|[/\\])\.\.([/\\]|$)|^[/\\]/.test(part)) {
      throw invalid(`${path}: [${i}].path`, describe(part), 'a folder inside the model');
    }
    return { kind: type.slice(type.lastIndexOf('.') + 1), path: part };
  });
  const [first, ...rest] = modules;
  if (first?.kind !== 'Transformer') throw unsupportedModule(folder, first?.kind ?? 'no module');
  return [first, ...rest];
}

function unsupportedModule(folder: string, got: string): MultiheadError {
  return new MultiheadError('UNSUPPORTED', {
    where: join(folder, 'modules.json'),
    got,
    expected: 'Transformer, then Pooling, then any of Dense and Normalize',
  });
}

/** What follows the Transformer. */
interface Tail {
  blocks: Block[];
  tables: { table: WeightTable; prefix: string }[];
  poolings: readonly PoolingMode[];
  promptCounts: boolean;
  normalize: boolean;
  dimensions: number;
}

async function readTail(folder: string, modules: readonly Module[], width: number): Promise<Tail> {
  const pooling = await readPooling(folder, modules[0], width);
  const tail: Tail = {
    ...pooling,
    blocks: [{ block: 'pool', parts: poolParts(pooling.poolings) }],
    tables: [],
    normalize: modules.at(-1)?.kind === 'Normalize',
    dimensions: pooling.poolings.length * width,
  };
  for (const { kind, path } of modules.slice(1, tail.normalize ? -1 : undefined)) {
    if (kind === 'Normalize') tail.blocks.push(L2);
    else if (kind === 'Dense') await addDense(tail, folder, path);
    else throw unsupportedModule(folder, kind);
  }
  return tail;
}

async function readPooling(folder: string, module: Module | undefined, width: number) {
  if (!module) return { poolings: ['mean'] as const, promptCounts: true };
  if (module.kind !== 'Pooling') throw unsupportedModule(folder, module.kind);
  const config = await Config.read(join(folder, module.path), 'config.json');
  const key = config.has('embedding_dimension')
    ? 'embedding_dimension'
    : 'word_embedding_dimension';
  if (config.integer(key, 1, 2 ** 31 - 1, width) !== width) {
    throw invalid(config.where(key), describe(config.get(key)), `the model's width, ${width}`);
  }
  return {
    poolings: poolingsOf(config),
    promptCounts: config.boolean('include_prompt', true),
  };
}

function poolingsOf(config: Config): readonly PoolingMode[] {
  const modes = config.get('pooling_mode');
  if (modes !== undefined) {
    const list =
      typeof modes === 'string' ? [modes] : checkArray(config.where('pooling_mode'), modes);
    if (list.length === 0) throw invalid(config.where('pooling_mode'), 'no mode', 'one or more');
    return list.map((mode) => checkLiteral(config.where('pooling_mode'), mode, POOLING_MODES));
  }
  const flags: Readonly<Record<PoolingMode, string>> = {
    cls: 'pooling_mode_cls_token',
    max: 'pooling_mode_max_tokens',
    mean: 'pooling_mode_mean_tokens',
    mean_sqrt_len_tokens: 'pooling_mode_mean_sqrt_len_tokens',
    weightedmean: 'pooling_mode_weightedmean_tokens',
    lasttoken: 'pooling_mode_lasttoken',
  };
  const chosen = POOLING_MODES.filter((pooling) => config.boolean(flags[pooling], false));
  return chosen.length > 0 ? chosen : ['mean'];
}

async function addDense(tail: Tail, folder: string, path: string): Promise<void> {
  const config = await Config.read(join(folder, path), 'config.json');
  const inputs = config.integer('in_features', 1, 2 ** 31 - 1);
  if (inputs !== tail.dimensions) {
    throw invalid(config.where('in_features'), String(inputs), String(tail.dimensions));
  }
  config.mustBe('use_residual', [false]);
  config.mustBe('module_input_name', ['sentence_embedding']);
  config.mustBe('module_output_name', ['sentence_embedding']);
  const name = config.string('activation_function', 'torch.nn.modules.activation.Tanh');
  const activation = Object.hasOwn(DENSE_ACTIVATIONS, name) ? DENSE_ACTIVATIONS[name] : undefined;
  if (!activation) {
    throw config.unsupported('activation_function', Object.keys(DENSE_ACTIVATIONS).join(', '));
  }
  const prefix = `${path}/`;
  const convert =
    "from sentence_transformers import SentenceTransformer; SentenceTransformer('.').save('.')";
  tail.tables.push({ table: await openWeights(join(folder, path), convert), prefix });
  tail.dimensions = config.integer('out_features', 1, 2 ** 31 - 1);
  tail.blocks.push({
    block: 'project',
    width: tail.dimensions,
    activation,
    linear: {
      weight: { tensor: `${prefix}linear.weight` },
      ...(config.boolean('bias', true) && { bias: { tensor: `${prefix}linear.bias` } }),
    },
  });
}

async function readPrompt(folder: string): Promise<{ prompt: string }> {
  const config = await Config.readIfPresent(folder, 'config_sentence_transformers.json');
  const name = config.get('default_prompt_name');
  if (name === undefined) return { prompt: '' };
  const prompts = config.get('prompts');
  const prompt = isObject(prompts) && typeof name === 'string' ? prompts[name] : undefined;
  if (typeof prompt !== 'string') {
    throw invalid(config.where('default_prompt_name'), describe(name), 'the name of a prompt');
  }
  return { prompt };
}
