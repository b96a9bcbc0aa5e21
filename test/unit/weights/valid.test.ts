/** Weight folders that are right, one file or several, and folders without usable weights. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openWeights } from '../../../lib/weights';
import { parseHeader, readSafetensors } from '../../../lib/weights/safetensors';
import { mergeTables } from '../../../lib/weights/table';
import { errorOf, expectError } from '../../binding/support/errors';
import { emptyFolder, folderOf, golden, removeFolders } from '../support/folders';
import { fileOf, validFile } from '../support/safetensors';

afterAll(removeFolders);

const bytes = (count: number) => Buffer.alloc(count, 1);
const open = async (files: Record<string, string | Uint8Array | object>) =>
  await openWeights(await folderOf(files), 'CONVERT');

describe('one file', () => {
  test('f32, f16 and bf16 get our names, other types keep theirs', async () => {
    const file = validFile(
      {
        a: { dtype: 'F32', shape: [2, 3], bytes: bytes(24) },
        b: { dtype: 'F16', shape: [3], bytes: bytes(6) },
        c: { dtype: 'BF16', shape: [], bytes: bytes(2) },
        d: { dtype: 'I64', shape: [1, 5], bytes: bytes(40) },
        e: { dtype: 'FUTURE', shape: [7], bytes: bytes(3) },
        f: { dtype: 'toString', shape: [7], bytes: bytes(1) },
      },
      { format: 'pt' },
    );
    const { sources, tensors } = await open({ 'model.safetensors': file });
    expect(sources).toHaveLength(1);
    expect(tensors.map(({ name, dtype, shape, byteLength }) => [name, dtype, shape, byteLength]))
      // In the order of their bytes.
      .toEqual([
        ['a', 'f32', [2, 3], 24],
        ['b', 'f16', [3], 6],
        ['c', 'bf16', [], 2],
        ['d', 'I64', [1, 5], 40],
        ['e', 'FUTURE', [7], 3],
        ['f', 'toString', [7], 1],
      ]);
    expect(tensors.at(-1)?.offset).toBe(file.length - 1);
    expect(tensors.every(({ source }) => source === 0)).toBe(true);
  });

  test('rows come in the order of the bytes, whatever the header says first', () => {
    const header = {
      late: { dtype: 'U8', shape: [2], data_offsets: [1, 3] },
      empty: { dtype: 'F32', shape: [0, 4], data_offsets: [1, 1] },
      early: { dtype: 'U8', shape: [1], data_offsets: [0, 1] },
    };
    const text = Buffer.from(JSON.stringify(header));
    const rows = parseHeader('x', text, 8 + text.length + 3);
    expect(rows.map(({ name, offset }) => [name, offset - 8 - text.length])).toEqual([
      ['early', 0],
      ['empty', 1],
      ['late', 1],
    ]);
  });

  test('no tensors, and a header with spaces after it', async () => {
    expect((await open({ 'model.safetensors': fileOf('{}', 0) })).tensors).toEqual([]);
    expect((await open({ 'model.safetensors': fileOf('{}      ', 0) })).tensors).toEqual([]);
  });

  test('names that an object has already', async () => {
    const entry = '{"dtype":"U8","shape":[1],"data_offsets":';
    const header = `{"__proto__":${entry}[0,1]},"constructor":${entry}[1,2]}}`;
    const { tensors } = await open({ 'model.safetensors': fileOf(header, 2) });
    expect(tensors.map(({ name }) => name)).toEqual(['__proto__', 'constructor']);
  });

  test('what the reference library wrote', async () => {
    const { tensors } = await readSafetensors(golden('bert', 'h1x8', 'model.safetensors'));
    expect(tensors.map(({ name }) => name)).toContain('embeddings.word_embeddings.weight');
  });
});

describe('several files', () => {
  const shard = (name: string, size = 4) =>
    validFile({ [name]: { dtype: 'F32', shape: [size / 4], bytes: bytes(size) } });
  const INDEX = 'model.safetensors.index.json';
  const [ONE, TWO] = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  const good = {
    [INDEX]: { metadata: { total_size: 12 }, weight_map: { a: ONE, b: TWO } },
    [ONE]: shard('a'),
    [TWO]: shard('b', 8),
  };
  const refuse = async (changes: Record<string, string | Uint8Array | object>, text: string) => {
    await expectError(() => open({ ...good, ...changes }), 'WEIGHT_INVALID', text);
  };

  test('each row says which file', async () => {
    const { sources, tensors } = await open(good);
    expect(sources.map((source) => 'path' in source && source.path.split('/').at(-1))).toEqual([
      ONE,
      TWO,
    ]);
    expect(tensors.map(({ name, source, byteLength }) => [name, source, byteLength])).toEqual([
      ['a', 0, 4],
      ['b', 1, 8],
    ]);
  });

  test('one file wins over an index beside it', async () => {
    const { tensors } = await open({ ...good, 'model.safetensors': shard('whole') });
    expect(tensors.map(({ name }) => name)).toEqual(['whole']);
  });

  test.each([
    '../model.safetensors',
    '/etc/model.safetensors',
    'sub/model.safetensors',
    'sub\\model.safetensors',
    '.hidden.safetensors',
    'model.bin',
    'model.safetensors\n',
    'a\0.safetensors',
    '',
    '.safetensors',
  ])('a shard called %j is refused', async (file) => {
    await refuse({ [INDEX]: { weight_map: { a: file } } }, 'a .safetensors file in ');
  });

  test.each([[7], [null], [[ONE]], [{}]])('a shard that is %j is refused', async (file) => {
    await refuse({ [INDEX]: { weight_map: { a: file } } }, 'a .safetensors file in ');
  });

  test.each([
    ['no JSON', '{'],
    ['weight_map undefined', '{}'],
    ['weight_map undefined', '[]'],
    ['weight_map an array of 0', '{"weight_map":[]}'],
    ['weight_map null', '{"weight_map":null}'],
    ['not UTF-8', Buffer.from([0x7b, 0xff])],
    ['a: listed twice', `{"weight_map":{"a":"${ONE}","a":"${ONE}"}}`],
  ])('an index with %s is refused', async (text, index) => {
    await refuse({ [INDEX]: index }, text);
  });

  test('a missing shard', async () => {
    const { [TWO]: _, ...rest } = good;
    await expectError(() => open(rest), 'WEIGHT_INVALID', `the shard ${TWO}, which is missing`);
  });

  test('a malformed shard', async () => {
    await refuse({ [TWO]: shard('b', 8).subarray(0, 20) }, TWO);
  });

  test('a tensor in two shards', async () => {
    await refuse({ [TWO]: shard('a') }, `a: in ${ONE} and in ${TWO}, expected one shard`);
  });

  test('a tensor that the index has and no shard, or another shard', async () => {
    await refuse({ [INDEX]: { weight_map: { a: ONE, b: TWO, c: TWO } } }, `c: not in ${TWO}`);
    await refuse({ [INDEX]: { weight_map: { a: TWO, b: ONE } } }, `a: not in ${TWO}`);
  });

  test('an index that is a folder', async () => {
    const folder = await folderOf({ [ONE]: shard('a') });
    mkdirSync(join(folder, INDEX));
    expect((await errorOf(() => openWeights(folder, 'CONVERT'))).code).toBe('FILE_ERROR');
  });
});

describe('folders without safetensors', () => {
  test.each(['pytorch_model.bin', 'tf_model.h5', 'model.onnx', 'model.gguf', 'flax_model.msgpack'])(
    'but with %s: UNSUPPORTED, with a way to convert',
    async (name) => {
      const error = await expectError(
        () => open({ [name]: 'x', 'config.json': '{}' }),
        'UNSUPPORTED',
        `weights only as ${name}`,
      );
      expect(error.details.expected).toContain('python -c "CONVERT"');
    },
  );

  test('but with a folder onnx: UNSUPPORTED', async () => {
    await expectError(() => open({ 'onnx/model.onnx': 'x' }), 'UNSUPPORTED', 'only as onnx');
  });

  test('and nothing else: FILE_ERROR', async () => {
    const error = await expectError(() => open({ 'README.md': '' }), 'FILE_ERROR', 'no weights');
    expect(error.details.expected).toBe('model.safetensors or model.safetensors.index.json');
  });

  test('that do not exist, or are files: FILE_ERROR', async () => {
    const folder = await emptyFolder();
    writeFileSync(join(folder, 'file'), '');
    for (const path of ['none', 'file']) {
      const error = await errorOf(() => openWeights(join(folder, path), 'CONVERT'));
      expect(error.code).toBe('FILE_ERROR');
    }
  });
});

test('tables merged: names get their prefix, sources are counted on', () => {
  const row = { name: 'a', dtype: 'f32', shape: [1], source: 0, offset: 0, byteLength: 4 };
  const table = { sources: [{ path: 'x' }, { path: 'y' }], tensors: [{ ...row, source: 1 }] };
  expect(
    mergeTables([
      { table, prefix: '' },
      { table, prefix: 'dense/' },
    ]),
  ).toEqual({
    sources: [{ path: 'x' }, { path: 'y' }, { path: 'x' }, { path: 'y' }],
    tensors: [
      { ...row, source: 1 },
      { ...row, name: 'dense/a', source: 3 },
    ],
  });
});
