/**
 * Decodes many prompts together in one cache: each step appends tokens to every running sequence and asks for what
 * may follow. A search that ends leaves, and one that waits takes its pages.
 *
 * A sequence's bits do not depend on its company, so neither does what is found.
 */

import { settle, throwIfAborted } from '../abort';
import { MultiheadError } from '../errors';
import type { NativeCache, NativeChoice, NativeDecodeInput, NativeSampling } from '../native';
import { packed, packRows } from '../packing';
import type { Running } from '../running';
import { pagesNeeded, planCache } from './budget';
import type { CachedDecoder } from './decoder';
import type { Sampling } from './options';
import { uniform } from './random';
import type { Rule, Rules } from './rules';
import type { Choices, Continuation, Search } from './search';

/** One prompt. */
export interface Task {
  /** What the decoder reads first. */
  readonly prompt: readonly number[];
  readonly maxNewTokens: number;
  readonly search: Search;
  readonly seed: number;
  /** What an encoder reads first; its output is the decoder's memory. */
  readonly source?: Int32Array;
}

/** Runs the encoder over sources: [tokens, memory width] of each. */
export type Encode = (sources: readonly Int32Array[]) => Promise<readonly Float32Array[]>;

export interface RunnerParts {
  readonly decoder: CachedDecoder;
  readonly rules: Rules;
  readonly encode?: Encode;
  /** Counts the native work. */
  readonly running: Running;
}

/** How a step asks for what may follow. */
export interface Choosing {
  /** The most rows that a search has. */
  readonly rows: number;
  /** One token a row is chosen by these, or `width` are listed. */
  readonly by: Sampling | { readonly width: number };
}

/** Tokens of prompts that are read in one step, unless one prompt alone has more. */
const PROMPT_TOKENS = 4096;

/** A search in the cache. */
interface Active {
  readonly task: Task;
  readonly pages: number;
  /** The cache's sequences, one for each row. */
  sequences: readonly number[];
  /** What each row reads next. */
  reads: readonly (readonly number[])[];
  /** With the first tokens. */
  memory?: Float32Array;
}

export class Runner {
  readonly #parts: RunnerParts;
  readonly #choosing: Choosing;
  readonly #signal: AbortSignal | undefined;
  readonly #cache: NativeCache;
  readonly #atOnce: number;
  readonly #waiting: { readonly task: Task; readonly pages: number }[];
  #active: Active[] = [];
  #freePages: number;

  /** @throws MultiheadError INVALID_ARGUMENT: the cache would be larger than allowed · OUT_OF_MEMORY · DISPOSED */
  constructor(
    parts: RunnerParts,
    tasks: readonly Task[],
    choosing: Choosing,
    limits: { readonly maxCacheBytes: number; readonly signal: AbortSignal | undefined },
  ) {
    const { page } = parts.decoder;
    const { rows } = choosing;
    this.#parts = parts;
    this.#choosing = choosing;
    this.#signal = limits.signal;
    this.#waiting = tasks.map((task) => ({
      task,
      pages: pagesNeeded(
        { promptLength: task.prompt.length, maxNewTokens: task.maxNewTokens, rows },
        page,
      ),
    }));
    const needs = this.#waiting.map(({ pages }) => pages);
    const { pages, atOnce } = planCache(needs, rows, page, limits.maxCacheBytes);
    this.#atOnce = atOnce;
    this.#freePages = pages;
    this.#cache = parts.decoder.createCache(pages);
  }

  get cacheBytes(): number {
    return this.#cache.info.bytes;
  }

  /** One step of every running search. @returns whether any search has not ended */
  async step(): Promise<boolean> {
    throwIfAborted('generate', this.#signal);
    this.#parts.decoder.throwIfDisposed();
    await this.#admit();
    if (this.#active.length === 0) return false;
    const rules = this.#active.map((active) => this.#rulesOf(active));
    const choice = await this.#decode(rules);
    this.#parts.decoder.throwIfDisposed();
    const columns = choice.tokens.length / rules.flat().length;
    let row = 0;
    const advanced = this.#active.map((active, i) => {
      const rows = at(rules, i).map((rule, k) => choicesOf(choice, columns, row + k, rule));
      row += active.sequences.length;
      return active.task.search.advance(rows);
    });
    const continuations = await Promise.all(advanced);
    this.#parts.decoder.throwIfDisposed();
    this.#active = this.#active.filter((active, i) => this.#continue(active, at(continuations, i)));
    return this.#active.length + this.#waiting.length > 0;
  }

  /** Frees the cache. May be repeated. */
  dispose(): void {
    this.#parts.decoder.release(this.#cache);
  }

  /** Takes in what fits, in order: a large prompt is not overtaken. */
  async #admit(): Promise<void> {
    const admitted: Active[] = [];
    let tokens = 0;
    for (let [next] = this.#waiting; next; [next] = this.#waiting) {
      const { task, pages } = next;
      const length = task.prompt.length + (task.source?.length ?? 0);
      const isFull = this.#active.length + admitted.length >= this.#atOnce;
      if (isFull || pages > this.#freePages) break;
      if (tokens > 0 && tokens + length > PROMPT_TOKENS) break;
      this.#waiting.shift();
      this.#freePages -= pages;
      tokens += length;
      admitted.push({ task, pages, sequences: [], reads: [task.prompt] });
    }
    if (admitted.length === 0) return;
    const memories = await this.#encode(admitted);
    this.#parts.decoder.throwIfDisposed();
    const sequences = this.#cache.open(admitted.length);
    admitted.forEach((active, i) => {
      active.sequences = [at(sequences, i)];
      active.memory = memories[i];
    });
    this.#active.push(...admitted);
  }

  async #encode(admitted: readonly Active[]): Promise<readonly Float32Array[]> {
    const { encode } = this.#parts;
    if (!encode) return [];
    return await encode(admitted.map(({ task }) => task.source as Int32Array));
  }

  #rulesOf({ task, sequences }: Active): readonly Rule[] {
    const { prompt, search, maxNewTokens } = task;
    return sequences.map((_, k) =>
      this.#parts.rules.next({
        promptLength: prompt.length,
        length: prompt.length + at(search.rows, k).length,
        maxNewTokens,
        tokens: () => [...prompt, ...at(search.rows, k)],
      }),
    );
  }

  async #decode(rules: readonly (readonly Rule[])[]): Promise<NativeChoice> {
    const input = this.#input(rules.flat());
    const job = this.#cache.decode(input);
    this.#parts.running.track(job.done);
    const choice = await settle('generate', job, this.#signal);
    for (const active of this.#active) active.memory = undefined;
    return choice;
  }

  #input(rules: readonly Rule[]): NativeDecodeInput {
    const { tokens, offsets } = packed(this.#active.flatMap(({ reads }) => reads));
    const banned = packed(rules.map((rule) => this.#inVocabulary(rule.banned)));
    const { by } = this.#choosing;
    return {
      tokens,
      offsets,
      sequences: Int32Array.from(this.#active.flatMap(({ sequences }) => sequences)),
      ...this.#memory(),
      ...('width' in by
        ? { top: Math.min(by.width, this.#parts.decoder.vocabulary - mostOf(banned.offsets)) }
        : { sampling: this.#sampling(by) }),
      ...(banned.tokens.length > 0 && { banned: banned.tokens, bannedOffsets: banned.offsets }),
    };
  }

  #memory() {
    const { memoryWidth } = this.#parts.decoder;
    if (this.#active.every(({ memory }) => memory === undefined)) return {};
    const parts = this.#active.flatMap(({ memory, sequences }) =>
      sequences.map(() => memory ?? new Float32Array(0)),
    );
    const { values, offsets } = packRows(parts, memoryWidth);
    return { memory: values, memoryOffsets: offsets };
  }

  #sampling({ temperature, topK, topP }: Sampling): NativeSampling {
    const rows = this.#active.length;
    const isDrawn = temperature > 0;
    return {
      temperature: new Float32Array(rows).fill(temperature),
      topK: new Int32Array(rows).fill(topK),
      topP: new Float32Array(rows).fill(topP),
      uniform: Float64Array.from(this.#active, ({ task }) =>
        isDrawn ? uniform(task.seed, at(task.search.rows, 0).length) : 0,
      ),
    };
  }

  #inVocabulary(tokens: readonly number[]): readonly number[] {
    return tokens.filter((token) => token < this.#parts.decoder.vocabulary);
  }

  /** Gives each new row its parent's sequence, or a fork of it. @returns false: the search has ended */
  #continue(active: Active, rows: readonly Continuation[]): boolean {
    const kept = new Set(rows.map(({ parent }) => parent));
    const dropped = active.sequences.filter((_, k) => !kept.has(k));
    // Closed first, so that their pages are free for the forks.
    if (dropped.length > 0) this.#cache.close(Int32Array.from(dropped));
    if (rows.length === 0) {
      this.#freePages += active.pages;
      return false;
    }
    const taken = new Set<number>();
    active.sequences = rows.map(({ parent }) => {
      const sequence = at(active.sequences, parent);
      if (!taken.has(parent)) {
        taken.add(parent);
        return sequence;
      }
      return at(this.#cache.fork(Int32Array.of(sequence)), 0);
    });
    active.reads = rows.map(({ token }) => [token]);
    return true;
  }
}

/** What may follow a row, its rule applied. */
function choicesOf(
  { tokens, logProbabilities }: NativeChoice,
  columns: number,
  row: number,
  { forced }: Rule,
): Choices {
  // A forced token costs nothing: its log probability is 0.
  if (forced.length > 0) return { tokens: forced, logProbabilities: forced.map(() => 0) };
  const range = [row * columns, (row + 1) * columns] as const;
  return {
    tokens: [...tokens.subarray(...range)],
    logProbabilities: [...logProbabilities.subarray(...range)],
  };
}

function at<T>(values: ArrayLike<T>, i: number): T {
  if (i < 0 || i >= values.length) {
    throw new MultiheadError('INTERNAL', {
      where: 'generate',
      got: `row ${i} of ${values.length}`,
    });
  }
  return values[i] as T;
}

function mostOf(offsets: Int32Array): number {
  let most = 0;
  for (let i = 1; i < offsets.length; i += 1)
    most = Math.max(most, at(offsets, i) - at(offsets, i - 1));
  return most;
}
