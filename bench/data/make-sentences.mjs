// Makes sentences.txt: the first 1,024 sentences of Alice's Adventures in Wonderland, one a line, in the
// book's order. Usage: node bench/data/make-sentences.mjs path/to/alice29.txt
//
// Sentences are those of UAX #29 (Intl.Segmenter), except that one which opens in lower case is the
// continuation of the one before ("`The race is over!' and they all crowded round it").
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const count = 1024;
const source = process.argv[2];
if (!source) throw new Error('usage: node bench/data/make-sentences.mjs path/to/alice29.txt');

// `CHAPTER II`; the paragraph after it is the chapter's title.
const isHeading = (paragraph) => /^CHAPTER [IVX]+$/.test(paragraph);

const paragraphs = readFileSync(source, 'latin1')
  .split(/\r?\n\s*\r?\n/)
  .map((paragraph) =>
    paragraph
      .replace(/-\r?\n\s*/g, '-')
      .replace(/\s+/g, ' ')
      .trim(),
  )
  .filter((paragraph) => /\p{Letter}/u.test(paragraph))
  .filter((paragraph, at, all) => !isHeading(paragraph) && !(at > 0 && isHeading(all[at - 1])));
const start = paragraphs.findIndex((paragraph) => paragraph.startsWith('Alice was beginning'));
if (start < 0) throw new Error(`${source} is not the text this script knows`);

const segmenter = new Intl.Segmenter('en', { granularity: 'sentence' });
const sentences = [];
for (const paragraph of paragraphs.slice(start)) {
  let open = false; // a paragraph's first sentence never continues the paragraph before
  for (const { segment } of segmenter.segment(paragraph)) {
    const text = segment.trim();
    if (!/\p{Letter}/u.test(text)) continue;
    if (open && /^\p{Lowercase}/u.test(text)) sentences.push(`${sentences.pop()} ${text}`);
    else sentences.push(text);
    open = true;
  }
}
if (sentences.length < count) throw new Error(`only ${sentences.length} sentences in ${source}`);

const target = fileURLToPath(new URL('sentences.txt', import.meta.url));
writeFileSync(target, `${sentences.slice(0, count).join('\n')}\n`);
