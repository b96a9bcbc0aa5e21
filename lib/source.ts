/** Where a model comes from: the options that every load by name shares. */

import { checkBoolean, checkFunction, checkString, optional } from './check';
import type { ResolveOptions } from './hub';

/** Where a model comes from when it is named by an id. */
export type SourceOptions = Omit<ResolveOptions, 'signal'>;

export const SOURCE_KEYS = ['revision', 'cacheDir', 'localFilesOnly', 'onProgress'] as const;

/** @throws MultiheadError INVALID_ARGUMENT */
export function checkSource(
  options: Readonly<Record<string, unknown>>,
  signal: AbortSignal | undefined,
): ResolveOptions {
  const { revision, cacheDir, localFilesOnly, onProgress } = options;
  return {
    revision: optional(revision, (value) => checkString('options.revision', value)),
    cacheDir: optional(cacheDir, (value) => checkString('options.cacheDir', value)),
    localFilesOnly: optional(localFilesOnly, (value) =>
      checkBoolean('options.localFilesOnly', value),
    ),
    onProgress: optional(onProgress as ResolveOptions['onProgress'], (value) =>
      checkFunction('options.onProgress', value),
    ),
    signal,
  };
}
