/**
 * JSON files of a model folder, read with suspicion: typed errors name the file and the key.
 *
 * Python writes NaN and Infinity, which JSON does not have: they are read as numbers, and a key that is
 * used and must be finite then says so.
 */

import { lstat, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { checkLiteral, describe, invalid, isObject, oneOf } from './check';
import { MultiheadError } from './errors';

/** Configurations have kilobytes, tokenizers some megabytes. */
const MOST_BYTES = 256 * 1024 * 1024;

export function fileError(path: string, cause: unknown): MultiheadError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const got = code === 'ENOENT' ? 'no such file' : (message ?? String(cause));
  return new MultiheadError('FILE_ERROR', { where: path, got, expected: 'a file' }, { cause });
}

/** Whether there is something of that name, which reading may find to be no file: a broken link is not absent. */
export async function isPresent(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
  );
}

/** The text of a UTF-8 file; a byte order mark is dropped. */
export async function readText(path: string): Promise<string> {
  let bytes: Buffer;
  try {
    const found = await stat(path);
    if (!found.isFile()) throw Object.assign(new Error('not a file'), { code: 'EISDIR' });
    if (found.size > MOST_BYTES)
      throw invalid(path, `${found.size} bytes`, `${MOST_BYTES} at most`);
    bytes = await readFile(path);
  } catch (cause) {
    throw cause instanceof MultiheadError ? cause : fileError(path, cause);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw invalid(path, 'bytes that are not UTF-8', 'JSON');
  }
}

/** Parses JSON with Python's NaN, Infinity and -Infinity. */
export function parseJson(where: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const tolerant = parseWithNonFinite(text);
    if (tolerant !== undefined) return tolerant.value;
    throw new MultiheadError(
      'INVALID_ARGUMENT',
      { where, got: (error as Error).message, expected: 'JSON' },
      { cause: error },
    );
  }
}

/** A string that does not end is one too, so that each character is looked at once. A key is no number. */
const NON_FINITE = /"(?:[^"\\]+|\\.)*"?|(?:-?Infinity|NaN)(?!\s*:)/g;

function parseWithNonFinite(text: string): { readonly value: unknown } | undefined {
  // A mark that no string of the text begins with stands for the numbers: NUL can only be written so.
  const mark = '\u0000number:';
  if (text.includes('\\u0000')) return undefined;
  try {
    const replaced = text.replace(NON_FINITE, (token) =>
      token.startsWith('"') ? token : JSON.stringify(mark + token),
    );
    const revive = (_key: string, value: unknown) =>
      typeof value === 'string' && value.startsWith(mark)
        ? Number(value.slice(mark.length))
        : value;
    return { value: JSON.parse(replaced, revive) };
  } catch {
    return undefined;
  }
}

/** One JSON object and the file it came from. `null` counts as absent, as Python's None does. */
export class Config {
  constructor(
    readonly file: string,
    readonly values: Readonly<Record<string, unknown>>,
  ) {}

  /** @throws MultiheadError FILE_ERROR: cannot be read; INVALID_ARGUMENT: no JSON, or no object. */
  static async read(folder: string, name: string): Promise<Config> {
    const file = join(folder, name);
    const values = parseJson(file, await readText(file));
    if (!isObject(values)) throw invalid(file, describe(values), 'a JSON object');
    return new Config(file, values);
  }

  /** An empty one where the file does not exist. */
  static async readIfPresent(folder: string, name: string): Promise<Config> {
    const file = join(folder, name);
    return (await isPresent(file)) ? await Config.read(folder, name) : new Config(file, {});
  }

  where(key: string): string {
    return `${this.file}: ${key}`;
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  get(key: string): unknown {
    return Object.hasOwn(this.values, key) ? (this.values[key] ?? undefined) : undefined;
  }

  integer(key: string, low: number, high: number, otherwise?: number): number {
    const value = this.get(key) ?? otherwise;
    if (typeof value === 'number' && Number.isInteger(value) && value >= low && value <= high) {
      return value;
    }
    throw invalid(this.where(key), describe(value), `an integer from ${low} to ${high}`);
  }

  /** A finite number of at least `low`. */
  number(key: string, low: number, otherwise?: number): number {
    const value = this.get(key) ?? otherwise;
    if (typeof value === 'number' && Number.isFinite(value) && value >= low) return value;
    throw invalid(this.where(key), describe(value), `a finite number of at least ${low}`);
  }

  boolean(key: string, otherwise: boolean): boolean {
    const value = this.get(key) ?? otherwise;
    if (typeof value === 'boolean') return value;
    throw invalid(this.where(key), describe(value), 'true or false');
  }

  string(key: string, otherwise?: string): string {
    const value = this.get(key) ?? otherwise;
    if (typeof value === 'string') return value;
    throw invalid(this.where(key), describe(value), 'a string');
  }

  literal<T extends string>(key: string, choices: readonly T[], otherwise?: T): T {
    return checkLiteral(this.where(key), this.get(key) ?? otherwise, choices);
  }

  /** UNSUPPORTED unless the key is absent or has one of these values. */
  mustBe(key: string, supported: readonly unknown[]): void {
    const value = this.get(key);
    if (value === undefined || supported.includes(value)) return;
    throw this.unsupported(key, oneOf(supported.map(describe)));
  }

  unsupported(key: string, expected: string): MultiheadError {
    const got = `${describe(this.get(key))} is not supported`;
    return new MultiheadError('UNSUPPORTED', { where: this.where(key), got, expected });
  }
}
