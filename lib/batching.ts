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
  /** What messages name the calls. Default: 'encode'. */
  readonly name?: string;
}

interface Sized {
  readonly length: number;
}

/** A call that has been let in; its sequences come by `add`, in order and bit by bit. */
export interface OpenCall<S> extends Job<readonly Float32Array[]> {
  /** Whether it has ended, well or not; what is added then is dropped. */
  readonly settled: boolean;
  add(sequences: readonly S[]): void;
}

/** One call: its sequences in order, and what became of them. */
class Call<S> {
  readonly results: Float32Array[] = [];
  readonly done: Promise<readonly Float32Array[]>;
  settled = false;
  readonly #sequences: S[] = [];
  readonly #count: number;
  #taken = 0;
  #finished = 0;
  #resolve!: (results: readonly Float32Array[]) => void;
  #reject!: (error: unknown) => void;

  constructor(count: number) {
    this.#count = count;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    if (count === 0) this.#settle(() => this.#resolve([]));
  }

  /** Sequences that no batch has taken, those still to come included. */
  get waiting(): number {
    return this.settled ? 0 : this.#count - this.#taken;
  }

  /** The sequence whose turn is next, where one has come. */
  get next(): S | undefined {
    return this.settled ? undefined : this.#sequences[this.#taken];
  }

  take(sequence: S): Item<S> {
    const index = this.#taken;
    this.#taken += 1;
    return { call: this, index, sequence };
  }

  add(sequences: readonly S[]): void {
    for (const sequence of sequences) this.#sequences.push(sequence);
  }

  finish(index: number, result: Float32Array): void {
    this.results[index] = result;
    this.#finished += 1;
    if (this.#finished === this.#count) this.#settle(() => this.#resolve(this.results));
  }

  fail(error: unknown): void {
    this.#settle(() => this.#reject(error));
  }

  #settle(how: () => void): void {
    if (this.settled) return;
    this.settled = true;
    this.#sequences.length = 0;
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
  readonly #name: string;
  /** Calls that have not ended. */
  readonly #open = new Set<Call<S>>();
  /** Those of them whose next sequence has come, in the order of their turns. */
  #calls: Call<S>[] = [];
  #running = new Set<{ items: readonly Item<S>[]; cancel(): void }>();
  #closed = false;

  constructor(run: RunBatch<S>, options: BatcherOptions) {
    this.#run = run;
    this.#options = options;
    this.#name = options.name ?? 'encode';
  }

  /** Sequences that wait for a batch. */
  get queued(): number {
    let sum = 0;
    for (const call of this.#open) sum += call.waiting;
    return sum;
  }

  /**
   * Lets a call of `count` sequences in, all of which wait from now on; `done` gives their vectors in order.
   *
   * @throws MultiheadError DISPOSED after close, OVERLOADED when too many sequences wait
   */
  open(count: number): OpenCall<S> {
    if (this.#closed) throw this.#disposed();
    const waiting = this.queued;
    if (waiting > 0 && waiting + count > this.#options.maxQueued) {
      throw new MultiheadError('OVERLOADED', {
        where: this.#name,
        got: `${count} texts while ${waiting} wait`,
        expected: `at most ${this.#options.maxQueued} waiting`,
      });
    }
    const call = new Call<S>(count);
    this.#open.add(call);
    const forget = () => this.#open.delete(call);
    call.done.then(forget, forget);
    return {
      done: call.done,
      get settled() {
        return call.settled;
      },
      add: (sequences) => this.#add(call, sequences),
      cancel: () => this.#cancel(call),
    };
  }

  /** {@link open} for sequences that have all come. */
  submit(sequences: readonly S[]): Job<readonly Float32Array[]> {
    const call = this.open(sequences.length);
    call.add(sequences);
    return call;
  }

  #add(call: Call<S>, sequences: readonly S[]): void {
    if (call.settled) return;
    const hasTurn = call.next !== undefined;
    call.add(sequences);
    if (!hasTurn && call.next !== undefined) this.#calls.push(call);
    this.#fill();
  }

  /** What waits rejects with DISPOSED; what runs ends. */
  close(): void {
    this.#closed = true;
    for (const call of this.#open) {
      if (call.waiting > 0) call.fail(this.#disposed());
    }
    this.#calls = [];
  }

  #cancel(call: Call<S>): void {
    call.fail(new MultiheadError('ABORTED', { where: this.#name, got: 'cancelled' }));
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
      const { next } = call;
      if (next && items.length > 0 && next.length > room) return items;
      this.#calls.shift();
      if (!next) continue;
      room -= next.length;
      items.push(call.take(next));
      if (call.next) this.#calls.push(call);
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

  #disposed(): MultiheadError {
    return new MultiheadError('DISPOSED', { where: this.#name, got: 'the model was disposed' });
  }
}
