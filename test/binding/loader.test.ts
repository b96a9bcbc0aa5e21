// How lib/native.ts finds the addon, what it says when it cannot, and how it translates errors.
import { MultiheadError } from '../../lib/errors';
import * as native from '../../lib/native';
import { errorOf, expectError } from './support/errors';
import { addonPath, makeModel, ROOT } from './support/model.cjs';

const binary = addonPath(); // before node-gyp-build is mocked

afterEach(() => {
  jest.resetModules();
  jest.dontMock('node-gyp-build');
});

/** A fresh lib/native.ts for which node-gyp-build finds what `find` gives. */
function freshLoader(find: (directory: string) => string): typeof native {
  jest.resetModules();
  jest.doMock('node-gyp-build', () => ({ path: find }));
  return require('../../lib/native') as typeof native;
}

/** The fresh loader's MultiheadError is of a fresh class, so errors are compared by their fields. */
function loadFailure(find: (directory: string) => string) {
  try {
    freshLoader(find).loadAddon();
  } catch (error) {
    return error as MultiheadError;
  }
  throw new Error('no error');
}

test('the addon is found from the package root and loaded once', () => {
  let directory = '';
  const loader = freshLoader((from) => {
    directory = from;
    return binary;
  });
  expect(loader.loadAddon()).toBe(loader.loadAddon());
  expect(directory).toBe(ROOT);
});

test('where no binary fits, the error names the platform and the command that compiles one', () => {
  const error = loadFailure(() => {
    throw new Error('No native build was found');
  });
  expect(error).toMatchObject({ name: 'MultiheadError', code: 'UNSUPPORTED' });
  for (const text of [
    process.platform,
    process.arch,
    `Node ${process.versions.node}`,
    `ABI ${process.versions.modules}`,
    process.platform === 'linux' ? /glibc [\d.]+|musl/ : '',
    'npx multihead build',
  ]) {
    expect(error.message).toMatch(text);
  }
  expect((error.cause as Error).message).toContain('No native build');
});

test('a binary that cannot be loaded says why', () => {
  const error = loadFailure(() => __filename.replace('.test.ts', '.missing.node'));
  expect(error.code).toBe('UNSUPPORTED');
  expect(error.message).toContain('loader.missing.node cannot be loaded (');
  expect(error.message).toContain('npx multihead build');
});

test('a binary of another version is refused', () => {
  jest.resetModules();
  jest.doMock('other.node', () => ({ version: '9.9.9' }), { virtual: true });
  const error = loadFailure(() => 'other.node');
  expect(error.code).toBe('INTERNAL');
  expect(error.message).toContain('native addon of version 9.9.9, expected version');
  expect(error.message).toContain('npx multihead build');
});

test('the addon knows its version, instruction sets and threads', () => {
  const addon = native.loadAddon();
  expect(addon.version).toBe(require('../../package.json').version);
  const isas = addon.isas();
  expect(isas.map(({ name }) => name)).toContain('baseline');
  expect(isas.find(({ name }) => name === 'baseline')?.supported).toBe(true);
  const threads = addon.threads();
  expect(threads.affinity).toBeGreaterThanOrEqual(1);
  expect(threads.defaultThreads).toBeGreaterThanOrEqual(1);
  expect(threads.cgroupCpus).toBeGreaterThanOrEqual(0);
});

test('errors keep code, where, got and expected', async () => {
  const { plan, weights } = makeModel();
  const error = await expectError(
    () => native.loadAddon().load({ ...plan, width: 7.5 }, weights),
    'INVALID_ARGUMENT',
    'plan.width: 7.5, expected a positive integer',
  );
  expect(error.details).toEqual({
    where: 'plan.width',
    got: '7.5',
    expected: 'a positive integer',
  });
});

test('anything that is not a typed native error becomes INTERNAL with its cause', () => {
  for (const thrown of [new RangeError('odd'), 'text', undefined, { code: 'NOPE', where: 'x' }]) {
    const error = native.toMultiheadError(thrown);
    expect(error).toBeInstanceOf(MultiheadError);
    expect(error.code).toBe('INTERNAL');
    expect(error.cause).toBe(thrown);
  }
  const typed = new MultiheadError('ABORTED', { where: 'here', got: 'cancelled' });
  expect(native.toMultiheadError(typed)).toBe(typed);
});

test('models cannot be made by hand, and methods refuse other receivers', async () => {
  const raw = require(binary);
  const { plan, weights } = makeModel();
  const model = await raw.load(plan, weights).done;
  const NativeModel = model.constructor;
  expect(() => new NativeModel()).toThrow(
    'NativeModel: constructed by hand, expected one from load()',
  );
  expect(() => new NativeModel({})).toThrow('constructed by hand');
  expect(() => NativeModel()).toThrow();
  for (const receiver of [{}, Object.create(NativeModel.prototype), null, raw]) {
    expect(() => Reflect.apply(model.run, receiver, [])).toThrow();
    expect(() => Reflect.apply(model.dispose, receiver, [])).toThrow();
  }
  model.dispose();
});

test('a patched Float32Array does not reach the addon', async () => {
  const { plan, weights, last } = makeModel();
  const model = await native.loadAddon().load(plan, weights).done;
  const original = globalThis.Float32Array;
  try {
    globalThis.Float32Array = class {} as never;
    const batch = { tokens: Int32Array.of(1), offsets: Int32Array.of(0, 1) };
    const [hidden] = await model.run(batch, Int32Array.of(last - 1)).done;
    expect(hidden).toBeInstanceOf(original);
  } finally {
    globalThis.Float32Array = original;
    model.dispose();
  }
});

test('an output that no memory can hold is OUT_OF_MEMORY, not the end of the process', async () => {
  // 2^24 parts wide would need 2^24 x 64 floats a sequence; offsets alone make many sequences cheap.
  const { plan, weights } = makeModel({ width: 256, layers: 0 });
  const wide = {
    ...plan,
    blocks: [...plan.blocks.slice(0, -1), { block: 'pool', parts: Array(64).fill('max') }],
  };
  const model = await native.loadAddon().load(wide as typeof plan, weights).done;
  const batch = { tokens: new Int32Array(0), offsets: new Int32Array(2 ** 26) };
  const error = await errorOf(() => model.run(batch, Int32Array.of(1)).done);
  expect(error.code).toBe('OUT_OF_MEMORY');
  expect(error.message).toContain('output elements');
  const small = { tokens: new Int32Array(2), offsets: Int32Array.of(0, 2) };
  expect((await model.run(small, Int32Array.of(1)).done)[0]).toHaveLength(64 * 256);
  model.dispose();
});
