/**
 * The safetensors format: eight bytes of header length, a JSON header, then the tensors' bytes without holes.
 *
 * Only headers are read here; native reads the bytes. Every rule of the format's reference reader is checked,
 * so that a hostile file is WEIGHT_INVALID before native sees an offset.
 * Source: the README of the safetensors project, section "Format".
 */

import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { describe, isObject } from '../check';
import { MultiheadError } from '../errors';
import { fileError, parseJson, readText } from '../json';
import { duplicateKey } from './duplicate-keys';
import { type TensorRow, type WeightTable, weightInvalid } from './table';

/** The reference reader's own limit. */
export const MOST_HEADER_BYTES = 100_000_000;
const LENGTH_BYTES = 8;
const MOST_DIMENSIONS_SHOWN = 8;

/** Without O_NONBLOCK (which Windows lacks), opening a pipe waits for somebody to write to it. */
const READ = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** Bytes of one element; our name where native can read the type. */
const DTYPES: Readonly<Record<string, { readonly bytes: number; readonly name?: string }>> = {
  F64: { bytes: 8 },
  F32: { bytes: 4, name: 'f32' },
  F16: { bytes: 2, name: 'f16' },
  BF16: { bytes: 2, name: 'bf16' },
  I64: { bytes: 8 },
  I32: { bytes: 4 },
  I16: { bytes: 2 },
  I8: { bytes: 1 },
  U64: { bytes: 8 },
  U32: { bytes: 4 },
  U16: { bytes: 2 },
  U8: { bytes: 1 },
  BOOL: { bytes: 1 },
  C64: { bytes: 8 },
  F8_E4M3: { bytes: 1 },
  F8_E5M2: { bytes: 1 },
  F8_E8M0: { bytes: 1 },
};

/**
 * Reads the header of one file.
 *
 * @throws MultiheadError FILE_ERROR: the file cannot be read; WEIGHT_INVALID: it breaks the format.
 */
export async function readSafetensors(path: string): Promise<WeightTable> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, READ);
    const status = await file.stat();
    if (!status.isFile()) throw fileError(path, new Error('not a regular file'));
    const header = await readHeader(file, path, status.size);
    return { sources: [{ path }], tensors: parseHeader(path, header, status.size) };
  } catch (error) {
    throw error instanceof MultiheadError ? error : fileError(path, error);
  } finally {
    await file?.close();
  }
}

async function readHeader(file: FileHandle, path: string, fileBytes: number): Promise<Uint8Array> {
  const prefix = new Uint8Array(LENGTH_BYTES);
  if ((await file.read(prefix, 0, LENGTH_BYTES, 0)).bytesRead < LENGTH_BYTES) {
    throw weightInvalid(path, `${fileBytes} bytes`, 'a safetensors file of at least 8 bytes');
  }
  const length = new DataView(prefix.buffer).getBigUint64(0, true);
  if (length > BigInt(MOST_HEADER_BYTES)) {
    throw weightInvalid(path, `a header of ${length} bytes`, `at most ${MOST_HEADER_BYTES}`);
  }
  if (Number(length) > fileBytes - LENGTH_BYTES) {
    const got = `a header of ${length} bytes in a file of ${fileBytes}`;
    throw weightInvalid(path, got, 'a header that the file holds; it may be truncated');
  }
  const header = new Uint8Array(Number(length));
  const { bytesRead } = await file.read(header, 0, header.length, LENGTH_BYTES);
  if (bytesRead < header.length) {
    throw weightInvalid(path, `${bytesRead} header bytes`, `${header.length}`);
  }
  return header;
}

/**
 * The rows of a header, in the order of their bytes. `path` is for messages; `fileBytes` is the size of the whole file.
 *
 * @throws MultiheadError WEIGHT_INVALID
 */
export function parseHeader(path: string, header: Uint8Array, fileBytes: number): TensorRow[] {
  const entries = headerEntries(path, header);
  const dataBytes = fileBytes - LENGTH_BYTES - header.length;
  const rows: TensorRow[] = [];
  for (const [name, entry] of entries) {
    if (name === '__metadata__') checkMetadata(path, entry);
    else rows.push(parseEntry(path, name, entry, dataBytes));
  }
  rows.sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength);
  checkNoHoles(path, rows, dataBytes);
  const base = LENGTH_BYTES + header.length;
  return rows.map((row) => ({ ...row, offset: row.offset + base }));
}

function headerEntries(path: string, header: Uint8Array): [string, unknown][] {
  if (header[0] !== '{'.charCodeAt(0)) {
    throw weightInvalid(path, 'a header that does not begin with {', 'a JSON object');
  }
  let text: string;
  let parsed: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header);
  } catch (cause) {
    throw weightInvalid(path, 'a header that is not UTF-8', 'a JSON object', cause);
  }
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw weightInvalid(
      path,
      `a header that is no JSON (${(cause as Error).message})`,
      'a JSON object',
      cause,
    );
  }
  const repeated = duplicateKey(text);
  if (repeated !== undefined) {
    throw weightInvalid(`${path}: ${repeated}`, 'listed twice in one object', 'a unique name');
  }
  return Object.entries(parsed as object);
}

function checkMetadata(path: string, value: unknown): void {
  if (isObject(value) && Object.values(value).every((entry) => typeof entry === 'string')) return;
  throw weightInvalid(`${path}: __metadata__`, describe(value), 'an object of strings');
}

function parseEntry(path: string, name: string, entry: unknown, dataBytes: number): TensorRow {
  const where = `${path}: ${name}`;
  if (!isObject(entry)) throw weightInvalid(where, describe(entry), 'an object');
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== 'string') throw weightInvalid(where, `dtype ${describe(dtype)}`, 'a string');
  if (!isCounts(shape)) {
    throw weightInvalid(where, `shape ${describeList(shape)}`, 'a list of sizes of at least 0');
  }
  if (!isCounts(offsets) || offsets.length !== 2) {
    throw weightInvalid(where, `data_offsets ${describeList(offsets)}`, 'two byte positions');
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > dataBytes) {
    const got = `bytes ${begin} to ${end}`;
    throw weightInvalid(where, got, `a range within the ${dataBytes} data bytes of the file`);
  }
  checkSize(where, dtype, shape, end - begin);
  const known = Object.hasOwn(DTYPES, dtype) ? DTYPES[dtype] : undefined;
  return {
    name,
    dtype: known?.name ?? dtype,
    shape,
    source: 0,
    offset: begin,
    byteLength: end - begin,
  };
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((entry) => Number.isSafeInteger(entry) && entry >= 0);
}

/** A list by its entries where they are few; a hostile one may be long, or nested deeper than the stack. */
function describeList(value: unknown): string {
  if (!Array.isArray(value) || value.length > MOST_DIMENSIONS_SHOWN) return describe(value);
  return `[${value.map(describe).join(', ')}]`;
}

/** A type that this reader does not know is listed unchecked: nothing can use it. */
function checkSize(where: string, dtype: string, shape: readonly number[], bytes: number): void {
  const known = Object.hasOwn(DTYPES, dtype) ? DTYPES[dtype] : undefined;
  if (!known) return;
  // Beyond 2^53 the product is rounded, and no file is so large: unequal either way.
  const expected = shape.reduce((product, size) => product * size, known.bytes);
  if (expected === bytes) return;
  const got = `${bytes} bytes for shape ${describeList(shape)} of ${dtype}`;
  throw weightInvalid(where, got, `${expected} bytes`);
}

/** Tensors follow each other without hole or overlap, and the last one ends the file. */
function checkNoHoles(path: string, rows: readonly TensorRow[], dataBytes: number): void {
  let end = 0;
  for (const row of rows) {
    if (row.offset !== end) {
      const relation = row.offset < end ? 'which overlaps another tensor' : 'after a hole';
      const got = `begins at data byte ${row.offset}, ${relation}`;
      throw weightInvalid(`${path}: ${row.name}`, got, `data byte ${end}`);
    }
    end += row.byteLength;
  }
  if (end !== dataBytes) {
    throw weightInvalid(
      path,
      `tensors that end at data byte ${end} of ${dataBytes}`,
      'no bytes after them',
    );
  }
}

/**
 * Reads the headers of all shards that an index (`model.safetensors.index.json`) names.
 *
 * @throws MultiheadError WEIGHT_INVALID: the index is malformed, names a file outside its folder or one that is
 * missing, or disagrees with a shard; FILE_ERROR
 */
export async function readSharded(indexPath: string): Promise<WeightTable> {
  const map = parseIndex(indexPath, await readIndex(indexPath));
  const files = [...new Set(map.values())];
  const tensors: TensorRow[] = [];
  const homes = new Map<string, string>();
  for (const [source, file] of files.entries()) {
    for (const row of (await readShard(indexPath, file)).tensors) {
      const other = homes.get(row.name);
      if (other !== undefined) {
        throw weightInvalid(`${indexPath}: ${row.name}`, `in ${other} and in ${file}`, 'one shard');
      }
      homes.set(row.name, file);
      tensors.push({ ...row, source });
    }
  }
  for (const [name, file] of map) {
    if (homes.get(name) === file) continue;
    const got = `not in ${file}, which the index names`;
    throw weightInvalid(`${indexPath}: ${name}`, got, 'an index that agrees with its shards');
  }
  return { sources: files.map((file) => ({ path: join(dirname(indexPath), file) })), tensors };
}

async function readIndex(indexPath: string): Promise<string> {
  try {
    return await readText(indexPath);
  } catch (error) {
    const { code, details } = error as MultiheadError;
    if (code !== 'INVALID_ARGUMENT') throw error;
    throw weightInvalid(indexPath, details.got, details.expected ?? 'an index', error);
  }
}

async function readShard(indexPath: string, file: string): Promise<WeightTable> {
  const path = join(dirname(indexPath), file);
  try {
    return await readSafetensors(path);
  } catch (error) {
    const cause = (error as Error).cause as NodeJS.ErrnoException | undefined;
    if (cause?.code !== 'ENOENT') throw error;
    throw weightInvalid(indexPath, `the shard ${file}, which is missing`, 'every shard beside it');
  }
}

function parseIndex(indexPath: string, text: string): Map<string, string> {
  let parsed: unknown;
  try {
    parsed = parseJson(indexPath, text);
  } catch (cause) {
    throw weightInvalid(indexPath, 'no JSON', 'a JSON object with a weight_map', cause);
  }
  const map = isObject(parsed) ? parsed['weight_map'] : undefined;
  if (!isObject(map)) throw weightInvalid(indexPath, `weight_map ${describe(map)}`, 'an object');
  const repeated = duplicateKey(text);
  if (repeated !== undefined) {
    throw weightInvalid(`${indexPath}: ${repeated}`, 'listed twice in one object', 'a unique name');
  }
  for (const [name, file] of Object.entries(map)) {
    if (typeof file === 'string' && /^[\w-][\w.-]*\.safetensors$/.test(file)) continue;
    const expected = `a .safetensors file in ${basename(dirname(indexPath))}`;
    throw weightInvalid(`${indexPath}: ${name}`, `the shard ${describe(file)}`, expected);
  }
  return new Map(Object.entries(map as Record<string, string>));
}
