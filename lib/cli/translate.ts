/** `multihead translate`: each text through a sequence-to-sequence model, one line or JSON line out for each. */

import { Command } from 'commander';
import { Seq2SeqLM } from '../index';
import { groupsOf, textsOrLines } from './lines';
import { positiveInteger, type SourceOptions, sourceOf, withSource, withThreads } from './options';
import { write } from './output';

interface TranslateOptions extends SourceOptions {
  readonly model: string;
  readonly maxNewTokens?: number;
  readonly beams: number;
  readonly batch: number;
  readonly json?: true;
  readonly threads?: number;
}

export function translateCommand(): Command {
  const command = new Command('translate')
    .description('answer texts with a sequence-to-sequence model: translations, summaries')
    .argument('[texts...]', 'the texts; without any, the lines of standard input')
    .requiredOption('-m, --model <model>', 'a folder, or an id on the model hub')
    .option('--max-new-tokens <count>', 'end an answer after so many tokens', positiveInteger)
    .option('--beams <count>', 'search with so many candidates', positiveInteger, 1)
    .option('--batch <texts>', 'texts that are answered at once', positiveInteger, 16)
    .option('--json', 'print JSON lines: {"index": 0, "text": ..., "finishReason": ...}');
  return withThreads(withSource(command))
    .addHelpText('after', '\nExample:\n  multihead translate -m ./opus-mt-en-de "Good morning."')
    .action(translate);
}

async function translate(texts: string[], options: TranslateOptions): Promise<void> {
  const source = textsOrLines('translate', texts);
  const { model, maxNewTokens, beams, batch, json, threads } = options;
  await using loaded = await Seq2SeqLM.load(model, { ...sourceOf(options), threads });
  let index = 0;
  for await (const group of groupsOf(source, batch)) {
    for (const generation of await loaded.generate(group, { maxNewTokens, beams })) {
      const line = json ? JSON.stringify({ index, ...generation }) : oneLine(generation.text);
      await write(`${line}\n`);
      index += 1;
    }
  }
}

/** So that line n of the output answers line n of the input. */
function oneLine(text: string): string {
  return text.replace(/\r?\n/g, ' ');
}
