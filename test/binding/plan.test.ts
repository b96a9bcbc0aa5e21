// Plans, weight lists and options that load() refuses, with the path in the message.
import { join } from 'node:path';
import fc from 'fast-check';
import { ERROR_CODES, MultiheadError } from '../../lib/errors';
import { loadAddon, type NativeLoadOptions, type NativeWeights } from '../../lib/native';
import type { Plan } from '../../lib/plan';
import { expectError } from './support/errors';
import { makeBatch, makeModel } from './support/model.cjs';

type Json = Record<string, unknown>;

function load(plan: unknown, weights: unknown, options?: unknown) {
  return loadAddon().load(plan as Plan, weights as NativeWeights, options as NativeLoadOptions)
    .done;
}

/** A deep copy whose weights stay the same object. */
function copyOf(plan: Plan) {
  return structuredClone(plan) as unknown as { width: unknown; blocks: Json[] };
}

/** Expects a small plan to be refused once `spoil` changed it. */
async function refuse(
  spoil: (plan: { width: unknown; blocks: Json[] }) => void,
  text: string,
  code: keyof typeof ERROR_CODES = 'INVALID_ARGUMENT',
) {
  const { plan, weights } = makeModel();
  const spoilt = copyOf(plan);
  spoil(spoilt);
  await expectError(() => load(spoilt, weights), code, text);
}

test('the model tells what it is', async () => {
  const { plan, weights } = makeModel();
  const model = await load(plan, weights, { isa: 'baseline', threads: 1 });
  const parameters = weights.tensors.reduce((sum, tensor) => sum + tensor.byteLength / 4, 0);
  expect(model.info).toMatchObject({
    isa: 'baseline',
    threads: 1,
    width: 32,
    layers: 2,
    parameters,
    unusedTensors: [],
  });
  expect(model.info.residentBytes).toBeGreaterThanOrEqual(parameters * 4);
  model.dispose();
});

describe('plans', () => {
  test.each([undefined, null, 7, 'plan', [], () => 1, Symbol('s'), 1n, new Date()])(
    'that are %p',
    async (plan) => {
      await expectError(() => load(plan, makeModel().weights), 'INVALID_ARGUMENT', 'plan');
    },
  );

  test('with wrong types and values name the path', async () => {
    await refuse((p) => (p.width = '32'), 'plan.width: "32", expected a positive integer');
    await refuse((p) => (p.width = Number.NaN), 'plan.width: NaN');
    await refuse((p) => (p.width = 2 ** 53), 'plan.width: 9007199254740992');
    await refuse(
      (p) => Object.assign(p, { blocks: {} }),
      'plan.blocks: an object, expected an array',
    );
    await refuse(
      (p) => (p.blocks.length = 1e9),
      'plan.blocks: length 1000000000, expected at most 4096',
    );
    await refuse((p) => (p.blocks.length += 1), 'plan.blocks[6]: undefined, expected an object');
    await refuse((p) => (p.blocks[3] = 5 as never), 'plan.blocks[3]: 5, expected an object');
    await refuse(
      (p) => Object.assign(p.blocks[1] as Json, { block: 'atention' }),
      'plan.blocks[1].block: "atention", expected "embed", "attention", "feedForward"',
    );
    await refuse(
      (p) => Object.assign(p.blocks[3] as Json, { heads: 2.5 }),
      'plan.blocks[3].heads: 2.5, expected a positive integer',
    );
    await refuse(
      (p) => Object.assign(p.blocks[1] as Json, { heads: 0 }),
      'plan.blocks[1].heads: 0',
    );
    await refuse(
      (p) => Object.assign(p.blocks[1] as Json, { window: -1 }),
      'plan.blocks[1].window: -1',
    );
    await refuse(
      (p) => Object.assign(p.blocks[1] as Json, { scale: Number.POSITIVE_INFINITY }),
      'plan.blocks[1].scale: Infinity, expected a finite number',
    );
    await refuse(
      (p) => Object.assign(p.blocks[2] as Json, { activation: 'swish' }),
      'plan.blocks[2].activation: "swish", expected "identity", "relu"',
    );
    await refuse(
      (p) => Object.assign(p.blocks[2] as Json, { normAfter: { kind: 'batch', epsilon: 1 } }),
      'plan.blocks[2].normAfter.kind: "batch", expected "layer", "rms", "l2"',
    );
    await refuse(
      (p) => Object.assign(p.blocks[2] as Json, { up: { weight: { tensor: 5 } } }),
      'plan.blocks[2].up.weight.tensor: 5, expected a string',
    );
    await refuse(
      (p) => Object.assign(p.blocks[2] as Json, { up: { weight: { tensor: 'x', rows: [1] } } }),
      'plan.blocks[2].up.weight.rows: an array, expected [begin, end]',
    );
    await refuse(
      (p) => Object.assign(p.blocks[2] as Json, { up: { weight: { tensor: 'x', rows: [0, -2] } } }),
      'plan.blocks[2].up.weight.rows[1]: -2, expected an integer, at least 0',
    );
    await refuse(
      (p) => Object.assign(p.blocks[2] as Json, { up: { weight: { tensor: 'x', transpose: 1 } } }),
      'plan.blocks[2].up.weight.transpose: 1, expected true or false',
    );
    await refuse(
      (p) => Object.assign(p.blocks[5] as Json, { parts: ['mean'] }),
      'plan.blocks[5].parts[0]: "mean", expected "weighted", "max"',
    );
  });

  test('that do not fit the weights', async () => {
    await refuse(
      (p) => Object.assign(p.blocks[2] as Json, { inner: 65 }),
      '0.up.weight: shape [64, 32], expected [65, 32]',
      'SHAPE_MISMATCH',
    );
    await refuse(
      (p) => Object.assign(p.blocks[2] as Json, { up: { weight: { tensor: 'up.weight' } } }),
      'up.weight: not among the 37 tensors of these weights, expected one of them (did you mean 0.up.weight, 1.up.weight?)',
      'WEIGHT_MISSING',
    );
    await refuse(
      (p) => Object.assign(p.blocks[1] as Json, { headDim: 512 }),
      'plan.blocks[1].headDim: 512, expected 1 to 256',
      'UNSUPPORTED',
    );
  });

  test('whose getters throw, lie or loop', async () => {
    const { plan, weights } = makeModel();
    const throwing = {
      ...plan,
      get width() {
        throw new RangeError('boo');
      },
    };
    await expectError(
      () => load(throwing, weights),
      'INVALID_ARGUMENT',
      'plan.width: reading it threw: boo, expected a readable value',
    );
    const odd = {
      get blocks(): never {
        throw undefined;
      },
      width: 32,
    };
    await expectError(
      () => load(odd, weights),
      'INVALID_ARGUMENT',
      'plan.blocks: reading it threw',
    );
    const trap = new Proxy({}, { get: () => trap, has: () => true });
    await expectError(() => load(trap, weights), 'INVALID_ARGUMENT', 'plan.width: an object');
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    await expectError(
      () => load(proxy, weights),
      'INVALID_ARGUMENT',
      'plan.width: reading it threw',
    );
    const cyclic: Json = { width: 32 };
    cyclic.blocks = [cyclic];
    await expectError(
      () => load(cyclic, weights),
      'INVALID_ARGUMENT',
      'plan.blocks[0].block: undefined',
    );
    const proxied = new Proxy(plan, {});
    (await load(proxied, weights)).dispose();
  });
});

describe('weights', () => {
  async function refuseTensor(change: Json, code: keyof typeof ERROR_CODES, text: string) {
    const { plan, weights } = makeModel();
    const tensors = weights.tensors.map((tensor, i) =>
      i === 0 ? { ...tensor, ...change } : tensor,
    );
    await expectError(() => load(plan, { ...weights, tensors }), code, text);
  }

  test('rows of wrong types', async () => {
    await refuseTensor(
      { name: 5 },
      'INVALID_ARGUMENT',
      'weights.tensors[0].name: 5, expected a string',
    );
    await refuseTensor({ shape: [1.5] }, 'INVALID_ARGUMENT', 'weights.tensors[0].shape[0]: 1.5');
    await refuseTensor({ offset: -4 }, 'INVALID_ARGUMENT', 'weights.tensors[0].offset: -4');
    await refuseTensor(
      { byteLength: '4' },
      'INVALID_ARGUMENT',
      'weights.tensors[0].byteLength: "4"',
    );
  });

  test('rows that are hostile', async () => {
    await refuseTensor(
      { byteLength: 4 },
      'WEIGHT_INVALID',
      'tokens: 4 bytes, expected 12800 for f32',
    );
    await refuseTensor({ offset: 2 ** 52 }, 'WEIGHT_INVALID', 'tokens: bytes 4503599627370496 to');
    await refuseTensor({ source: 1 }, 'WEIGHT_INVALID', 'tokens: source 1, expected 0 to 0');
    await refuseTensor({ shape: [2 ** 40, 2 ** 40] }, 'WEIGHT_INVALID', 'expected a possible size');
    await refuseTensor({ name: 'types' }, 'WEIGHT_INVALID', 'types: listed twice');
    await refuseTensor(
      { dtype: 'i64' },
      'UNSUPPORTED',
      'tokens: dtype i64, expected f32, f16 or bf16',
    );
  });

  test('sources', async () => {
    const { plan, weights } = makeModel();
    const refuseSource = (source: unknown, code: keyof typeof ERROR_CODES, text: string) =>
      expectError(() => load(plan, { ...weights, sources: [source] }), code, text);
    await refuseSource({}, 'INVALID_ARGUMENT', 'weights.sources[0]: neither path nor data');
    await refuseSource(
      { path: '/x', data: new Uint8Array() },
      'INVALID_ARGUMENT',
      'both path and data',
    );
    await refuseSource(
      { data: new Float32Array(4) },
      'INVALID_ARGUMENT',
      'weights.sources[0].data: a Float32Array',
    );
    await refuseSource(
      { path: '/nonexistent/file' },
      'FILE_ERROR',
      '/nonexistent/file: No such file',
    );
    await refuseSource({ path: __dirname }, 'FILE_ERROR', 'not a file, expected a regular file');
    await refuseSource(
      { path: join(__dirname, '..', 'tsconfig.json') },
      'WEIGHT_INVALID',
      'tokens: bytes 0 to 12800',
    );
    await refuseSource({ path: 'a\0b' }, 'FILE_ERROR', 'NUL');
    await expectError(() => load(plan, {}), 'INVALID_ARGUMENT', 'weights.sources: undefined');
  });

  test('memory may change once load has returned', async () => {
    const { plan, weights, last } = makeModel();
    const batch = makeBatch([5]);
    const first = await load(plan, weights);
    const [expected] = await first.run(batch, Int32Array.of(last)).done;
    const loading = load(plan, weights);
    (weights.sources[0] as { data: Uint8Array }).data.fill(255);
    const second = await loading;
    expect((await second.run(batch, Int32Array.of(last)).done)[0]).toEqual(expected);
    first.dispose();
    second.dispose();
  });
});

test('an error holds the beginning of a name that is endless', async () => {
  const { plan, weights } = makeModel();
  const name = 'x'.repeat(2 ** 20);
  const renamed = weights.tensors.map((tensor, i) =>
    i === 3 ? { ...tensor, name, byteLength: 1 } : tensor,
  );
  const spoilt = { ...weights, tensors: renamed };
  const error = await expectError(() => load(plan, spoilt), 'WEIGHT_INVALID', 'xxx');
  // Were the whole name in it, one near V8's limit would make a message beyond it, and no error.
  expect(error.message.length).toBeLessThan(50_000);
});

describe('options', () => {
  test.each([
    [{ threads: 0 }, 'INVALID_ARGUMENT', 'options.threads: 0, expected a positive integer'],
    [{ threads: 1.5 }, 'INVALID_ARGUMENT', 'options.threads: 1.5'],
    [{ threads: 257 }, 'INVALID_ARGUMENT', 'options.threads: 257, expected 1 to 256'],
    [{ threads: '2' }, 'INVALID_ARGUMENT', 'options.threads: "2"'],
    [{ isa: 5 }, 'INVALID_ARGUMENT', 'options.isa: 5, expected a string'],
    [{ isa: 'sse9' }, 'UNSUPPORTED', 'sse9'],
    ['fast', 'INVALID_ARGUMENT', 'options: "fast", expected an object'],
  ] as const)('%p', async (options, code, text) => {
    const { plan, weights } = makeModel();
    await expectError(() => load(plan, weights, options), code, text);
  });
});

describe('fuzz', () => {
  /** Every path to a value inside `value`. */
  function paths(value: unknown, prefix: (string | number)[] = []): (string | number)[][] {
    if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return [prefix];
    const inner = Object.entries(value).flatMap(([key, child]) => paths(child, [...prefix, key]));
    return prefix.length === 0 ? inner : [prefix, ...inner];
  }

  function assign(target: unknown, path: (string | number)[], value: unknown) {
    let object = target as Json;
    for (const key of path.slice(0, -1)) object = object[key] as Json;
    const last = path[path.length - 1] as string;
    if (value === undefined) delete object[last];
    else object[last] = value;
  }

  test('a plan or weight list with any value replaced loads and runs, or fails with a typed error', async () => {
    const { plan, weights, last } = makeModel({ width: 8, heads: 2, inner: 8, layers: 1 });
    const all = [
      ...paths(plan).map((path) => ['plan', ...path]),
      ...paths(weights).map((path) => ['weights', ...path]),
    ];
    const strange = fc.oneof(
      fc.anything({ withTypedArray: true, withBigInt: true, withDate: true }),
      fc.integer(),
      fc.double(),
      fc.constantFrom(
        0,
        -1,
        1,
        2 ** 24 + 1,
        2 ** 31,
        2 ** 53,
        Number.NaN,
        undefined,
        null,
        '',
        [],
        {},
      ),
    );
    const outcomes = { loaded: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...all), strange, async (path, value) => {
        const input = { plan: structuredClone(plan), weights: { ...structuredClone(weights) } };
        assign(input, path, value);
        try {
          const model = await load(input.plan, input.weights, { threads: 1 });
          const batch = {
            ...makeBatch([2, 1]),
            tokens: new Int32Array(3),
            types: new Int32Array(3),
          };
          try {
            await model.run(batch, Int32Array.of(last)).done;
          } finally {
            model.dispose();
          }
          outcomes.loaded += 1;
        } catch (error) {
          if (!(error instanceof MultiheadError)) throw error;
          if (!(error.code in ERROR_CODES) || error.code === 'INTERNAL') throw error;
          outcomes.refused += 1;
        }
      }),
      { numRuns: 1500, seed: 20260511 },
    );
    expect(outcomes.refused).toBeGreaterThan(500);
    expect(outcomes.loaded).toBeGreaterThan(10);
  });
});
