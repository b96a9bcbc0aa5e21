// The padded batch that ONNX models of the BERT family take, as their users build it.

/** @param {readonly Int32Array[]} sequences; @param {typeof import('onnxruntime-node').Tensor} Tensor */
export function paddedInputs(sequences, Tensor) {
  const longest = Math.max(...sequences.map((sequence) => sequence.length));
  const dims = [sequences.length, longest];
  const ids = new BigInt64Array(sequences.length * longest);
  const mask = new BigInt64Array(ids.length);
  sequences.forEach((sequence, row) => {
    for (let i = 0; i < sequence.length; i++) {
      ids[row * longest + i] = BigInt(sequence[i]);
      mask[row * longest + i] = 1n;
    }
  });
  return {
    input_ids: new Tensor('int64', ids, dims),
    attention_mask: new Tensor('int64', mask, dims),
    token_type_ids: new Tensor('int64', new BigInt64Array(ids.length), dims),
  };
}
