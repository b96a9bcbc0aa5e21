// Semantic search in one page: which of these sentences are nearest in meaning to a query?
//
//   node examples/semantic-search.mjs [--model <folder or id>] ["a query"]
import { parseArgs } from 'node:util';
import { SentenceEncoder } from 'multihead';

const SENTENCES = [
  'A cat sleeps on the warm windowsill.',
  'The stock market fell sharply after the announcement.',
  'She plays the violin in the city orchestra.',
  'Fresh bread should cool before it is sliced.',
  'The goalkeeper saved a penalty in the last minute.',
  'Heavy rain flooded the streets of the old town.',
  'Doctors recommend washing your hands often.',
  'The telescope revealed a galaxy never seen before.',
  'He repaired the bicycle with a spare chain.',
  'The committee voted to raise the minimum wage.',
  'Children built a castle of sand near the sea.',
  'A new bridge will shorten the journey to work.',
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { model: { type: 'string', default: 'sentence-transformers/all-MiniLM-L6-v2' } },
});
const query = positionals.join(' ') || 'How do I bake a loaf at home?';

const start = performance.now();
const model = await SentenceEncoder.load(values.model);
const loaded = performance.now();
const vectors = await model.encode([query, ...SENTENCES], { normalize: true });
const encoded = performance.now();

// Vectors of length 1: their dot product is the cosine of the angle between them.
const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
const ranked = SENTENCES.map((sentence, i) => ({
  score: dot(vectors.at(0), vectors.at(i + 1)),
  sentence,
})).sort((a, b) => b.score - a.score);

console.log(`Query: ${query}\n`);
for (const { score, sentence } of ranked.slice(0, 3))
  console.log(`  ${score.toFixed(3)}  ${sentence}`);
const { isa, threads } = model.info;
console.log(
  `\n${values.model} · ${model.dtype} · ${model.device} ${isa} · ${threads} threads · ` +
    `loaded in ${(loaded - start).toFixed(0)} ms, ${vectors.count} texts in ${(encoded - loaded).toFixed(0)} ms`,
);
await model.dispose();
