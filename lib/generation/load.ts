/** Loads what CausalLM and Seq2SeqLM run: a decoder that ends in logits, and perhaps an encoder. */

import { checkInteger, oneOf } from '../check';
import { type Compute, type ComputeOptions, loadModel } from '../compute';
import { MultiheadError } from '../errors';
import type { ModelFolder } from '../models';
import type { NativeModel } from '../native';
import type { Block, Plan } from '../plan';
import type { SourceOptions } from '../source';
import { headOf, openTaskFolder } from '../task-folder';
import { Tokenizer } from '../tokenizer';
import { infoOf, type TransformerInfo } from '../transformer';
import { readGenerationConfig } from './config';
import { CachedDecoder } from './decoder';
import { SourceEncoder } from './encoder';
import { LanguageModel } from './language-model';

export interface LanguageModelLoadOptions extends ComputeOptions, SourceOptions {
  /**
   * The most bytes that one call's cache of keys and values takes. Prompts that do not fit together take turns; one
   * that does not fit alone is INVALID_ARGUMENT before anything runs. Default: no limit.
   */
  readonly maxCacheBytes?: number;
}

export interface LanguageModelInfo extends TransformerInfo {
  /** V: token ids lie in [0, V). */
  readonly vocabulary: number;
  /** The most tokens of a sequence, of the decoder's where there is an encoder. */
  readonly maxLength: number;
  /** Tokens that end a text. */
  readonly eos: readonly number[];
  /** Memory of keys and values is taken in pages of so many tokens of one sequence. */
  readonly cachePage: { readonly tokens: number; readonly bytes: number };
  /** Settings of generation_config.json that change what Python generates, and are not applied here. */
  readonly ignoredSettings: readonly string[];
}

export interface LoadedLanguageModel {
  readonly compute: Compute;
  readonly info: LanguageModelInfo;
  readonly model: LanguageModel;
  readonly decoder: CachedDecoder;
  readonly encoder: SourceEncoder | undefined;
}

/** @throws MultiheadError what a load throws */
export async function loadLanguageModel(
  className: string,
  architecture: 'decoder' | 'encoder-decoder',
  idOrFolder: string,
  options: unknown,
): Promise<LoadedLanguageModel> {
  const task = await openTaskFolder(idOrFolder, options, ['maxCacheBytes']);
  const { model: folder, compute } = task;
  const { maxCacheBytes = Number.MAX_SAFE_INTEGER } = task.options;
  const most = checkInteger('options.maxCacheBytes', maxCacheBytes, 1, Number.MAX_SAFE_INTEGER);
  const head = headOf(className, folder, 'language', [architecture]);
  const config = await readGenerationConfig(folder.folder, folder.config);
  const tokenizer = await Tokenizer.loadIfPresent(folder.folder);
  const plans = plansOf(folder, head);
  const models = await loadBoth(plans, folder, compute);
  const { decoder, encoder } = wrapped(plans, models, folder.maxLength);
  const info: LanguageModelInfo = Object.freeze({
    ...sumOf(models, folder.isExpectedLeftover),
    vocabulary: decoder.vocabulary,
    maxLength: decoder.maxLength,
    eos: Object.freeze([...config.eos]),
    cachePage: Object.freeze(decoder.page),
    ignoredSettings: Object.freeze([...config.ignored]),
  });
  const parts = { folder: folder.folder, config, tokenizer, decoder, maxCacheBytes: most };
  const model = new LanguageModel({ ...parts, ...(encoder && { encoder }) });
  return { compute, info, model, decoder, encoder };
}

interface Plans {
  /** Ends in logits. */
  readonly decoder: Plan;
  readonly encoder?: Plan;
}

interface Models {
  readonly decoder: NativeModel;
  readonly encoder?: NativeModel;
}

function plansOf({ architecture, plan, decoder }: ModelFolder, head: readonly Block[]): Plans {
  if (architecture === 'decoder') return { decoder: withHead(plan, head) };
  if (architecture === 'encoder-decoder' && decoder) {
    return { decoder: withHead(decoder, head), encoder: plan };
  }
  throw new MultiheadError('INTERNAL', {
    where: 'model family',
    got: architecture,
    expected: oneOf(['a decoder', 'an encoder-decoder with a plan for each']),
  });
}

/** Only the rows that a step asks for reach the head. */
function withHead(plan: Plan, head: readonly Block[]): Plan {
  return { ...plan, blocks: [...plan.blocks, { block: 'select' }, ...head] };
}

async function loadBoth(plans: Plans, folder: ModelFolder, compute: Compute): Promise<Models> {
  const decoder = await loadModel(plans.decoder, folder.weights, compute);
  if (!plans.encoder) return { decoder };
  try {
    return { decoder, encoder: await loadModel(plans.encoder, folder.weights, compute) };
  } catch (error) {
    decoder.dispose();
    throw error;
  }
}

function wrapped(plans: Plans, models: Models, maxLength: number) {
  try {
    const hasEncoder = models.encoder !== undefined;
    const longest = hasEncoder ? Number.POSITIVE_INFINITY : maxLength;
    const decoder = new CachedDecoder(models.decoder, plans.decoder, longest);
    const encoder =
      models.encoder && plans.encoder
        ? new SourceEncoder(models.encoder, plans.encoder, decoder.memoryWidth, maxLength)
        : undefined;
    return { decoder, encoder };
  } catch (error) {
    models.decoder.dispose();
    models.encoder?.dispose();
    throw error;
  }
}

/** Sizes of both models; a tensor is unused if neither uses it. */
function sumOf(models: Models, isLeftover: (tensor: string) => boolean): TransformerInfo {
  const decoder = infoOf(models.decoder, isLeftover);
  if (!models.encoder) return decoder;
  const encoder = infoOf(models.encoder, isLeftover);
  const both = new Set(encoder.unusedTensors);
  return {
    ...decoder,
    residentBytes: decoder.residentBytes + encoder.residentBytes,
    layers: decoder.layers + encoder.layers,
    parameters: decoder.parameters + encoder.parameters,
    unusedTensors: Object.freeze(decoder.unusedTensors.filter((name) => both.has(name))),
  };
}
