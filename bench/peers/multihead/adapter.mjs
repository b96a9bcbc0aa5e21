// This package through its public face: texts by SentenceEncoder, token ids by the Transformer below it with the
// pooling loop that the peers' users write too.
import { SentenceEncoder, Transformer } from 'multihead';
import { meanPool } from '../pooling.mjs';

export async function open({ modelFolder, threads, kind }) {
  const face = kind === 'texts' ? SentenceEncoder : Transformer;
  const model = await face.load(modelFolder, { device: 'cpu', threads });
  const { isa, width } = model.info;
  return {
    settings: { isa, threads: model.info.threads, dtype: model.dtype },
    async embedIds(sequences) {
      const { spans, ...batch } = packed(sequences);
      const { hidden } = await model.forward(batch);
      return meanPool(hidden, width, spans);
    },
    async embedTexts(texts) {
      return (await model.encode(texts)).data;
    },
    close: () => model.dispose(),
  };
}

function packed(sequences) {
  const offsets = new Int32Array(sequences.length + 1);
  sequences.forEach(({ length }, i) => {
    offsets[i + 1] = offsets[i] + length;
  });
  const tokens = new Int32Array(offsets[sequences.length]);
  const spans = sequences.map((sequence, i) => {
    tokens.set(sequence, offsets[i]);
    return { start: offsets[i], length: sequence.length };
  });
  return { tokens, offsets, spans };
}
