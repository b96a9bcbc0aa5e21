/** `multihead fill-mask`: what may stand in the gaps of texts, one JSON line for each gap or a table. */

import { Command } from 'commander';
import { MaskedLM, type MaskFill } from '../index';
import { textsOrLines } from './lines';
import { positiveInteger, type SourceOptions, sourceOf, withSource, withThreads } from './options';
import { write } from './output';

interface FillMaskOptions extends SourceOptions {
  readonly model: string;
  readonly topK: number;
  readonly json?: true;
  readonly threads?: number;
}

export function fillMaskCommand(): Command {
  const command = new Command('fill-mask')
    .description('say what may stand in the gaps of texts, as in "Paris is the [MASK] of France."')
    .argument('[texts...]', 'the texts; without any, the lines of standard input')
    .requiredOption('-m, --model <model>', 'a folder, or an id on the model hub')
    .option('--top-k <count>', 'tokens for each gap', positiveInteger, 5)
    .option('--json', 'print JSON lines: {"index": 0, "gap": 0, "fills": [...]}');
  return withThreads(withSource(command))
    .addHelpText(
      'after',
      '\nExample:\n  multihead fill-mask -m ./bert-base-uncased "A [MASK] day."',
    )
    .action(fillMask);
}

async function fillMask(texts: string[], options: FillMaskOptions): Promise<void> {
  const source = textsOrLines('fill-mask', texts);
  const { model, topK, json, threads } = options;
  await using loaded = await MaskedLM.load(model, { ...sourceOf(options), threads });
  let index = 0;
  for await (const text of source) {
    for (const [gap, fills] of (await loaded.fillMask(text, { topK })).entries()) {
      const lines = json ? [JSON.stringify({ index, gap, fills })] : fills.map(describe);
      await write(`${lines.join('\n')}\n`);
    }
    index += 1;
  }
}

function describe({ score, word, text }: MaskFill): string {
  return `${score.toFixed(4)}  ${word.trim()}  ${text}`;
}
