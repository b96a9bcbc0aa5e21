// Mean pooling and normalisation of hidden states, the loop that users of token-level models write.

/**
 * @param {Float32Array} hidden rows of `width`
 * @param {number} width
 * @param {readonly { start: number, length: number }[]} spans each sequence's rows
 * @returns {Float32Array} [sequences, width], unit vectors
 */
export function meanPool(hidden, width, spans) {
  const vectors = new Float32Array(spans.length * width);
  spans.forEach(({ start, length }, sequence) => {
    const vector = vectors.subarray(sequence * width, (sequence + 1) * width);
    for (let row = start; row < start + length; row++) {
      const from = row * width;
      for (let i = 0; i < width; i++) vector[i] += hidden[from + i];
    }
    // The mean's 1 / length cancels in the norm.
    const norm = Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0));
    for (let i = 0; i < width; i++) vector[i] /= norm;
  });
  return vectors;
}
