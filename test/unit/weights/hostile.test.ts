/** Every rule of the safetensors format, by files that break it. */

import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensors } from '../../../lib/weights/safetensors';
import { errorOf, expectError } from '../../binding/support/errors';
import { emptyFolder, folderOf, removeFolders } from '../support/folders';
import { fileOf } from '../support/safetensors';

afterAll(removeFolders);

async function read(file: Uint8Array) {
  return await readSafetensors(join(await folderOf({ 'x.safetensors': file }), 'x.safetensors'));
}

/** Expects the file to be refused; the message names the file. */
async function refuse(file: Uint8Array, text: string) {
  const error = await expectError(() => read(file), 'WEIGHT_INVALID', text);
  expect(error.details.where).toContain('x.safetensors');
  expect(error.message.length).toBeLessThan(1000);
}

const entry = (changes: object = {}) => ({
  a: { dtype: 'F32', shape: [2], data_offsets: [0, 8], ...changes },
});

describe('the header', () => {
  test.each([0, 1, 7])('missing: a file of %i bytes', async (size) => {
    await refuse(Buffer.alloc(size), `${size} bytes, expected a safetensors file`);
  });

  test('of no bytes', async () => {
    await refuse(fileOf('', 0), 'a header that does not begin with {');
  });

  test('longer than the file', async () => {
    const file = fileOf(entry(), 8);
    for (const size of [8, 9, 20, 40]) await refuse(file.subarray(0, size), 'it may be truncated');
  });

  test.each([100_000_001n, 2n ** 32n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n])(
    'that claims %s bytes',
    async (claimed) => {
      await refuse(fileOf(entry(), 8, claimed), `a header of ${claimed} bytes, expected at most`);
    },
  );

  test('that is no JSON', async () => {
    await refuse(fileOf('{"a": }', 8), 'a header that is no JSON');
    await refuse(fileOf('{} {}', 8), 'a header that is no JSON');
    await refuse(fileOf('{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}', 8), 'no JSON');
  });

  test('that is no object, or begins with a space or a byte order mark', async () => {
    await refuse(fileOf('[]', 0), 'does not begin with {');
    await refuse(fileOf(' {}', 0), 'does not begin with {');
    await refuse(fileOf('\uFEFF{}', 0), 'does not begin with {');
  });

  test('that is not UTF-8', async () => {
    await refuse(fileOf(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]), 0), 'not UTF-8');
  });

  test('whose metadata are not strings', async () => {
    for (const value of [{ a: 1 }, { a: null }, [], 'x', 7, { a: {} }]) {
      await refuse(fileOf({ __metadata__: value }, 0), '__metadata__: ');
    }
  });
});

describe('a tensor', () => {
  test('listed twice, also by another spelling of its name', async () => {
    const one = JSON.stringify(entry().a);
    await refuse(fileOf(`{"a":${one},"a":${one}}`, 8), 'a: listed twice');
    await refuse(fileOf(`{"a":${one},"\\u0061":${one}}`, 8), 'a: listed twice');
  });

  test('with a key listed twice', async () => {
    await refuse(
      fileOf('{"a":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}}', 8),
      'shape: listed twice',
    );
  });

  test.each([[null], [7], ['x'], [[]]])('that is %j', async (value) => {
    await refuse(fileOf({ a: value }, 0), 'expected an object');
  });

  test.each([[undefined], [null], [32], [['F32']]])('of the dtype %j', async (dtype) => {
    await refuse(fileOf(entry({ dtype }), 8), 'expected a string');
  });

  test.each([
    [undefined],
    [null],
    [2],
    ['2'],
    [{ 0: 2, length: 1 }],
    [[-2]],
    [[1.5]],
    [['2']],
    [[null]],
    [[[2]]],
    [[2 ** 53]],
    [[1e300]],
  ])('of the shape %j', async (shape) => {
    await refuse(fileOf(entry({ shape }), 8), 'expected a list of sizes of at least 0');
  });

  test.each([
    [undefined],
    [null],
    [[]],
    [[0]],
    [[0, 8, 16]],
    [['0', '8']],
    [[-8, 0]],
    [[0, 7.5]],
    [[0, 2 ** 53]],
    [[0, 1e300]],
    [{ 0: 0, 1: 8 }],
  ])('at the offsets %j', async (offsets) => {
    await refuse(fileOf(entry({ data_offsets: offsets }), 8), 'expected two byte positions');
  });

  test.each([[[8, 0]], [[0, 9]], [[9, 17]], [[2 ** 52, 2 ** 53 - 1]]])(
    'outside the file, at %j',
    async (offsets) => {
      await refuse(fileOf(entry({ data_offsets: offsets }), 8), 'a range within the 8 data bytes');
    },
  );

  test.each([
    ['F32', [3], 12],
    ['F32', [1], 4],
    ['F16', [2], 4],
    ['F64', [2], 16],
    ['BF16', [], 2],
    ['F32', [2 ** 40, 2 ** 40], 2 ** 82],
    ['U8', [0], 0],
  ])('of %s %j in 8 bytes', async (dtype, shape, bytes) => {
    await refuse(fileOf(entry({ dtype, shape }), 8), `expected ${bytes} bytes`);
  });

  test('whose shape multiplies to more than a number holds', async () => {
    await refuse(fileOf(entry({ shape: Array(30).fill(2 ** 52) }), 8), 'expected Infinity bytes');
  });

  test('with a shape or offsets nested a hundred thousand deep', async () => {
    const deep = '['.repeat(1e5) + ']'.repeat(1e5);
    await refuse(fileOf(`{"a":{"dtype":"F32","shape":${deep},"data_offsets":[0,8]}}`, 8), 'shape');
    await refuse(fileOf(`{"a":{"dtype":"F32","shape":[2],"data_offsets":${deep}}}`, 8), 'offsets');
  });

  test('with a shape of a hundred thousand ones', async () => {
    const shape = [...Array(1e5).fill(1), 3];
    await refuse(fileOf(entry({ shape }), 8), 'expected 12 bytes');
  });
});

describe('tensors together', () => {
  const two = (first: number[], second: number[], shape = [1]) => ({
    a: { dtype: 'F32', shape, data_offsets: first },
    b: { dtype: 'F32', shape, data_offsets: second },
  });

  test('that overlap', async () => {
    await refuse(fileOf(two([0, 4], [0, 4]), 4), 'which overlaps another tensor');
    await refuse(fileOf(two([0, 8], [4, 12], [2]), 12), 'which overlaps another tensor');
  });

  test('with a hole before, between or after them', async () => {
    await refuse(fileOf(two([4, 8], [8, 12]), 12), 'after a hole, expected data byte 0');
    await refuse(fileOf(two([0, 4], [8, 12]), 12), 'after a hole, expected data byte 4');
    await refuse(fileOf(two([0, 4], [4, 8]), 9), 'data byte 8 of 9');
  });

  test('none, and bytes after them', async () => {
    await refuse(fileOf({}, 1), 'data byte 0 of 1');
  });
});

describe('what is no file', () => {
  test('a missing one', async () => {
    const path = join(await emptyFolder(), 'x.safetensors');
    const error = await expectError(() => readSafetensors(path), 'FILE_ERROR', 'no such file');
    expect(error.cause).toMatchObject({ code: 'ENOENT' });
  });

  test('a folder', async () => {
    const path = join(await emptyFolder(), 'x.safetensors');
    mkdirSync(path);
    await expectError(() => readSafetensors(path), 'FILE_ERROR', 'not a regular file');
  });

  test('a pipe, which nobody writes to', async () => {
    const path = join(await emptyFolder(), 'x.safetensors');
    execFileSync('mkfifo', [path]);
    await expectError(() => readSafetensors(path), 'FILE_ERROR', 'not a regular file');
  });

  test('a name that no file can have', async () => {
    expect((await errorOf(() => readSafetensors('a\0b'))).code).toBe('FILE_ERROR');
  });
});
