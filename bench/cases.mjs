// What is measured, as data. A pass runs all batches of a case once, one after the other.
//
// input.kind: `dense` sequences of one length, cut from the text's token ids;
//             `sentences` token ids of the text's first sentences, in the text's order or by length;
//             `texts` the sentences as strings, tokenisation included, batched as each peer likes.
// passes:     how many timed passes a trial takes: at least `least`, and on for `seconds`; but no further pass
//             is begun after `limit` seconds.

const quick = { least: 50, seconds: 1, limit: 8 };
const dense = { least: 5, seconds: 2, limit: 8 };
const long = { least: 3, seconds: 2, limit: 8 };

export const cases = [
  { name: '1x16', input: { kind: 'dense', sequences: 1, length: 16 }, passes: quick },
  { name: '1x128', input: { kind: 'dense', sequences: 1, length: 128 }, passes: dense },
  { name: '8x128', input: { kind: 'dense', sequences: 8, length: 128 }, passes: dense },
  { name: '8x512', input: { kind: 'dense', sequences: 8, length: 512 }, passes: long },
  { name: '32x128', input: { kind: 'dense', sequences: 32, length: 128 }, passes: long },
  {
    name: 'ragged',
    input: { kind: 'sentences', count: 256, order: 'arrival', batch: 32 },
    passes: long,
  },
  {
    name: 'sorted',
    input: { kind: 'sentences', count: 256, order: 'length', batch: 32 },
    passes: long,
  },
  {
    name: 'single',
    input: { kind: 'sentences', count: 256, order: 'arrival', batch: 1 },
    passes: long,
  },
  { name: 'strings', input: { kind: 'texts', count: 1024 }, passes: long },
];

/** Cases of the same 256 sentences: a peer may take them in whichever way suits it best. */
export const sameSentences = ['ragged', 'sorted', 'single'];

export const defaultCases = ['1x16', '8x128', 'ragged', 'strings'];
