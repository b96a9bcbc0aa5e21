/**
 * Batches across callers: the sequences of all concurrent calls share forwards.
 *
 * While batches run, sequences gather; the next batch takes one of each waiting call in turn until its
 * tokens are spent, so that a long call does not hold up a short one. Nothing is padded, so nothing is
 * gained by sorting, and a sequence's bits do not depend on its company.
 */

import type { Job } from './abort';
import { MultiheadError } from './errors';

/** Runs a batch: the vector of each sequence, in order. */
export type RunBatch<S> = (sequences: readonly S[]) => Job<readonly Float32Array[]>;

export interface BatcherOptions {
  /** Tokens after which a batch is full. A longer sequence is a batch of its own. */
  readonly batchTokens: number;
  /** Batches given to the native pool at once: one runs, one is ready when it ends. */
  readonly inFlight: number;
  /** Sequences that may wait; beyond them a call is OVERLOADED. */
  readonly maxQueued: number;
}

interface Sized {
  readonly length: number;
}

/** One call: its sequences in order, and what became of them. */
class Call<S> {
  readonly waiting: { sequence: S; index: number }[] = [];
  readonly results: (Float32Array | undefined)[] = [];
  readonly done: Promise<readonly Float32Array[]>;
  settled = false;
  #left = 0;
  #resolve!: (results: readonly Float32Array[]) => void;
  #reject!: (error: unknown) => void;

  constructor(sequences: readonly S[]) {
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Backwards, because pop takes from the end.
    for (let index = sequences.length - 1; index >= 0; index -= 1) {
      this.waiting.push({ sequence: sequences[index] as S, index });
    }
    this.#left = sequences.length;
    if (this.#left === 0) this.#settle(() => this.#resolve([]));
  }

  finish(index: number, result: Float32Array): void {
    this.results[index] = result;
    this.#left -= 1;
    if (this.#left === 0) this.#settle(() => this.#resolve(this.results as Float32Array[]));
  }

  fail(error: unknown): void {
    this.#settle(() => this.#reject(error));
  }

  #settle(how: () => void): void {
    if (this.settled) return;
    this.settled = true;
    this.waiting.length = 0;
    how();
  }
}

interface Item<S> {
  readonly call: Call<S>;
  readonly index: number;
  readonly sequence: S;
}

export class Batcher<S extends Sized> {
  readonly #run: RunBatch<S>;
  readonly #options: BatcherOptions;
  #calls: Call<S>[] = [];
  #running = new Set<{ items: readonly Item<S>[]; cancel(): void }>();
  #closed = false;

  constructor(run: RunBatch<S>, options: BatcherOptions) {
    this.#run = run;
    this.#options = options;
  }

  /** Sequences that wait for a batch. */
  get queued(): number {
    return this.#calls.reduce((sum, call) => sum + call.waiting.length, 0);
  }

  /**
   * Queues a call's sequences; `done` gives their vectors in order.
   *
   * @throws MultiheadError DISPOSED after close, OVERLOADED when too many sequences wait
   */
  submit(sequences: readonly S[]): Job<readonly Float32Array[]> {
    if (this.#closed) throw disposed();
    const waiting = this.queued;
    if (waiting > 0 && waiting + sequences.length > this.#options.maxQueued) {
      throw new MultiheadError('OVERLOADED', {
        where: 'encode',
        got: `${sequences.length} texts while ${waiting} wait`,
        expected: `at most ${this.#options.maxQueued} waiting`,
      });
    }
    const call = new Call(sequences);
    if (!call.settled) this.#calls.push(call);
    this.#fill();
    return { done: call.done, cancel: () => this.#cancel(call) };
  }

  /** What waits rejects with DISPOSED; what runs ends. */
  close(): void {
    this.#closed = true;
    const running = new Set(
      [...this.#running].flatMap(({ items }) => items.map(({ call }) => call)),
    );
    for (const call of this.#calls) {
      if (call.waiting.length > 0 || !running.has(call)) call.fail(disposed());
    }
    this.#calls = [];
  }

  #cancel(call: Call<S>): void {
    call.fail(new MultiheadError('ABORTED', { where: 'encode', got: 'cancelled' }));
    this.#calls = this.#calls.filter((other) => other !== call);
    for (const batch of this.#running) {
      if (batch.items.every((item) => item.call.settled)) batch.cancel();
    }
  }

  #fill(): void {
    while (this.#running.size < this.#options.inFlight) {
      const items = this.#nextItems();
      if (items.length === 0) return;
      this.#start(items);
    }
  }

  /** One sequence of each waiting call in turn, until the tokens are spent; the next batch goes on from there. */
  #nextItems(): Item<S>[] {
    const items: Item<S>[] = [];
    let room = this.#options.batchTokens;
    for (let call = this.#calls[0]; call; call = this.#calls[0]) {
      const next = call.waiting.at(-1);
      if (next && items.length > 0 && next.sequence.length > room) return items;
      this.#calls.shift();
      if (!next) continue;
      call.waiting.pop();
      room -= next.sequence.length;
      items.push({ call, ...next });
      if (call.waiting.length > 0) this.#calls.push(call);
    }
    return items;
  }

  #start(items: readonly Item<S>[]): void {
    let job: Job<readonly Float32Array[]>;
    try {
      job = this.#run(items.map(({ sequence }) => sequence));
    } catch (error) {
      this.#failed(items, error);
      return;
    }
    const batch = { items, cancel: () => job.cancel() };
    this.#running.add(batch);
    job.done
      .then(
        (vectors) => {
          items.forEach(({ call, index }, i) => {
            if (!call.settled) call.finish(index, vectors[i] as Float32Array);
          });
        },
        (error) => this.#failed(items, error),
      )
      .finally(() => {
        this.#running.delete(batch);
        this.#fill();
      });
  }

  /** A batch of several calls that failed is run again call by call: only the guilty one is told. */
  #failed(items: readonly Item<S>[], error: unknown): void {
    const calls = new Set(items.map(({ call }) => call).filter((call) => !call.settled));
    if (calls.size <= 1) {
      for (const call of calls) call.fail(error);
      return;
    }
    for (const call of calls) this.#start(items.filter((item) => item.call === call));
  }
}

function disposed(): MultiheadError {
  return new MultiheadError('DISPOSED', { where: 'encode', got: 'the model was disposed' });
}
