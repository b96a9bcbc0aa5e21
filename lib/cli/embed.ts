/** `multihead embed`: texts in, one JSON line with a vector out for each, in order and in bounded memory. */

import { Command } from 'commander';
import { type Embeddings, SentenceEncoder } from '../index';
import { groupsOf, textsOrLines } from './lines';
import { positiveInteger, type SourceOptions, sourceOf, withSource, withThreads } from './options';
import { write } from './output';

interface EmbedOptions extends SourceOptions {
  readonly model: string;
  readonly normalize?: boolean;
  readonly maxLength?: number;
  readonly batch: number;
  readonly threads?: number;
}

export function embedCommand(): Command {
  const command = new Command('embed')
    .description('turn texts into vectors, one JSON line each: {"index": 0, "embedding": [...]}')
    .argument('[texts...]', 'the texts; without any, the lines of standard input')
    .requiredOption('-m, --model <model>', 'a folder, or an id on the model hub')
    .option('--normalize', "make every vector's length 1 (default: as the model says)")
    .option('--no-normalize', 'leave vectors as they are pooled')
    .option('--max-length <tokens>', 'cut texts after so many tokens', positiveInteger)
    .option('--batch <texts>', 'texts that are encoded at once', positiveInteger, 32);
  return withThreads(withSource(command))
    .addHelpText(
      'after',
      "\nExample:\n  printf 'first\\nsecond\\n' | multihead embed -m ./all-MiniLM-L6-v2",
    )
    .action(embed);
}

async function embed(texts: string[], options: EmbedOptions): Promise<void> {
  const source = textsOrLines('embed', texts);
  const { model, normalize, maxLength, batch, threads } = options;
  await using encoder = await SentenceEncoder.load(model, { ...sourceOf(options), threads });
  const settings = { normalize, maxLength };
  let index = 0;
  // The next batch is computed while this one is written.
  let running: Promise<Embeddings> | undefined;
  try {
    for await (const group of groupsOf(source, batch)) {
      const next = encoder.encode(group, settings);
      next.catch(() => {}); // awaited below, one turn later
      if (running) index = await writeBatch(await running, index);
      running = next;
    }
  } finally {
    // What was encoded is written even if the input then turns out to be bad.
    if (running) await writeBatch(await running, index);
  }
}

/** Writes a batch, waits for a slow reader, and returns the index after it. */
async function writeBatch(embeddings: Embeddings, first: number): Promise<number> {
  let index = first;
  for (let row = 0; row < embeddings.count; row += 1, index += 1) {
    const line = `{"index":${index},"embedding":[${shortest(embeddings.at(row))}]}\n`;
    await write(line);
  }
  return index;
}

/** Nine significant digits give an f32 back exactly; the double's seventeen would only be longer. */
function shortest(vector: Float32Array): string {
  return Array.from(vector, (value) => String(Number(value.toPrecision(9)))).join(',');
}
