/**
 * The weight formats: where each one's files lie in a model folder and how they become a table.
 *
 * A new format is one file and one row here.
 */

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { MultiheadError } from '../errors';
import { fileError } from '../json';
import { readSafetensors, readSharded } from './safetensors';
import type { WeightTable } from './table';

interface WeightFormat {
  readonly file: string;
  read(path: string): Promise<WeightTable>;
}

/** The first one whose file is there is read, as Python prefers. */
const FORMATS: readonly WeightFormat[] = [
  { file: 'model.safetensors', read: readSafetensors },
  { file: 'model.safetensors.index.json', read: readSharded },
];

/** Weights in formats that cannot be read; naming them tells a person what to convert. */
const OTHER_FORMATS = /\.(bin|onnx|h5|msgpack|gguf|ot|pt|pth|ckpt)$|^(onnx|openvino)$/;

/**
 * Reads which weights a folder holds, headers only.
 *
 * @param convert one line of Python that writes them as safetensors
 * @throws MultiheadError UNSUPPORTED: only other formats; FILE_ERROR: no folder, no weights; WEIGHT_INVALID
 */
export async function openWeights(folder: string, convert: string): Promise<WeightTable> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (cause) {
    throw fileError(folder, cause);
  }
  for (const { file, read } of FORMATS) {
    if (names.includes(file)) return await read(join(folder, file));
  }
  const others = names.filter((name) => OTHER_FORMATS.test(name)).sort();
  if (others.length === 0) {
    const expected = FORMATS.map(({ file }) => file).join(' or ');
    throw new MultiheadError('FILE_ERROR', { where: folder, got: 'no weights', expected });
  }
  throw new MultiheadError('UNSUPPORTED', {
    where: folder,
    got: `weights only as ${others.slice(0, 3).join(', ')}`,
    expected: `model.safetensors; convert once with: python -c "${convert}"`,
  });
}
