// Who is measured, as data. Each peer is a folder under peers/ with an adapter.mjs and, when it is not in this
// repository's own dependencies, a package.json of its own that the bench installs when the peer is asked for.
//
// An adapter exports `open({ modelFolder, onnxFolder, threads, kind, options })` (`kind` of the case's input),
// which resolves to
//   settings                  what was chosen, for the record
//   embedIds(sequences)       Int32Array[] -> Float32Array [sequences, width], unit vectors
//   embedTexts?(texts)        string[] -> the same, with the peer's own tokeniser and batching
//   close()

const ids = ['dense', 'sentences'];

export const peers = [
  { name: 'multihead', folder: 'multihead', inputs: [...ids, 'texts'], options: {} },
  { name: 'onnxruntime-node', folder: 'onnxruntime-node', inputs: ids, options: {} },
  {
    name: 'transformers.js',
    folder: 'transformers.js',
    inputs: [...ids, 'texts'],
    options: { batch: 32 },
  },
  {
    // One text at a time, so without padding, which costs it more than small batches do.
    name: 'transformers.js-single',
    folder: 'transformers.js',
    inputs: ['texts'],
    options: { batch: 1 },
  },
];

/** The peer that every ratio refers to. */
export const ours = 'multihead';
