/** `multihead info`: what a model's files say, headers only; nothing is loaded. */

import { Command } from 'commander';
import { isObject } from '../check';
import { resolveModel } from '../hub';
import type { Block, Plan } from '../plan';
import { planWeights } from '../plan-weights';
import { readSentenceFolder, type SentenceFolder } from '../sentence-folder';
import { readTokenLimit } from '../tokenizer';
import { type SourceOptions, sourceOf, withSource } from './options';

interface Report {
  readonly model: string;
  readonly folder: string;
  readonly revision?: string;
  readonly family: string;
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly inner: number;
  readonly vocabulary: number;
  readonly parameters: number;
  readonly maxLength: number;
  readonly dimensions: number;
  readonly pooling: readonly string[];
  readonly normalize: boolean;
  /** Bytes of the tensors as stored, by type. */
  readonly stored: Readonly<Record<string, number>>;
}

export function infoCommand(): Command {
  const command = new Command('info')
    .description("show a model's family, size, limits and weights, without loading it")
    .argument('<model>', 'a folder, or an id on the model hub')
    .option('--json', 'print one JSON object');
  return withSource(command).action(
    async (model: string, options: SourceOptions & { readonly json?: true }) => {
      const { folder, revision } = await resolveModel(model, sourceOf(options));
      const read = await readSentenceFolder(folder);
      const facts = factsOf(read, await readTokenLimit(read.model.folder));
      const report: Report = { model, folder, ...(revision && { revision }), ...facts };
      console.log(options.json ? JSON.stringify(report, undefined, 2) : describe(report));
    },
  );
}

function factsOf(
  read: SentenceFolder,
  tokenLimit: number | undefined,
): Omit<Report, 'model' | 'folder' | 'revision'> {
  const { model, plan, dimensions, poolings, normalize } = read;
  const embed = find(plan, 'embed');
  return {
    family: model.modelType,
    layers: plan.blocks.filter(({ block }) => block === 'feedForward').length,
    width: plan.width,
    heads: find(plan, 'attention')?.heads ?? 0,
    inner: find(plan, 'feedForward')?.inner ?? 0,
    vocabulary: embed?.vocabulary ?? 0,
    parameters: planWeights(plan).reduce((sum, { shape }) => sum + elements(shape), 0),
    maxLength: Math.min(read.maxLength ?? tokenLimit ?? model.maxLength, model.maxLength),
    dimensions,
    pooling: poolings,
    normalize,
    stored: bytesByType(read),
  };
}

function find<K extends Block['block']>(plan: Plan, kind: K) {
  return plan.blocks.find((block): block is Extract<Block, { block: K }> => block.block === kind);
}

function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function bytesByType({ weights }: SentenceFolder): Record<string, number> {
  // No prototype: a type may be called as something that objects have.
  const bytes: Record<string, number> = Object.create(null);
  for (const { dtype, byteLength } of weights.tensors) {
    bytes[dtype] = (bytes[dtype] ?? 0) + byteLength;
  }
  return bytes;
}

function describe(report: Report): string {
  return Object.entries(report)
    .map(([name, value]) => `${name.padEnd(12)} ${word(name, value)}`)
    .join('\n');
}

function word(name: string, value: unknown): string {
  if (isObject(value)) {
    const parts = Object.entries(value) as [string, number][];
    return parts.map(([dtype, bytes]) => `${dtype} ${(bytes / 1e6).toFixed(1)} MB`).join(', ');
  }
  if (Array.isArray(value)) return value.join(', ');
  return name === 'parameters' ? `${((value as number) / 1e6).toFixed(1)} million` : String(value);
}
