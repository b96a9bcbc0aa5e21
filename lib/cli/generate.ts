/** `multihead generate`: continues a prompt; on a terminal or into a pipe as it is written, or as JSON lines. */

import { Command } from 'commander';
import { CausalLM, type GenerateOptions } from '../index';
import { textsOrLines } from './lines';
import {
  collected,
  fraction,
  naturalNumber,
  positiveInteger,
  positiveNumber,
  type SourceOptions,
  sourceOf,
  withSource,
  withThreads,
} from './options';
import { write } from './output';

interface GenerateCommandOptions extends SourceOptions {
  readonly model: string;
  readonly maxNewTokens?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly seed?: number;
  readonly stop?: string[];
  readonly beams?: number;
  readonly json?: true;
  readonly threads?: number;
}

export function generateCommand(): Command {
  const command = new Command('generate')
    .description('continue texts with a causal language model; the most likely tokens by default')
    .argument('[prompts...]', 'the texts; without any, the lines of standard input')
    .requiredOption('-m, --model <model>', 'a folder, or an id on the model hub')
    .option('--max-new-tokens <count>', 'end a text after so many tokens', positiveInteger)
    .option('--temperature <number>', 'draw the tokens, the bolder the higher', positiveNumber)
    .option('--top-k <count>', 'draw from so many of the likeliest tokens', positiveInteger)
    .option('--top-p <fraction>', 'draw from the likeliest that together have it', fraction)
    .option('--seed <number>', 'draw the same tokens every time', naturalNumber)
    .option('--stop <text>', 'end a text before this; may be repeated', collected)
    .option('--beams <count>', 'search with so many candidates', positiveInteger)
    .option('--json', 'print JSON lines: {"index": 0, "text": ..., "finishReason": ...}');
  return withThreads(withSource(command))
    .addHelpText('after', '\nExample:\n  multihead generate -m ./gpt2 "Once upon a time"')
    .action(generate);
}

async function generate(prompts: string[], options: GenerateCommandOptions): Promise<void> {
  const { model, threads, json, revision, cacheDir, offline, ...settings } = options;
  const source = textsOrLines('generate', prompts);
  const place = sourceOf({ revision, cacheDir, offline });
  await using loaded = await CausalLM.load(model, { ...place, threads });
  const answer = json ? writeJson : settings.beams === undefined ? writeStream : writeText;
  let index = 0;
  for await (const prompt of source) {
    await answer(loaded, prompt, settings, index);
    index += 1;
  }
}

/** How one prompt is answered. */
type Answer = (
  model: CausalLM,
  prompt: string,
  options: GenerateOptions,
  index: number,
) => Promise<void>;

const writeJson: Answer = async (model, prompt, options, index) => {
  const generation = await model.generate(prompt, options);
  await write(`${JSON.stringify({ index, ...generation })}\n`);
};

const writeText: Answer = async (model, prompt, options) => {
  const { text } = await model.generate(prompt, options);
  await write(`${text}\n`);
};

const writeStream: Answer = async (model, prompt, options) => {
  for await (const piece of model.stream(prompt, options)) await write(piece);
  await write('\n');
};
