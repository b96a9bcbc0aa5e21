/** Writes safetensors files, right and wrong ones: a test says what the header claims. */

export interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

export interface TensorBytes {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** A file of a header, as text or bytes, and `data` bytes after it. */
export function fileOf(
  header: string | Uint8Array | Readonly<Record<string, unknown>>,
  data: number | Uint8Array,
  claimed?: bigint,
): Buffer {
  const isRaw = typeof header === 'string' || ArrayBuffer.isView(header);
  const text = Buffer.from(isRaw ? (header as string) : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(claimed ?? BigInt(text.length));
  return Buffer.concat([length, text, typeof data === 'number' ? Buffer.alloc(data) : data]);
}

/** A valid file of these tensors, one after the other. */
export function validFile(
  tensors: Readonly<Record<string, TensorBytes>>,
  metadata?: Readonly<Record<string, string>>,
): Buffer {
  let end = 0;
  const header: Record<string, unknown> = metadata ? { __metadata__: metadata } : {};
  for (const [name, { dtype, shape, bytes }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [end, end + bytes.length] };
    end += bytes.length;
  }
  return fileOf(header, Buffer.concat(Object.values(tensors).map(({ bytes }) => bytes)));
}

/** The tensors of a valid file. */
export function tensorsOf(file: Uint8Array): Record<string, TensorBytes> {
  const buffer = Buffer.from(file);
  const begin = 8 + Number(buffer.readBigUInt64LE(0));
  const header = JSON.parse(buffer.subarray(8, begin).toString()) as Record<string, Entry>;
  const tensors: Record<string, TensorBytes> = {};
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const [from, to] = entry.data_offsets;
    const bytes = buffer.subarray(begin + from, begin + to);
    tensors[name] = { dtype: entry.dtype, shape: entry.shape, bytes };
  }
  return tensors;
}
