/** Options that several commands share, and the readers of their values. */

import { type Command, InvalidArgumentError } from 'commander';
import type { ResolveOptions } from '../hub';

/** A reader of whole numbers of at least 1. */
export function positiveInteger(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= 1) return value;
  throw new InvalidArgumentError('Expected a whole number of at least 1.');
}

/** A reader of whole numbers of at least 0. */
export function naturalNumber(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError('Expected a whole number of at least 0.');
}

/** A reader of numbers above 0. */
export function positiveNumber(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('Expected a number above 0.');
}

/** A reader of numbers above 0 and at most 1. */
export function fraction(text: string): number {
  const value = positiveNumber(text);
  if (value <= 1) return value;
  throw new InvalidArgumentError('Expected a number above 0, 1 at most.');
}

/** A reader of options that may be repeated. */
export function collected(text: string, previous: readonly string[] = []): string[] {
  return [...previous, text];
}

export interface SourceOptions {
  readonly revision?: string;
  readonly cacheDir?: string;
  readonly offline?: true;
}

/** Adds the options that say where a model comes from. */
export function withSource(command: Command): Command {
  return command
    .option('--revision <name>', 'branch, tag or commit of the model (default: main)')
    .option('--cache-dir <folder>', "cache of models (default: the hub's own, shared with Python)")
    .option('--offline', 'use only what is on disk');
}

/** Adds the option of how many threads compute. */
export function withThreads(command: Command): Command {
  return command.option(
    '--threads <count>',
    'threads to compute on (default: all that are allowed)',
    positiveInteger,
  );
}

export function sourceOf({ revision, cacheDir, offline }: SourceOptions): ResolveOptions {
  return {
    ...(revision === undefined ? {} : { revision }),
    ...(cacheDir === undefined ? {} : { cacheDir }),
    ...(offline ? { localFilesOnly: true } : {}),
    onProgress: showProgress,
  };
}

/** One line that is rewritten, on a terminal only: a log file has no use for it. */
function showProgress({ file, loaded, total }: { file: string; loaded: number; total: number }) {
  if (!process.stderr.isTTY) return;
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
  const end = loaded >= total ? '\n' : '';
  process.stderr.write(`\r\x1b[K${file}: ${megabytes(loaded)} of ${megabytes(total)} MB${end}`);
}
