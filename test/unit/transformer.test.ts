/** Transformer: what it refuses and how, outputs, signals, disposal, folders that lack or break something. */

import { getEventListeners } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  attention,
  embed,
  type ForwardInput,
  feedForward,
  plan,
  planWeights,
  pool,
  poolWeights,
  randomWeights,
  Transformer,
} from '../../lib/index';
import { errorOf, expectError } from '../binding/support/errors';
import { copyOf, golden, readJson, removeFolders } from './support/folders';
import { tensorsOf, validFile } from './support/safetensors';

const PLAN = plan({ width: 16 }, [
  embed({ vocabulary: 20, types: 2, positions: 8, norm: 'after' }),
  attention({ heads: 4 }),
  feedForward({ inner: 32 }),
  feedForward({ inner: 8 }),
  pool(),
]);
const WEIGHTS = randomWeights(PLAN, { seed: 5 });
const INPUT = { tokens: Int32Array.of(1, 2, 3, 4, 5), offsets: Int32Array.of(0, 2, 5) };
const FOLDER = golden('bert', 'h1x8');

let model: Transformer;
beforeAll(async () => {
  model = await Transformer.create(PLAN, WEIGHTS);
});
afterAll(async () => {
  await model?.dispose();
  await removeFolders();
});

const wrong = (value: unknown) => value as never;
const forward = (changes: object = {}) => model.forward({ ...INPUT, ...changes } as ForwardInput);

describe('create', () => {
  test('says what it made', () => {
    const parameters = planWeights(PLAN).reduce(
      (sum, w) => sum + w.shape.reduce((a, b) => a * b, 1),
      0,
    );
    expect(model).toMatchObject({ device: 'cpu', dtype: 'f32' });
    expect(model.info).toMatchObject({ width: 16, layers: 2, parameters, unusedTensors: [] });
    expect(Object.isFrozen(model.info) && Object.isFrozen(model.plan.blocks[1])).toBe(true);
  });

  test.each<[string, string, () => Promise<unknown>]>([
    ['INVALID_ARGUMENT', 'plan: undefined', () => Transformer.create(wrong(undefined), WEIGHTS)],
    ['INVALID_ARGUMENT', 'weights: null', () => Transformer.create(PLAN, wrong(null))],
    ['INVALID_ARGUMENT', 'options: null', () => Transformer.create(PLAN, WEIGHTS, wrong(null))],
    ['INVALID_ARGUMENT', 'options.gpu', () => Transformer.create(PLAN, WEIGHTS, wrong({ gpu: 1 }))],
    [
      'INVALID_ARGUMENT',
      'options.threads',
      () => Transformer.create(PLAN, WEIGHTS, { threads: 0 }),
    ],
    [
      'INVALID_ARGUMENT',
      'options.threads',
      () => Transformer.create(PLAN, WEIGHTS, { threads: 257 }),
    ],
    [
      'INVALID_ARGUMENT',
      'options.device',
      () => Transformer.create(PLAN, WEIGHTS, { device: wrong('tpu') }),
    ],
    [
      'INVALID_ARGUMENT',
      'options.dtype',
      () => Transformer.create(PLAN, WEIGHTS, { dtype: wrong(32) }),
    ],
    [
      'INVALID_ARGUMENT',
      'options.signal',
      () => Transformer.create(PLAN, WEIGHTS, { signal: wrong({}) }),
    ],
    [
      'UNSUPPORTED',
      'options.dtype',
      () => Transformer.create(PLAN, WEIGHTS, { dtype: wrong('f16') }),
    ],
    [
      'DEVICE_UNAVAILABLE',
      'options.device',
      () => Transformer.create(PLAN, WEIGHTS, { device: 'cuda' }),
    ],
    ['ABORTED', 'load', () => Transformer.create(PLAN, WEIGHTS, { signal: AbortSignal.abort() })],
    ['WEIGHT_MISSING', 'blocks.0.tokens', () => Transformer.create(PLAN, {})],
    [
      'SHAPE_MISMATCH',
      'blocks.0.tokens',
      () =>
        Transformer.create(PLAN, {
          ...WEIGHTS,
          'blocks.0.tokens': { shape: [1, 16], data: new Float32Array(16) },
        }),
    ],
  ])('%s: %s', async (code, text, f) => {
    await expectError(f, wrong(code), text);
  });

  test('extra tensors are listed, weights are copied', async () => {
    const data = Float32Array.of(1);
    const weights = structuredClone({ ...WEIGHTS, more: { shape: [1], data } });
    const copy = await Transformer.create(PLAN, weights);
    for (const tensor of Object.values(weights)) tensor.data.fill(Number.NaN);
    expect(copy.info.unusedTensors).toEqual(['more']);
    expect((await copy.forward(INPUT)).hidden).toEqual((await forward()).hidden);
    await copy.dispose();
  });
});

describe('forward', () => {
  test('gives what was asked for, in arrays of their own', async () => {
    const output = await forward({
      outputHiddenStates: true,
      outputPooled: true,
      poolWeights: poolWeights(['mean'], INPUT.offsets),
    });
    expect(Object.keys(output).sort()).toEqual(['hidden', 'layers', 'pooled']);
    expect(output.hidden).toHaveLength(5 * 16);
    expect(output.layers?.map((layer) => layer.length)).toEqual([80, 80, 80]);
    expect(output.pooled).toHaveLength(2 * 16);
    expect(output.layers?.[2]).toEqual(output.hidden);
    expect(output.layers?.[2]).not.toBe(output.hidden);
    expect(Object.keys(await forward())).toEqual(['hidden']);
    expect((await forward()).hidden).toEqual(output.hidden);
  });

  test.each<[string, object]>([
    ['input.tokens', { tokens: [1, 2, 3, 4, 5] }],
    ['input.tokens', { tokens: undefined }],
    ['input.offsets', { offsets: new Uint32Array(3) }],
    ['input.types', { types: new Float32Array(5) }],
    ['input.poolWeights', { poolWeights: new Float64Array(5) }],
    ['input.outputHiddenStates', { outputHiddenStates: 1 }],
    ['input.outputPooled', { outputPooled: 'yes' }],
    ['input.signal', { signal: true }],
    ['input.mask', { mask: Int32Array.of(1) }],
    ['tokens', { tokens: Int32Array.of(1, 2, 3, 4, 20) }],
    ['tokens', { tokens: Int32Array.of(1, 2, 3, 4, -1) }],
    ['types', { types: Int32Array.of(0, 0, 0, 0, 2) }],
    ['types', { types: Int32Array.of(0, 0) }],
    ['offsets', { offsets: Int32Array.of(0, 3, 2) }],
    ['offsets', { offsets: Int32Array.of(0, 3, 2, 5) }],
    ['offsets', { offsets: Int32Array.of(1, 5) }],
    ['offsets', { offsets: Int32Array.of(0, 4) }],
    ['offsets', { offsets: Int32Array.of() }],
    ['sequence 0', { tokens: new Int32Array(9), offsets: Int32Array.of(0, 9) }],
    ['poolWeights', { outputPooled: true }],
    ['poolWeights', { outputPooled: true, poolWeights: new Float32Array(4) }],
  ])('%s: case %#', async (where, changes) => {
    const error = await errorOf(() => forward(changes));
    expect(error.code).toBe('INVALID_ARGUMENT');
    expect(error.details.where).toContain(where);
  });

  test.each([undefined, null, 7, []])('%p is no input', async (input) => {
    await expectError(() => model.forward(wrong(input)), 'INVALID_ARGUMENT', 'input: ');
  });

  test('pooled is refused where the plan has no pool', async () => {
    const without = plan({ width: 16 }, PLAN.blocks.slice(0, -1));
    const bare = await Transformer.create(without, WEIGHTS);
    for (const changes of [{ outputPooled: true }, { poolWeights: new Float32Array(5) }]) {
      await expectError(
        () => bare.forward({ ...INPUT, ...changes }),
        'INVALID_ARGUMENT',
        'no pool block',
      );
    }
    await bare.dispose();
  });

  test('of no sequences', async () => {
    const none = { tokens: Int32Array.of(), offsets: Int32Array.of(0) };
    expect((await forward(none)).hidden).toHaveLength(0);
  });

  test('hundreds at once, each with its own result', async () => {
    const inputs = Array.from({ length: 300 }, (_, i) => Int32Array.of(i % 20, (i * 7) % 20));
    const offsets = Int32Array.of(0, 2);
    const outputs = await Promise.all(inputs.map((tokens) => model.forward({ tokens, offsets })));
    const packed = await model.forward({
      tokens: Int32Array.from(inputs.flatMap((tokens) => [...tokens])),
      offsets: Int32Array.from({ length: 301 }, (_, i) => 2 * i),
    });
    outputs.forEach(({ hidden }, i) => {
      expect(hidden).toEqual(packed.hidden.slice(i * 32, (i + 1) * 32));
    });
  });
});

describe('signals', () => {
  test('before, during and after', async () => {
    await expectError(() => forward({ signal: AbortSignal.abort() }), 'ABORTED', 'forward');
    const controller = new AbortController();
    const running = forward({ signal: controller.signal });
    controller.abort('reason');
    expect((await expectError(() => running, 'ABORTED', 'forward')).cause).toBe('reason');
    const late = new AbortController();
    expect((await forward({ signal: late.signal })).hidden).toHaveLength(80);
    late.abort();
    await new Promise((resolve) => setImmediate(resolve));
    expect(getEventListeners(late.signal, 'abort')).toHaveLength(0);
  });
});

describe('disposal', () => {
  test('lets what runs end, and refuses what comes after', async () => {
    const mine = await Transformer.create(PLAN, WEIGHTS);
    const running = [mine.forward(INPUT), mine.forward(INPUT)];
    await mine.dispose();
    expect((await Promise.all(running)).map(({ hidden }) => hidden.length)).toEqual([80, 80]);
    await expectError(() => mine.forward(INPUT), 'DISPOSED', 'disposed');
    await mine.dispose();
    mine[Symbol.dispose]();
  });

  test('by using', async () => {
    let seen: Transformer;
    {
      await using mine = await Transformer.create(PLAN, WEIGHTS);
      seen = mine;
    }
    expect((await errorOf(() => seen.forward(INPUT))).code).toBe('DISPOSED');
  });
});

describe('a folder', () => {
  const TENSORS = tensorsOf(readFileSync(join(FOLDER, 'model.safetensors')));
  const NAME = 'encoder.layer.0.output.dense.weight';
  const load = async (changes: Parameters<typeof copyOf>[1], source = FOLDER) => {
    const folder = await copyOf(source, changes);
    const loaded = await Transformer.load(folder);
    await loaded.dispose();
    return loaded;
  };
  const withTensors = (change: (tensors: typeof TENSORS) => void) => {
    const tensors = { ...TENSORS };
    change(tensors);
    return { 'model.safetensors': validFile(tensors) };
  };

  test('without a tokenizer loads, and its plan is frozen', async () => {
    const { plan: loaded } = await load({});
    expect(Object.isFrozen(loaded) && loaded.blocks.every(Object.isFrozen)).toBe(true);
  });

  test.each(['config.json', 'model.safetensors'])('without %s: FILE_ERROR', async (name) => {
    expect((await errorOf(() => load({ [name]: null }))).code).toBe('FILE_ERROR');
  });

  test('with a missing, an extra, a mis-shaped or an integer tensor', async () => {
    await expectError(() => load(withTensors((t) => delete t[NAME])), 'WEIGHT_MISSING', NAME);
    const bytes = Buffer.alloc(4);
    const more = {
      extra: { dtype: 'F32', shape: [1], bytes },
      'pooler.x': { dtype: 'F32', shape: [1], bytes },
    };
    const { info } = await load(withTensors((t) => Object.assign(t, more)));
    expect(info.unusedTensors).toContain('extra');
    expect(info.unusedTensors).not.toContain('pooler.x');
    const flat = (t: typeof TENSORS) => {
      const { shape, ...rest } = t[NAME] as (typeof TENSORS)[string];
      t[NAME] = { ...rest, shape: [shape.reduce((a, b) => a * b, 1)] };
    };
    await expectError(() => load(withTensors(flat)), 'SHAPE_MISMATCH', NAME);
    const integer = (t: typeof TENSORS) => {
      const { shape } = t[NAME] as (typeof TENSORS)[string];
      t[NAME] = { dtype: 'U8', shape, bytes: Buffer.alloc(shape.reduce((a, b) => a * b, 1)) };
    };
    await expectError(() => load(withTensors(integer)), 'UNSUPPORTED', NAME);
  });

  test('with a truncated weight file or NaN in the config', async () => {
    const file = readFileSync(join(FOLDER, 'model.safetensors'));
    await expectError(
      () => load({ 'model.safetensors': file.subarray(0, -1) }),
      'WEIGHT_INVALID',
      'model.safetensors',
    );
    const config = JSON.stringify(readJson(join(FOLDER, 'config.json')));
    const nan = config.replace(/"layer_norm_eps":[^,}]+/, '"layer_norm_eps":NaN');
    expect(nan).not.toBe(config);
    await expectError(
      () => load({ 'config.json': nan }),
      'INVALID_ARGUMENT',
      'layer_norm_eps: NaN',
    );
  });

  test.each<[string, unknown]>([
    ['INVALID_ARGUMENT', undefined],
    ['INVALID_ARGUMENT', ''],
    ['INVALID_ARGUMENT', 7],
    ['FILE_ERROR', './no/such/folder'],
  ])('%s: %p', async (code, id) => {
    expect((await errorOf(() => Transformer.load(wrong(id)))).code).toBe(code);
  });

  test('options that are wrong', async () => {
    await expectError(
      () => Transformer.load(FOLDER, wrong({ maxQueued: 1 })),
      'INVALID_ARGUMENT',
      'options.maxQueued',
    );
    await expectError(
      () => Transformer.load(FOLDER, { revision: '' }),
      'INVALID_ARGUMENT',
      'options.revision',
    );
    await expectError(
      () => Transformer.load(FOLDER, { onProgress: wrong(1) }),
      'INVALID_ARGUMENT',
      'options.onProgress',
    );
    await expectError(
      () => Transformer.load(FOLDER, { signal: AbortSignal.abort() }),
      'ABORTED',
      '',
    );
  });
});
