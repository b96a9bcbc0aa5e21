/** Batches across callers: turns, token budget, cancelling, failures, limits, and any schedule of these. */

import fc from 'fast-check';
import { Batcher, type BatcherOptions } from '../../lib/batching';
import { expectError } from '../binding/support/errors';

interface Text {
  readonly id: string;
  readonly length: number;
}

interface Batch {
  readonly ids: string[];
  cancelled: boolean;
  finish(): void;
  fail(error?: unknown): void;
}

const texts = (caller: string, count: number, length = 1): Text[] =>
  Array.from({ length: count }, (_, i) => ({ id: `${caller}${i}`, length }));

/** What the engine would compute of a text. */
const vector = (id: string) => Float32Array.from(id, (char) => char.charCodeAt(0));
const idOf = (row: Float32Array | undefined) => String.fromCharCode(...(row ?? []));

/** A batcher whose batches end when the test says so. */
class Bench {
  readonly batches: Batch[] = [];
  readonly batcher: Batcher<Text>;
  /** Texts at which a batch throws before it starts, as a malformed argument does. */
  readonly poison = new Set<string>();

  constructor(options: Partial<BatcherOptions> = {}) {
    this.batcher = new Batcher((sequences) => this.#run(sequences), {
      batchTokens: 4,
      inFlight: 1,
      maxQueued: Number.POSITIVE_INFINITY,
      ...options,
    });
  }

  get ids(): string[][] {
    return this.batches.map(({ ids }) => ids);
  }

  submit(sequences: readonly Text[]) {
    const job = this.batcher.submit(sequences);
    const done = job.done.then((rows) => rows.map(idOf));
    done.catch(() => {});
    return { done, cancel: () => job.cancel() };
  }

  /** Ends batches, the ones that this starts too, until none is left. */
  async drain(): Promise<void> {
    for (let i = 0; i < this.batches.length; i += 1) {
      this.batches[i]?.finish();
      await settled();
    }
  }

  #run(sequences: readonly Text[]) {
    const ids = sequences.map(({ id }) => id);
    if (ids.some((id) => this.poison.has(id))) throw new Error(`poison in ${ids}`);
    let finish!: () => void;
    let fail!: (error?: unknown) => void;
    const done = new Promise<Float32Array[]>((resolve, reject) => {
      finish = () => resolve(ids.map(vector));
      fail = (error = new Error('broken')) => reject(error);
    });
    const batch = { ids, cancelled: false, finish, fail };
    this.batches.push(batch);
    const cancel = () => {
      batch.cancelled = true;
      fail(new Error('cancelled'));
    };
    return { done, cancel };
  }
}

/** After all promise reactions that are due. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('turns', () => {
  test('each waiting call gives one text in turn', async () => {
    const bench = new Bench();
    bench.submit(texts('x', 1));
    bench.submit(texts('a', 5));
    bench.submit(texts('b', 1));
    bench.submit(texts('c', 2));
    await bench.drain();
    expect(bench.ids).toEqual([['x0'], ['a0', 'b0', 'c0', 'a1'], ['c1', 'a2', 'a3', 'a4']]);
  });

  test('a batch goes on where the last one stopped, so that nobody starves', async () => {
    const bench = new Bench();
    bench.submit(texts('x', 1));
    // Each text fills a batch.
    for (const caller of ['a', 'b', 'c']) bench.submit(texts(caller, 3, 4));
    await bench.drain();
    expect(bench.ids.flat()).toEqual(['x0', 'a0', 'b0', 'c0', 'a1', 'b1', 'c1', 'a2', 'b2', 'c2']);
  });

  test('a late short call passes a long one', async () => {
    const bench = new Bench();
    bench.submit(texts('a', 100, 3));
    const short = bench.submit(texts('b', 1, 3));
    for (const _ of [0, 1, 2]) {
      bench.batches.at(-1)?.finish();
      await settled();
    }
    expect(await short.done).toEqual(['b0']);
    expect(bench.batches.length).toBeLessThan(6);
  });
});

describe('the token budget', () => {
  test('fills batches up to it and no further', async () => {
    const bench = new Bench({ batchTokens: 10 });
    bench.submit(texts('x', 1));
    bench.submit([4, 4, 2, 1, 10, 3].map((length, i) => ({ id: `a${i}`, length })));
    await bench.drain();
    expect(bench.ids.slice(1)).toEqual([['a0', 'a1', 'a2'], ['a3'], ['a4'], ['a5']]);
  });

  test('a text beyond it is a batch of its own', async () => {
    const bench = new Bench();
    const { done } = bench.submit([...texts('a', 1, 99), ...texts('b', 1)]);
    await bench.drain();
    expect(bench.ids).toEqual([['a0'], ['b0']]);
    expect(await done).toEqual(['a0', 'b0']);
  });

  test('as many batches as may be are in flight', async () => {
    const bench = new Bench({ inFlight: 2 });
    bench.submit(texts('a', 3, 4));
    expect(bench.ids).toEqual([['a0'], ['a1']]);
    bench.batches[1]?.finish();
    await settled();
    expect(bench.ids).toEqual([['a0'], ['a1'], ['a2']]);
  });
});

describe('failures', () => {
  const callers = (bench: Bench) => {
    bench.submit(texts('x', 1));
    return ['a', 'b', 'c'].map((caller) => bench.submit(texts(caller, 1)).done);
  };

  test('only the call is told whose batch fails alone', async () => {
    const bench = new Bench();
    const [a, b, c] = callers(bench);
    bench.batches[0]?.finish();
    await settled();
    bench.batches[1]?.fail();
    await settled();
    expect(bench.ids.slice(2)).toEqual([['a0'], ['b0'], ['c0']]);
    bench.batches[3]?.fail(new Error('guilty'));
    await bench.drain();
    await expect(b).rejects.toThrow('guilty');
    expect([await a, await c]).toEqual([['a0'], ['c0']]);
  });

  test('likewise where a batch does not even start', async () => {
    const bench = new Bench();
    bench.poison.add('b0');
    const [a, b, c] = callers(bench);
    await bench.drain();
    await expect(b).rejects.toThrow('poison in b0');
    expect([await a, await c]).toEqual([['a0'], ['c0']]);
  });

  test('the rest of a failed call does not run', async () => {
    const bench = new Bench();
    const { done } = bench.submit(texts('a', 3, 4));
    bench.batches[0]?.fail();
    await expect(done).rejects.toThrow('broken');
    await settled();
    expect(bench.ids).toEqual([['a0']]);
    expect(bench.batcher.queued).toBe(0);
  });
});

describe('cancelling', () => {
  test('a waiting call never runs', async () => {
    const bench = new Bench();
    bench.submit(texts('x', 1));
    const a = bench.submit(texts('a', 2));
    a.cancel();
    await expectError(() => a.done, 'ABORTED', 'cancelled');
    await bench.drain();
    expect(bench.ids).toEqual([['x0']]);
  });

  test('a running batch is cancelled when nobody else is in it', async () => {
    const bench = new Bench();
    bench.submit(texts('x', 1));
    const [a, b] = [bench.submit(texts('a', 1)), bench.submit(texts('b', 1))];
    bench.batches[0]?.finish();
    await settled();
    a.cancel();
    expect(bench.batches[1]?.cancelled).toBe(false);
    b.cancel();
    expect(bench.batches[1]?.cancelled).toBe(true);
    await expectError(() => b.done, 'ABORTED', 'cancelled');
  });

  test('afterwards, twice, or with nothing left does nothing', async () => {
    const bench = new Bench();
    const a = bench.submit(texts('a', 1));
    await bench.drain();
    a.cancel();
    a.cancel();
    expect(await a.done).toEqual(['a0']);
    const next = bench.submit(texts('b', 1));
    await bench.drain();
    expect(await next.done).toEqual(['b0']);
  });
});

describe('limits', () => {
  test('OVERLOADED when more would wait than may; a call alone may be longer', async () => {
    const bench = new Bench({ maxQueued: 2, batchTokens: 1 });
    bench.submit(texts('a', 4));
    expect(bench.batcher.queued).toBe(3);
    await expectError(() => bench.submit(texts('b', 1)), 'OVERLOADED', '1 texts while 3 wait');
    for (const _ of [0, 1]) {
      bench.batches.at(-1)?.finish();
      await settled();
    }
    expect(bench.batcher.queued).toBe(1);
    bench.submit(texts('c', 1));
    await expectError(() => bench.submit(texts('d', 1)), 'OVERLOADED', 'at most 2 waiting');
  });

  test('a call of no texts gives no vectors at once', async () => {
    const bench = new Bench();
    expect(await bench.submit([]).done).toEqual([]);
    expect(bench.ids).toEqual([]);
  });
});

describe('a call whose texts come bit by bit', () => {
  test('waits with all of them from the start, and has one turn at a time', async () => {
    const bench = new Bench({ maxQueued: 10 });
    const call = bench.batcher.open(9);
    expect(bench.batcher.queued).toBe(9);
    await expectError(() => bench.submit(texts('b', 2)), 'OVERLOADED', '2 texts while 9 wait');
    call.add(texts('x', 1));
    call.add(texts('a', 4));
    call.add(texts('c', 4));
    bench.submit(texts('b', 1));
    await bench.drain();
    expect((await call.done).map(idOf)).toEqual([
      ...['x0', 'a0', 'a1', 'a2', 'a3', 'c0', 'c1', 'c2', 'c3'],
    ]);
    expect(bench.ids[1]).toEqual(['a0', 'b0', 'a1', 'a2']);
    expect(bench.batcher.queued).toBe(0);
  });

  test('may run dry and go on', async () => {
    const bench = new Bench();
    const call = bench.batcher.open(2);
    call.add(texts('a', 1));
    await bench.drain();
    expect([call.settled, bench.batcher.queued]).toEqual([false, 1]);
    call.add(texts('b', 1));
    bench.batches[1]?.finish();
    expect((await call.done).map(idOf)).toEqual(['a0', 'b0']);
  });

  test('is DISPOSED by close, and what comes later is dropped', async () => {
    const bench = new Bench();
    const call = bench.batcher.open(2);
    bench.batcher.close();
    call.add(texts('a', 2));
    await expectError(() => call.done, 'DISPOSED', 'disposed');
    expect(bench.ids).toEqual([]);
  });
});

test('after close what waits is DISPOSED, what runs ends, and nothing is taken', async () => {
  const bench = new Bench();
  const running = bench.submit(texts('a', 1));
  const half = bench.submit(texts('b', 2, 4));
  bench.batcher.close();
  bench.batcher.close();
  await expectError(() => half.done, 'DISPOSED', 'disposed');
  await expectError(() => bench.submit([]), 'DISPOSED', 'disposed');
  await bench.drain();
  expect(await running.done).toEqual(['a0']);
  expect(bench.ids).toEqual([['a0']]);
});

test('on any schedule every call settles once, with its own vectors', async () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('submit' as const), n: fc.nat(6) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('finish' as const), n: fc.nat() }) },
    fc.record({ do: fc.constant('fail' as const), n: fc.nat() }),
    fc.record({ do: fc.constant('cancel' as const), n: fc.nat() }),
    fc.record({ do: fc.constant('poison' as const), n: fc.nat() }),
  );
  const property = fc.asyncProperty(
    fc.array(step, { maxLength: 40 }),
    fc.integer({ min: 1, max: 3 }),
    fc.infiniteStream(fc.nat(7)),
    async (steps, inFlight, lengths) => {
      const bench = new Bench({ inFlight, batchTokens: 6 });
      const calls: { ids: string[]; cancel(): void; outcomes: unknown[] }[] = [];
      for (const { do: what, n } of steps) {
        if (what === 'submit') {
          const caller = String.fromCharCode(97 + calls.length);
          const list = texts(caller, n).map(({ id }) => ({
            id,
            length: lengths.next().value as number,
          }));
          const { done, cancel } = bench.submit(list);
          const call = { ids: list.map(({ id }) => id), cancel, outcomes: [] as unknown[] };
          const note = (outcome: unknown) => call.outcomes.push(outcome);
          done.then(note, note);
          calls.push(call);
        } else if (what === 'cancel') calls[n % (calls.length || 1)]?.cancel();
        else if (what === 'poison') bench.poison.add(`${String.fromCharCode(97 + (n % 9))}0`);
        else bench.batches[n % (bench.batches.length || 1)]?.[what]();
        if (n % 2 === 0) await settled();
      }
      await bench.drain();
      for (const { ids, outcomes } of calls) {
        expect(outcomes).toHaveLength(1);
        if (!(outcomes[0] instanceof Error)) expect(outcomes[0]).toEqual(ids);
      }
      expect(bench.batcher.queued).toBe(0);
    },
  );
  await fc.assert(property, { seed: 4711, numRuns: 400 });
});
