// What run() takes and refuses, and that a run keeps nothing of the caller's arrays.
import { loadAddon, type NativeBatch, type NativeModel } from '../../lib/native';
import { expectError } from './support/errors';
import { makeBatch, makeModel } from './support/model.cjs';

const { plan, weights, last } = makeModel();
const outputs = Int32Array.of(last);
let model: NativeModel;

beforeAll(async () => {
  model = await loadAddon().load(plan, weights).done;
});
afterAll(() => model.dispose());

function run(batch: unknown, blocks: unknown = outputs): Promise<Float32Array[]> {
  return model.run(batch as NativeBatch, blocks as Int32Array).done;
}

/** Expects a run of a good batch with some properties replaced to be refused. */
function refuse(properties: object, text: string) {
  return expectError(() => run({ ...makeBatch([3, 5]), ...properties }), 'INVALID_ARGUMENT', text);
}

test('a good batch runs', async () => {
  const [pooled] = await run(makeBatch([3, 5]));
  expect(pooled).toBeInstanceOf(Float32Array);
  expect(pooled).toHaveLength(2 * 32);
  expect(pooled?.every(Number.isFinite)).toBe(true);
});

describe('kinds of values', () => {
  test.each([
    [undefined, 'batch: undefined, expected an object'],
    [null, 'batch: null, expected an object'],
    [42, 'batch: 42, expected an object'],
    [{}, 'tokens: undefined, expected an Int32Array'],
  ])('batch %p', async (batch, text) => {
    await expectError(() => run(batch), 'INVALID_ARGUMENT', text);
  });

  test.each([
    [[1, 2, 3], 'an array'],
    [new Float32Array(8), 'a Float32Array'],
    [new Uint32Array(8), 'a Uint32Array'],
    [new BigInt64Array(8), 'a BigInt64Array'],
    [new DataView(new ArrayBuffer(8)), 'an object'],
    [new ArrayBuffer(8), 'an object'],
    ['12345678', '"12345678"'],
    [null, 'null'],
    [Symbol('x'), 'a symbol'],
    [() => 1, 'a function'],
    [10n, 'a bigint'],
  ])('tokens %p', async (tokens, got) => {
    await refuse({ tokens }, `tokens: ${got}, expected an Int32Array`);
  });

  test('other arrays of the wrong kind', async () => {
    await refuse({ offsets: new Float32Array(3) }, 'offsets: a Float32Array');
    await refuse({ types: new Uint8Array(8) }, 'types: a Uint8Array, expected an Int32Array');
    await refuse({ poolWeights: new Float64Array(8) }, 'poolWeights: a Float64Array');
    await refuse({ poolWeights: null }, 'poolWeights: null, expected a Float32Array');
  });

  test('outputs of the wrong kind, order or range', async () => {
    const bad = (blocks: unknown, text: string) =>
      expectError(() => run(makeBatch([3]), blocks), 'INVALID_ARGUMENT', text);
    await bad([last], 'outputs: an array, expected an Int32Array');
    await bad(null, 'outputs: null, expected an Int32Array');
    await bad(new Int32Array(0), 'outputs: empty, expected at least one block index');
    await bad(Int32Array.of(last + 1), `outputs[0]: ${last + 1}, expected 0 to ${last}`);
    await bad(Int32Array.of(-1), 'outputs[0]: -1');
    await bad(Int32Array.of(1, 1), 'outputs[1]: 1, expected more than outputs[0] = 1');
  });
});

describe('values', () => {
  test('tokens outside the vocabulary', async () => {
    const tokens = new Int32Array(8);
    tokens[7] = 100;
    await refuse({ tokens }, 'tokens[7]: 100, expected 0 to 99');
    tokens[7] = -1;
    await refuse({ tokens }, 'tokens[7]: -1');
  });

  test('offsets that do not describe the tokens', async () => {
    await refuse({ offsets: new Int32Array(0) }, 'offsets: length 0');
    await refuse({ offsets: Int32Array.of(1, 8) }, 'offsets[0]: 1, expected 0');
    await refuse({ offsets: Int32Array.of(0, 5, 3, 8) }, 'offsets[2]: 3, expected at least');
    await refuse({ offsets: Int32Array.of(0, 9) }, 'offsets[1]: 9, expected 8');
    await refuse({ offsets: Int32Array.of(0, 7) }, 'offsets[1]: 7, expected 8');
  });

  test('types, pool weights and lengths', async () => {
    await refuse({ types: new Int32Array(7) }, 'types: length 7, expected 8');
    await refuse({ types: new Int32Array(8).fill(2) }, 'types[0]: 2, expected 0 to 1');
    await refuse({ poolWeights: new Float32Array(9) }, 'poolWeights: length 9, expected 8');
    await refuse({ poolWeights: undefined }, 'poolWeights: none, expected 8 numbers');
    const poolWeights = new Float32Array(8);
    poolWeights[3] = Number.NaN;
    await refuse({ poolWeights }, 'poolWeights[3]: nan, expected a finite number');
    const long = makeBatch([3, 129]);
    await expectError(
      () => run(long),
      'INVALID_ARGUMENT',
      'sequence 1: 129 tokens, expected at most 128',
    );
  });

  test('pool weights are needed only for blocks that read them', async () => {
    const { poolWeights: _, ...batch } = makeBatch([3, 5]);
    const [hidden] = await run(batch, Int32Array.of(last - 1));
    expect(hidden).toHaveLength(8 * 32);
  });
});

describe('buffers', () => {
  test('a detached one is refused', async () => {
    for (const name of ['tokens', 'offsets', 'types', 'poolWeights'] as const) {
      const batch = makeBatch([3, 5]);
      structuredClone(batch[name].buffer, { transfer: [batch[name].buffer as ArrayBuffer] });
      await expectError(() => run(batch), 'INVALID_ARGUMENT', `${name}: `);
      await expectError(() => run(batch), 'INVALID_ARGUMENT', 'over a detached buffer');
    }
  });

  test('a shared one is refused', async () => {
    const tokens = new Int32Array(new SharedArrayBuffer(32));
    await refuse({ tokens }, 'tokens: an Int32Array over a shared buffer');
  });

  test('a resizable one is read as long as it is now', async () => {
    const resizable = ArrayBuffer as unknown as {
      new (
        length: number,
        options: { maxByteLength: number },
      ): ArrayBuffer & {
        resize(length: number): void;
      };
    };
    const buffer = new resizable(32, { maxByteLength: 4096 });
    const tracking = new Int32Array(buffer);
    const fixed = new Int32Array(buffer, 0, 8);
    expect(await run({ ...makeBatch([8]), tokens: tracking })).toHaveLength(1);
    buffer.resize(36);
    await refuse({ tokens: tracking }, 'offsets[2]: 8, expected 9');
    expect(await run({ ...makeBatch([8]), tokens: fixed })).toHaveLength(1);
    buffer.resize(16);
    await refuse({ tokens: tracking }, 'offsets[2]: 8, expected 4');
    await refuse({ tokens: fixed }, 'offsets[2]: 8, expected 0'); // out of bounds: length 0
  });

  test('a view into a larger one is read at its offset', async () => {
    const batch = makeBatch([3, 5]);
    const around = new Int32Array(20).fill(-7);
    around.set(batch.tokens, 6);
    const expected = await run(batch);
    expect(await run({ ...batch, tokens: around.subarray(6, 14) })).toEqual(expected);
  });

  test('a getter that detaches another array is noticed', async () => {
    const batch = makeBatch([3, 5]);
    const tokens = batch.tokens;
    const hostile = {
      ...batch,
      get poolWeights() {
        structuredClone(tokens.buffer, { transfer: [tokens.buffer as ArrayBuffer] });
        return batch.poolWeights;
      },
    };
    await expectError(
      () => run(hostile),
      'INVALID_ARGUMENT',
      'tokens: an Int32Array over a detached',
    );
  });

  test('the arrays are copied before run returns', async () => {
    const batch = makeBatch([30, 50]);
    const [expected] = await run(makeBatch([30, 50]));
    const job = run(batch);
    batch.tokens.fill(1_000_000);
    batch.offsets.fill(-1);
    batch.poolWeights.fill(Number.NaN);
    expect((await job)[0]).toEqual(expected);
  });

  test('results can be transferred to another thread', async () => {
    const [pooled] = await run(makeBatch([3, 5]));
    const copy = Float32Array.from(pooled as Float32Array);
    const buffer = pooled?.buffer as ArrayBuffer;
    const moved = structuredClone(buffer, { transfer: [buffer] });
    expect(new Float32Array(moved)).toEqual(copy);
    expect(buffer.byteLength).toBe(0);
  });
});

describe('shapes of results', () => {
  test('empty batches and empty sequences', async () => {
    const blocks = Int32Array.of(0, 2, last);
    const none = await run(makeBatch([]), blocks);
    expect(none.map((array) => array.length)).toEqual([0, 0, 0]);
    const three = await run(makeBatch([0, 0, 0]), blocks);
    expect(three.map((array) => array.length)).toEqual([0, 0, 3 * 32]);
    expect(three[2]?.every((value) => value === 0)).toBe(true);
  });

  test('every block can be asked for', async () => {
    const blocks = Int32Array.from({ length: last + 1 }, (_, i) => i);
    const batch = makeBatch([4, 1, 0, 9]);
    const all = await run(batch, blocks);
    expect(all.map((array) => array.length)).toEqual([...Array(last).fill(14 * 32), 4 * 32]);
    for (const block of blocks) {
      expect((await run(batch, Int32Array.of(block)))[0]).toEqual(all[block]);
    }
  });

  test('a sequence has the same bits alone and in a batch', async () => {
    const batch = makeBatch([7, 20, 3]);
    const [together] = await run(batch);
    for (let b = 0; b < 3; b++) {
      const [begin, end] = [batch.offsets[b] as number, batch.offsets[b + 1] as number];
      const [alone] = await run({
        tokens: batch.tokens.slice(begin, end),
        offsets: Int32Array.of(0, end - begin),
        types: batch.types.slice(begin, end),
        poolWeights: batch.poolWeights.slice(begin, end),
      });
      expect(alone).toEqual(together?.slice(b * 32, b * 32 + 32));
    }
  });
});
