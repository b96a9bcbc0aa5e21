// onnxruntime-node as its users run it: a batch is padded to its longest sequence, mean pooling and
// normalisation are a loop over the output.
import { join } from 'node:path';
import ort from 'onnxruntime-node';
import { paddedInputs } from '../padding.mjs';

export async function open({ onnxFolder, threads }) {
  const settings = {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
  };
  const session = await ort.InferenceSession.create(
    join(onnxFolder, 'onnx', 'model.onnx'),
    settings,
  );
  return {
    settings,
    async embedIds(sequences) {
      const feeds = paddedInputs(sequences, ort.Tensor);
      const { last_hidden_state: hidden } = await session.run(feeds);
      return meanPool(hidden.data, hidden.dims, sequences);
    },
    close: () => session.release(),
  };
}

function meanPool(hidden, [rows, longest, width], sequences) {
  const vectors = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    const vector = vectors.subarray(row * width, (row + 1) * width);
    for (let token = 0; token < sequences[row].length; token++) {
      const from = (row * longest + token) * width;
      for (let i = 0; i < width; i++) vector[i] += hidden[from + i];
    }
    // The mean's 1 / length cancels in the norm.
    const norm = Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0));
    for (let i = 0; i < width; i++) vector[i] /= norm;
  }
  return vectors;
}
