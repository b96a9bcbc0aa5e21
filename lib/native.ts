/**
 * Finds, loads and types the native addon; the only file that touches the `.node`.
 *
 * The binary is searched by node-gyp-build from the package root: `build/Release` (a local compile),
 * then `prebuilds/`. Every error that leaves this file is a {@link MultiheadError}.
 */

import { join } from 'node:path';
import { ERROR_CODES, type ErrorCode, MultiheadError } from './errors';
import type { Plan } from './plan';

/** One row of a parsed weight file: a tensor and the bytes that hold it. */
export interface NativeTensor {
  readonly name: string;
  /** 'f32', 'f16' and 'bf16' can be used; others may be listed, and are UNSUPPORTED when a plan uses them. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Index into {@link NativeWeights.sources}. */
  readonly source: number;
  /** Bytes from the start of the source. */
  readonly offset: number;
  readonly byteLength: number;
}

/** Where the bytes of weights lie: a file, or memory (copied when the load starts). */
export type NativeSource = { readonly path: string } | { readonly data: Uint8Array };

export interface NativeWeights {
  readonly sources: readonly NativeSource[];
  readonly tensors: readonly NativeTensor[];
}

export interface NativeModelInfo {
  /** The kernel table that runs this model: 'avx512', 'avx2', 'baseline'. */
  readonly isa: string;
  /** The most pool threads that one forward uses. */
  readonly threads: number;
  /** Bytes of weights held in native memory. */
  readonly residentBytes: number;
  /** Columns of the stream where layers run. */
  readonly width: number;
  /** Feed-forward blocks in the plan. */
  readonly layers: number;
  /** Weight elements that the plan uses; a tensor used twice counts once. */
  readonly parameters: number;
  readonly unusedTensors: readonly string[];
}

/** A packed batch. The arrays are copied before `run` returns. */
export interface NativeBatch {
  /** [T] */
  readonly tokens: Int32Array;
  /** [B + 1]; starts at 0, never decreases, ends at T. */
  readonly offsets: Int32Array;
  /** [T]; absent: type 0 everywhere. */
  readonly types?: Int32Array;
  /** [weighted pool parts, T]; needed when a requested block lies after a weighted pool. */
  readonly poolWeights?: Float32Array;
  /** [R] ascending rows of the tokens, for the plan's select block; absent: all. */
  readonly selected?: Int32Array;
  /** [Tm, memoryWidth] and [B + 1]: what attentions with keys from the memory read, packed like the tokens. */
  readonly memory?: Float32Array;
  readonly memoryOffsets?: Int32Array;
}

export interface NativeJob {
  /** The stream after each requested block, row-major, in the order of the request. */
  readonly done: Promise<Float32Array[]>;
  /** Makes `done` reject with ABORTED unless it has settled. */
  cancel(): void;
}

/** How the next token of each sequence is chosen from its logits; arrays have one entry a sequence. */
export interface NativeSampling {
  /** 0: the most likely token (the lowest id of several). */
  readonly temperature: Float32Array;
  /** Only so many of the most likely tokens; 0: all. */
  readonly topK: Int32Array;
  /** Only the most likely tokens whose probabilities together reach this; 1: all. After topK, as in Python. */
  readonly topP: Float32Array;
  /** In [0, 1): which token is drawn. */
  readonly uniform: Float64Array;
}

export interface NativeDecodeInput {
  /** [T] the new tokens of each sequence, at least one each: a prompt, or the token chosen last. */
  readonly tokens: Int32Array;
  /** [B + 1] */
  readonly offsets: Int32Array;
  /** [B] distinct ids of open sequences of the cache. */
  readonly sequences: Int32Array;
  /** With the first tokens of sequences whose plan reads a memory: [Tm, memoryWidth] and [B + 1]; kept in the cache. */
  readonly memory?: Float32Array;
  readonly memoryOffsets?: Int32Array;
  /** Either draws one token a sequence, or lists its `top` most likely ones. */
  readonly sampling?: NativeSampling;
  readonly top?: number;
  /**
   * Tokens that sequence b must not choose, those from bannedOffsets[b] to bannedOffsets[b + 1] - 1: left out of the
   * draw (before topK and topP) and of the list, but not of the softmax of `logProbabilities`. Absent: none. At least
   * one token, or `top` tokens, must remain.
   */
  readonly banned?: Int32Array;
  readonly bannedOffsets?: Int32Array;
}

/** [B, 1] or [B, top], most likely first; logarithms of probabilities (of the whole softmax, at temperature 1). */
export interface NativeChoice {
  readonly tokens: Int32Array;
  readonly logProbabilities: Float32Array;
}

export interface NativeDecodeJob {
  readonly done: Promise<NativeChoice>;
  cancel(): void;
}

export interface NativeCacheInfo {
  /** Tokens of one page; a sequence holds whole pages. */
  readonly pageTokens: number;
  readonly pages: number;
  readonly freePages: number;
  /** Native memory, memories of encoders included. */
  readonly bytes: number;
}

/**
 * Keys and values of the sequences that are being decoded. One decode at a time; while one runs, every call but
 * `info` throws INVALID_ARGUMENT. After a decode that failed or was cancelled, its sequences are as before it.
 */
export interface NativeCache {
  readonly info: NativeCacheInfo;
  /** Ids of `count` new, empty sequences. */
  open(count: number): Int32Array;
  /** For each id a new sequence with the same content; full pages are shared until one is written to. */
  fork(sequences: Int32Array): Int32Array;
  /** Their pages are free again. */
  close(sequences: Int32Array): void;
  /** Appends tokens and chooses the next ones. OUT_OF_MEMORY when no page is free; then nothing has changed. */
  decode(input: NativeDecodeInput): NativeDecodeJob;
  /** Frees the memory once a running decode has ended. May be repeated. */
  dispose(): void;
}

export interface NativeModel {
  readonly info: NativeModelInfo;
  /**
   * A cache of `pages` pages for a plan whose every attention over the stream is causal and that ends in rows of
   * logits: select, then norm and project blocks. Throws UNSUPPORTED for another plan, OUT_OF_MEMORY.
   */
  createCache(pages: number): NativeCache;
  /**
   * Starts one forward of `batch` on the thread pool. `outputs`: block indices, ascending; blocks after
   * the last one do not run. A malformed argument throws here; later failures reject `done`.
   */
  run(batch: NativeBatch, outputs: Int32Array): NativeJob;
  /** Drops the weights once running forwards have ended; later runs throw DISPOSED. May be repeated. */
  dispose(): void;
}

export interface NativeLoad {
  readonly done: Promise<NativeModel>;
  /** Makes `done` reject with ABORTED unless it has settled. */
  cancel(): void;
}

export interface NativeLoadOptions {
  /** Name of an instruction set; absent: MULTIHEAD_ISA, else the best that the processor supports. */
  readonly isa?: string;
  /** The most threads that one forward may use; absent: `threads().defaultThreads`. */
  readonly threads?: number;
}

export interface NativeIsa {
  readonly name: string;
  readonly supported: boolean;
}

export interface NativeThreads {
  readonly affinity: number;
  /** The cgroup's CPU quota in processors; 0: none. */
  readonly cgroupCpus: number;
  readonly defaultThreads: number;
}

export interface NativeAddon {
  readonly version: string;
  /** Every compiled instruction set, best first. */
  isas(): NativeIsa[];
  threads(): NativeThreads;
  /** Reads, checks and packs weights on the thread pool. A malformed argument throws here. */
  load(plan: Plan, weights: NativeWeights, options?: NativeLoadOptions): NativeLoad;
}

/** Turns whatever the addon threw into a MultiheadError; one that already is passes through. */
export function toMultiheadError(error: unknown): MultiheadError {
  if (error instanceof MultiheadError) return error;
  const { code, where, got, expected } = (error ?? {}) as Record<string, unknown>;
  if (isErrorCode(code) && typeof where === 'string' && typeof got === 'string') {
    const details = typeof expected === 'string' ? { where, got, expected } : { where, got };
    return new MultiheadError(code, details);
  }
  const message = error instanceof Error ? error.message : String(error);
  return new MultiheadError('INTERNAL', { where: 'native addon', got: message }, { cause: error });
}

function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERROR_CODES, code);
}

/** Calls `f` and rethrows its failure as a MultiheadError. */
function translated<T>(f: () => T): T {
  try {
    return f();
  } catch (error) {
    throw toMultiheadError(error);
  }
}

/** `promise`, whose rejection is a MultiheadError. */
function translatedAsync<T>(promise: Promise<T>): Promise<T> {
  return promise.catch((error) => {
    throw toMultiheadError(error);
  });
}

class TranslatedCache implements NativeCache {
  readonly #cache: NativeCache;

  constructor(cache: NativeCache) {
    this.#cache = cache;
  }

  get info(): NativeCacheInfo {
    return translated(() => this.#cache.info);
  }

  open(count: number): Int32Array {
    return translated(() => this.#cache.open(count));
  }

  fork(sequences: Int32Array): Int32Array {
    return translated(() => this.#cache.fork(sequences));
  }

  close(sequences: Int32Array): void {
    translated(() => this.#cache.close(sequences));
  }

  decode(input: NativeDecodeInput): NativeDecodeJob {
    const job = translated(() => this.#cache.decode(input));
    return { done: translatedAsync(job.done), cancel: () => job.cancel() };
  }

  dispose(): void {
    translated(() => this.#cache.dispose());
  }
}

class TranslatedModel implements NativeModel {
  readonly #model: NativeModel;

  constructor(model: NativeModel) {
    this.#model = model;
  }

  get info(): NativeModelInfo {
    return translated(() => this.#model.info);
  }

  createCache(pages: number): NativeCache {
    return translated(() => new TranslatedCache(this.#model.createCache(pages)));
  }

  run(batch: NativeBatch, outputs: Int32Array): NativeJob {
    const job = translated(() => this.#model.run(batch, outputs));
    return { done: translatedAsync(job.done), cancel: () => job.cancel() };
  }

  dispose(): void {
    translated(() => this.#model.dispose());
  }
}

class TranslatedAddon implements NativeAddon {
  readonly #addon: NativeAddon;

  constructor(addon: NativeAddon) {
    this.#addon = addon;
  }

  get version(): string {
    return this.#addon.version;
  }

  isas(): NativeIsa[] {
    return translated(() => this.#addon.isas());
  }

  threads(): NativeThreads {
    return translated(() => this.#addon.threads());
  }

  load(plan: Plan, weights: NativeWeights, options: NativeLoadOptions = {}): NativeLoad {
    const load = translated(() => this.#addon.load(plan, weights, options));
    return {
      done: translatedAsync(load.done.then((model) => new TranslatedModel(model))),
      cancel: () => load.cancel(),
    };
  }
}

const packageRoot = join(__dirname, '..');
let loaded: NativeAddon | undefined;

/**
 * The addon, loaded at the first call.
 *
 * @throws MultiheadError UNSUPPORTED when no binary fits this platform or it cannot be loaded;
 * INTERNAL when the binary is of another version than this package.
 * @example
 * for (const isa of loadAddon().isas()) console.log(isa.name, isa.supported);
 */
export function loadAddon(): NativeAddon {
  loaded ??= openAddon();
  return loaded;
}

function openAddon(): NativeAddon {
  const binary = addonPath();
  let addon: NativeAddon;
  try {
    addon = require(binary);
  } catch (cause) {
    throw noBinary(`${binary} cannot be loaded (${(cause as Error).message})`, cause);
  }
  const { version } = require(join(packageRoot, 'package.json')) as { version: string };
  if (addon.version !== version) {
    throw new MultiheadError('INTERNAL', {
      where: binary,
      got: `native addon of version ${addon.version}`,
      expected: `version ${version}; compile it again with: npx multihead build`,
    });
  }
  return new TranslatedAddon(addon);
}

/**
 * The file that {@link loadAddon} loads.
 *
 * @throws MultiheadError UNSUPPORTED when no binary fits this platform.
 */
export function addonPath(): string {
  const nodeGypBuild = require('node-gyp-build') as { path(directory: string): string };
  try {
    return nodeGypBuild.path(packageRoot);
  } catch (cause) {
    throw noBinary('no native binary', cause);
  }
}

function noBinary(got: string, cause: unknown): MultiheadError {
  return new MultiheadError(
    'UNSUPPORTED',
    {
      where: `multihead on ${describePlatform()}`,
      got,
      expected:
        'a prebuilt one for this platform, or one compiled here (C++ compiler and CMake needed) by: npx multihead build',
    },
    { cause },
  );
}

function describePlatform(): string {
  const abi = `Node ${process.versions.node}, ABI ${process.versions.modules}`;
  if (process.platform !== 'linux') return `${process.platform}-${process.arch} (${abi})`;
  const { header } = process.report.getReport() as unknown as {
    header: { glibcVersionRuntime?: string };
  };
  const libc = header.glibcVersionRuntime ? `glibc ${header.glibcVersionRuntime}` : 'musl';
  return `${process.platform}-${process.arch} (${abi}, ${libc})`;
}
