/** Sequences one after the other, without padding. */

/** [T] and [B + 1]. */
export interface Packed {
  readonly tokens: Int32Array;
  readonly offsets: Int32Array;
}

export function packed(sequences: readonly (readonly number[] | Int32Array)[]): Packed {
  const offsets = offsetsOf(sequences.map(({ length }) => length));
  const tokens = new Int32Array(offsets[sequences.length] as number);
  sequences.forEach((sequence, i) => {
    tokens.set(sequence, offsets[i]);
  });
  return { tokens, offsets };
}

/** Rows of `columns` values of each sequence, and the offsets in rows. */
export function packRows(sequences: readonly Float32Array[], columns: number) {
  const offsets = offsetsOf(sequences.map(({ length }) => length / columns));
  const values = new Float32Array((offsets[sequences.length] as number) * columns);
  sequences.forEach((sequence, i) => {
    values.set(sequence, (offsets[i] as number) * columns);
  });
  return { values, offsets };
}

/** The rows of each sequence, as views. */
export function unpackRows(
  values: Float32Array,
  offsets: Int32Array,
  columns: number,
): Float32Array[] {
  return Array.from({ length: offsets.length - 1 }, (_, i) =>
    values.subarray((offsets[i] as number) * columns, (offsets[i + 1] as number) * columns),
  );
}

function offsetsOf(lengths: readonly number[]): Int32Array {
  const offsets = new Int32Array(lengths.length + 1);
  lengths.forEach((length, i) => {
    offsets[i + 1] = (offsets[i] as number) + length;
  });
  return offsets;
}
