/** Memory of a size that the caller decides: too much of it is a typed error. */

import { MultiheadError } from './errors';

/** @throws MultiheadError OUT_OF_MEMORY, about `where` */
export function zeros(where: string, count: number): Float32Array {
  try {
    return new Float32Array(count);
  } catch (cause) {
    const details = { where, got: `${count} values, which memory cannot hold` };
    throw new MultiheadError('OUT_OF_MEMORY', details, { cause });
  }
}
