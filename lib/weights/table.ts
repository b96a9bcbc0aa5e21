/** What every weight format is parsed into: rows that say which bytes of which source hold a tensor. */

import { MultiheadError } from '../errors';

export interface TensorRow {
  readonly name: string;
  /** 'f32', 'f16' and 'bf16' can be used; others are listed, and UNSUPPORTED when a plan uses them. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Index into {@link WeightTable.sources}. */
  readonly source: number;
  /** Bytes from the start of the source. */
  readonly offset: number;
  readonly byteLength: number;
}

export type WeightSource = { readonly path: string } | { readonly data: Uint8Array };

export interface WeightTable {
  readonly sources: readonly WeightSource[];
  readonly tensors: readonly TensorRow[];
}

/** Several tables as one; each one's names get its prefix. */
export function mergeTables(
  parts: readonly { readonly table: WeightTable; readonly prefix: string }[],
): WeightTable {
  const sources: WeightSource[] = [];
  const tensors: TensorRow[] = [];
  for (const { table, prefix } of parts) {
    const first = sources.length;
    sources.push(...table.sources);
    for (const row of table.tensors) {
      tensors.push({ ...row, name: prefix + row.name, source: row.source + first });
    }
  }
  return { sources, tensors };
}

export function weightInvalid(
  where: string,
  got: string,
  expected: string,
  cause?: unknown,
): MultiheadError {
  return new MultiheadError('WEIGHT_INVALID', { where, got, expected }, { cause });
}
