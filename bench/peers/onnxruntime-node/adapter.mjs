// onnxruntime-node as its users run it: a batch is padded to its longest sequence, mean pooling and
// normalisation are a loop over the output.
import { join } from 'node:path';
import ort from 'onnxruntime-node';
import { paddedInputs } from '../padding.mjs';
import { meanPool } from '../pooling.mjs';

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
      const [, longest, width] = hidden.dims;
      const spans = sequences.map(({ length }, row) => ({ start: row * longest, length }));
      return meanPool(hidden.data, width, spans);
    },
    close: () => session.release(),
  };
}
