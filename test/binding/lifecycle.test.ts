// Models and jobs over time: dispose, abort, garbage collection, memory, concurrency, the event loop.
import { loadAddon, type NativeModel } from '../../lib/native';
import { expectError } from './support/errors';
import { collectGarbage } from './support/gc';
import { addonPath, makeBatch, makeModel, makeSlowWork } from './support/model.cjs';

const slow = makeSlowWork();
const slowOutputs = Int32Array.of(slow.last);

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('dispose', () => {
  test('later runs are refused, a second dispose is not', async () => {
    const { plan, weights, last } = makeModel();
    const model = await loadAddon().load(plan, weights).done;
    model.dispose();
    model.dispose();
    await expectError(
      () => model.run(makeBatch([3]), Int32Array.of(last)),
      'DISPOSED',
      'run: a disposed model, expected one in use',
    );
    expect(model.info.width).toBe(32);
  });

  test('running work finishes', async () => {
    const model = await loadAddon().load(slow.plan, slow.weights).done;
    const expected = await model.run(slow.batch, slowOutputs).done;
    const jobs = [1, 2, 3].map(() => model.run(slow.batch, slowOutputs).done);
    await turn();
    model.dispose();
    for (const result of await Promise.all(jobs)) expect(result).toEqual(expected);
  });

  test('a getter that disposes the model it is read for', async () => {
    const { plan, weights, last } = makeModel();
    const model = await loadAddon().load(plan, weights).done;
    const batch = makeBatch([3]);
    const hostile = {
      ...batch,
      get types() {
        model.dispose();
        return batch.types;
      },
    };
    await expectError(() => model.run(hostile, Int32Array.of(last)), 'DISPOSED', 'run');
  });
});

describe('setters on the prototypes of all objects', () => {
  const { plan, weights, last } = makeModel();
  const batch = makeBatch([3, 5]);
  const outputs = Int32Array.of(1, last);
  let called = 0;

  /** Runs `f` while every listed property of `prototype` has a setter that calls `hook`. */
  async function withSetters<T>(
    prototype: object,
    names: readonly string[],
    hook: () => void,
    f: () => Promise<T>,
  ): Promise<T> {
    called = 0;
    const set = () => {
      called += 1;
      hook();
    };
    for (const name of names) Object.defineProperty(prototype, name, { configurable: true, set });
    try {
      return await f();
    } finally {
      for (const name of names) Reflect.deleteProperty(prototype, name);
    }
  }

  test('cannot dispose a model while its job is made', async () => {
    const model = await loadAddon().load(plan, weights).done;
    const expected = await model.run(batch, outputs).done;
    const names = ['done', 'cancel'];
    const { done } = await withSetters(
      Object.prototype,
      names,
      () => model.dispose(),
      async () => ({ ...model.run(batch, outputs) }),
    );
    expect(called).toBe(0);
    expect(await done).toEqual(expected);
    model.dispose();
  });

  test('cannot reach the memory of results that are still written', async () => {
    const model = await loadAddon().load(plan, weights).done;
    const expected = await model.run(batch, outputs).done;
    const result = await withSetters(
      Array.prototype,
      ['0', '1'],
      () => {},
      () => model.run(batch, outputs).done,
    );
    expect(called).toBe(0);
    expect(result).toEqual(expected);
    model.dispose();
  });

  test('do not swallow what an error says', async () => {
    const names = ['code', 'where', 'got', 'expected'];
    const raw = require(addonPath());
    let thrown: Record<string, unknown> = {};
    await withSetters(
      Error.prototype,
      names,
      () => {},
      async () => {
        try {
          raw.load({ ...plan, width: 7.5 }, weights);
        } catch (error) {
          thrown = { ...(error as object) };
        }
      },
    );
    expect(called).toBe(0);
    expect(thrown).toEqual({
      code: 'INVALID_ARGUMENT',
      where: 'plan.width',
      got: '7.5',
      expected: 'a positive integer',
    });
  });
});

describe('garbage collection', () => {
  test('a model that nobody holds finishes its work', async () => {
    let model: NativeModel | undefined = await loadAddon().load(slow.plan, slow.weights).done;
    const expected = await model.run(slow.batch, slowOutputs).done;
    const job = model.run(slow.batch, slowOutputs).done;
    model = undefined;
    await collectGarbage();
    expect(await job).toEqual(expected);
  });

  test('V8 hears how much memory models hold, and collects those that nobody holds', async () => {
    const { plan, weights } = makeModel({ width: 256, inner: 1024, layers: 2 });
    let collected = 0;
    const registry = new FinalizationRegistry(() => {
      collected += 1;
    });
    // Hundreds of megabytes behind small objects: without the report there is nothing to collect for.
    for (let i = 0; i < 60; i++) {
      const model = await loadAddon().load(plan, weights).done;
      expect(model.info.residentBytes).toBeGreaterThan(6e6);
      registry.register(model, undefined);
      await turn();
    }
    expect(collected).toBeGreaterThan(10);
  });

  test('a hundred loads and disposes leave memory flat', async () => {
    const { plan, weights, last } = makeModel({ width: 256, inner: 1024, layers: 4 });
    const bytes = weights.tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);
    expect(bytes).toBeGreaterThan(12e6);
    const once = async () => {
      const model = await loadAddon().load(plan, weights).done;
      await model.run(makeBatch([20, 30]), Int32Array.of(last)).done;
      model.dispose();
    };
    for (let i = 0; i < 20; i++) await once();
    await collectGarbage();
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 80; i++) await once();
    await collectGarbage();
    // Eighty models that leaked would be eighty times `bytes`, a gigabyte.
    expect(process.memoryUsage().rss - before).toBeLessThan(bytes * 10);
  });
});

describe('abort', () => {
  let model: NativeModel;
  beforeAll(async () => {
    model = await loadAddon().load(slow.plan, slow.weights).done;
  });
  afterAll(() => model.dispose());

  test('at once', async () => {
    const job = model.run(slow.batch, slowOutputs);
    job.cancel();
    await expectError(() => job.done, 'ABORTED', 'cancelled');
  });

  test('while it runs', async () => {
    const job = model.run(slow.batch, slowOutputs);
    for (let i = 0; i < 20; i++) await turn();
    job.cancel();
    job.cancel();
    await expectError(() => job.done, 'ABORTED', 'cancelled');
  });

  test('while it waits behind others', async () => {
    const jobs = Array.from({ length: 6 }, () => model.run(slow.batch, slowOutputs));
    const settled: number[] = [];
    const outcomes = jobs.map(({ done }, i) =>
      done.then(
        () => settled.push(i),
        () => settled.push(i),
      ),
    );
    jobs[5]?.cancel();
    await expectError(() => jobs[5]?.done, 'ABORTED', 'cancelled');
    expect(settled).not.toContain(4); // it did not wait for those before it
    for (const job of jobs.slice(1, 5)) job.cancel();
    await Promise.all(outcomes);
    await expect(jobs[0]?.done).resolves.toHaveLength(1);
    for (const job of jobs.slice(1, 5)) await expectError(() => job.done, 'ABORTED', 'cancelled');
  });

  test('after it has settled changes nothing', async () => {
    const job = model.run(slow.batch, slowOutputs);
    const result = await job.done;
    job.cancel();
    expect(await job.done).toBe(result);
  });

  test('of a load', async () => {
    const load = loadAddon().load(slow.plan, slow.weights);
    load.cancel();
    await expectError(() => load.done, 'ABORTED', 'cancelled');
    const other = loadAddon().load(slow.plan, slow.weights);
    for (let i = 0; i < 3; i++) await turn();
    other.cancel();
    await expectError(() => other.done, 'ABORTED', 'cancelled');
  });

  test('leaves the model usable', async () => {
    const expected = await model.run(slow.batch, slowOutputs).done;
    const job = model.run(slow.batch, slowOutputs);
    await turn();
    job.cancel();
    await expectError(() => job.done, 'ABORTED', 'cancelled');
    expect(await model.run(slow.batch, slowOutputs).done).toEqual(expected);
  });
});

describe('concurrency', () => {
  test.each([1, 2, 5])(
    'many runs at once equal the same runs in a row, %p threads',
    async (threads) => {
      const { plan, weights, last } = makeModel();
      const outputs = Int32Array.of(1, last);
      const model = await loadAddon().load(plan, weights, { threads }).done;
      const batches = Array.from({ length: 40 }, (_, i) =>
        makeBatch([i % 7, 1 + i, (i * 13) % 90], i),
      );
      const inARow: Float32Array[][] = [];
      for (const batch of batches) inARow.push(await model.run(batch, outputs).done);
      const atOnce = await Promise.all(batches.map((batch) => model.run(batch, outputs).done));
      expect(atOnce).toEqual(inARow);
      model.dispose();
    },
  );

  test('models of several kinds share the pool', async () => {
    const models = await Promise.all(
      [1, 2, 3, 4].map(async (seed) => {
        const { plan, weights, last } = makeModel({ seed, layers: seed });
        const model = await loadAddon().load(plan, weights).done;
        return { model, outputs: Int32Array.of(last) };
      }),
    );
    const batch = makeBatch([9, 4]);
    const alone: Float32Array[][] = [];
    for (const { model, outputs } of models) alone.push(await model.run(batch, outputs).done);
    const together = await Promise.all(
      Array.from({ length: 60 }, (_, i) => {
        const { model, outputs } = models[i % 4] as (typeof models)[number];
        return model.run(batch, outputs).done;
      }),
    );
    together.forEach((result, i) => {
      expect(result).toEqual(alone[i % 4]);
    });
    for (const { model } of models) model.dispose();
  });

  test('the event loop turns while a forward runs', async () => {
    const model = await loadAddon().load(slow.plan, slow.weights).done;
    let settled = false;
    let turns = 0;
    const job = model.run(slow.batch, slowOutputs).done.then(() => {
      settled = true;
    });
    let timers = 0;
    const timer = setInterval(() => {
      timers += 1;
    }, 1);
    while (!settled) {
      await turn();
      turns += 1;
    }
    clearInterval(timer);
    await job;
    expect(turns).toBeGreaterThan(20);
    expect(timers).toBeGreaterThan(1);
    model.dispose();
  });
});
