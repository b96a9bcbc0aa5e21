/**
 * A native model that is a table: the logits after a sequence are last[its last token] + before[the one before it].
 *
 * Its cache counts pages as a native one does, shared ones once, and refuses what a native one refuses.
 */

import { MultiheadError } from '../../../lib/errors';
import type {
  NativeCache,
  NativeCacheInfo,
  NativeChoice,
  NativeDecodeInput,
  NativeDecodeJob,
  NativeModel,
} from '../../../lib/native';
import type { Plan } from '../../../lib/plan';

export interface Table {
  readonly last: readonly (readonly number[])[];
  readonly before: readonly (readonly number[])[];
}

export const PAGE_TOKENS = 4;
export const PAGE_BYTES = 1000;

export function tablePlan(vocabulary: number, positions?: number): Plan {
  const tokens = { tensor: 'tokens' };
  const table = { tensor: 'positions' };
  return {
    width: 8,
    blocks: [
      {
        block: 'embed',
        vocabulary,
        tokens,
        ...(positions && { positions: { kind: 'learned' as const, table, count: positions } }),
      },
      { block: 'select' },
      { block: 'project', width: vocabulary, activation: 'identity', linear: { weight: tokens } },
    ],
  };
}

/** What happened, for tests to look at. */
export interface Log {
  /** Pages in use when most were. */
  mostPages: number;
  /** Sequences of each step. */
  readonly steps: number[];
  openCaches: number;
  cancelled: number;
}

interface Sequence {
  tokens: number[];
  /** Ids of pages; one that several sequences name is shared. */
  pages: number[];
}

/** Made by `tableModel`: `hold` makes every decode wait until it resolves. */
export interface TableModel extends NativeModel {
  readonly log: Log;
  hold?: Promise<void>;
}

export function tableModel(table: Table): TableModel {
  const log: Log = { mostPages: 0, steps: [], openCaches: 0, cancelled: 0 };
  let disposed = false;
  const model: TableModel = {
    log,
    info: {
      isa: 'table',
      threads: 1,
      residentBytes: 0,
      width: 8,
      layers: 0,
      parameters: 0,
      unusedTensors: [],
    },
    createCache: (pages) => {
      if (disposed) throw new MultiheadError('DISPOSED', { where: 'model', got: 'disposed' });
      return new TableCache(table, pages, log, () => model.hold);
    },
    run: () => {
      throw new Error('a table has no forward');
    },
    dispose: () => {
      disposed = true;
    },
  };
  return model;
}

class TableCache implements NativeCache {
  readonly #sequences = new Map<number, Sequence>();
  /** How many sequences hold a page. */
  readonly #holders = new Map<number, number>();
  #nextSequence = 1;
  #nextPage = 1;
  #busy = false;
  #disposed = false;

  constructor(
    readonly table: Table,
    readonly pages: number,
    readonly log: Log,
    readonly hold: () => Promise<void> | undefined,
  ) {
    log.openCaches += 1;
  }

  get info(): NativeCacheInfo {
    const freePages = this.pages - this.#used();
    return {
      pageTokens: PAGE_TOKENS,
      pages: this.pages,
      freePages,
      bytes: this.pages * PAGE_BYTES,
    };
  }

  open(count: number): Int32Array {
    this.#check();
    return Int32Array.from({ length: count }, () => this.#add({ tokens: [], pages: [] }));
  }

  fork(sequences: Int32Array): Int32Array {
    this.#check();
    return sequences.map((id) => {
      const { tokens, pages } = this.#sequence(id);
      for (const page of pages) this.#holders.set(page, (this.#holders.get(page) as number) + 1);
      return this.#add({ tokens: [...tokens], pages: [...pages] });
    });
  }

  close(sequences: Int32Array): void {
    this.#check();
    for (const id of sequences) {
      for (const page of this.#sequence(id).pages) this.#release(page);
      this.#sequences.delete(id);
    }
  }

  decode(input: NativeDecodeInput): NativeDecodeJob {
    this.#check();
    this.#busy = true;
    this.log.steps.push(input.sequences.length);
    let cancel = () => {};
    const cancelled = new Promise<never>((_, reject) => {
      cancel = () => {
        this.log.cancelled += 1;
        reject(new MultiheadError('ABORTED', { where: 'decode', got: 'cancelled' }));
      };
    });
    cancelled.catch(() => {});
    const work = (async () => {
      await this.hold();
      return this.#choose(input);
    })();
    const done = Promise.race([work, cancelled]).finally(() => {
      this.#busy = false;
    });
    return { done, cancel };
  }

  dispose(): void {
    if (!this.#disposed) this.log.openCaches -= 1;
    this.#disposed = true;
  }

  #choose(input: NativeDecodeInput): NativeChoice {
    const tokens: number[] = [];
    const logProbabilities: number[] = [];
    input.sequences.forEach((id, b) => {
      const added = input.tokens.subarray(input.offsets[b], input.offsets[b + 1]);
      if (added.length === 0) throw new Error('a sequence without a new token');
      const sequence = this.#sequence(id);
      for (const token of added) this.#append(sequence, token);
      const all = logSoftmax(this.table, sequence.tokens);
      const { banned, bannedOffsets } = input;
      const out = new Set(banned?.subarray(bannedOffsets?.[b], bannedOffsets?.[b + 1]));
      const allowed = [...all.keys()].filter((token) => !out.has(token));
      const best = allowed.sort((x, y) => (all[y] as number) - (all[x] as number) || x - y);
      const picked =
        input.top === undefined ? [drawn(best, all, input, b)] : best.slice(0, input.top);
      if (picked.length < (input.top ?? 1)) throw new Error(`fewer than ${input.top} tokens`);
      tokens.push(...picked);
      logProbabilities.push(...picked.map((token) => all[token] as number));
    });
    return {
      tokens: Int32Array.from(tokens),
      logProbabilities: Float32Array.from(logProbabilities),
    };
  }

  #append(sequence: Sequence, token: number): void {
    const last = sequence.pages.at(-1);
    if (sequence.tokens.length % PAGE_TOKENS === 0) sequence.pages.push(this.#newPage());
    else if (last !== undefined && (this.#holders.get(last) as number) > 1) {
      sequence.pages[sequence.pages.length - 1] = this.#newPage();
      this.#release(last);
    }
    sequence.tokens.push(token);
    this.log.mostPages = Math.max(this.log.mostPages, this.#used());
  }

  #newPage(): number {
    if (this.#used() >= this.pages) {
      throw new MultiheadError('OUT_OF_MEMORY', { where: 'cache', got: 'no free page' });
    }
    this.#nextPage += 1;
    this.#holders.set(this.#nextPage, 1);
    return this.#nextPage;
  }

  #release(page: number): void {
    const holders = (this.#holders.get(page) as number) - 1;
    if (holders === 0) this.#holders.delete(page);
    else this.#holders.set(page, holders);
  }

  #used(): number {
    return this.#holders.size;
  }

  #add(sequence: Sequence): number {
    this.#nextSequence += 1;
    this.#sequences.set(this.#nextSequence, sequence);
    return this.#nextSequence;
  }

  #sequence(id: number): Sequence {
    const sequence = this.#sequences.get(id);
    if (!sequence) throw new Error(`no open sequence ${id}`);
    return sequence;
  }

  #check(): void {
    if (this.#disposed) throw new MultiheadError('DISPOSED', { where: 'cache', got: 'disposed' });
    if (this.#busy) throw new MultiheadError('INVALID_ARGUMENT', { where: 'cache', got: 'busy' });
  }
}

function logSoftmax({ last, before }: Table, tokens: readonly number[]): number[] {
  const first = last[tokens.at(-1) as number] as readonly number[];
  const second = before[tokens.at(-2) ?? last.length] as readonly number[];
  const logits = first.map((value, i) => Math.fround(value + (second[i] as number)));
  const largest = Math.max(...logits);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
  return logits.map((logit) => logit - largest - Math.log(sum));
}

/** By temperature alone: the other settings are the native side's to test. */
function drawn(
  best: readonly number[],
  all: readonly number[],
  { sampling }: NativeDecodeInput,
  row: number,
): number {
  const temperature = sampling?.temperature[row] ?? 0;
  if (temperature === 0) return best[0] as number;
  const weights = best.map((token) => Math.exp((all[token] as number) / temperature));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  let left = (sampling?.uniform[row] as number) * sum;
  const place = weights.findIndex((weight) => {
    left -= weight;
    return left < 0;
  });
  return best[place] as number;
}
