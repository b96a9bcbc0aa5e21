// A case's declaration turned into the batches of one pass.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * @returns {{
 *   batches: (Int32Array[] | string[])[],
 *   probe: Int32Array[] | string[], the smallest input, for the time to the first vector
 *   warmUp: (Int32Array[] | string[])[], batches like those of a pass, each of a second's work at most
 *   lengths: number[], real tokens of every sequence of a pass
 *   reference: string, referenceRows: number, rows: number[] (row of the reference of each sequence)
 * }}
 */
export function batchesOf({ name, input }, { onnxFolder, sentencesFile }) {
  const ids = JSON.parse(readFileSync(join(onnxFolder, 'inputs.json'), 'utf8'));
  const set = input.kind === 'dense' ? name : 'sentences';
  const sequences = ids[set].map((sequence) => Int32Array.from(sequence));
  const rows = order(input, sequences);
  const shared = {
    lengths: rows.map((row) => sequences[row].length),
    reference: set,
    referenceRows: sequences.length,
    rows,
  };
  if (input.kind === 'texts') {
    const texts = readFileSync(sentencesFile, 'utf8').trimEnd().split('\n');
    const chosen = rows.map((row) => texts[row]);
    return {
      ...shared,
      batches: [chosen],
      probe: chosen.slice(0, 1),
      warmUp: [chosen.slice(0, 32)],
    };
  }
  const chosen = rows.map((row) => sequences[row]);
  const size = input.batch ?? chosen.length;
  const batches = [];
  for (let at = 0; at < chosen.length; at += size) batches.push(chosen.slice(at, at + size));
  return { ...shared, batches, probe: chosen.slice(0, 1), warmUp: batches };
}

function order(input, sequences) {
  const count = input.count ?? sequences.length;
  if (count > sequences.length) throw new Error(`${count} sequences wanted of ${sequences.length}`);
  const rows = Array.from({ length: count }, (_, row) => row);
  if (input.order === 'length') {
    rows.sort((a, b) => sequences[a].length - sequences[b].length);
  }
  return rows;
}
