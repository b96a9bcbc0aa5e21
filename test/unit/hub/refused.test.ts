/** Repositories and disks that cannot serve: refused early, with nothing broken left behind. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bytes, COMMIT, endWorlds, errorOf, filesBelow, MODEL, tinyFiles, world } from './setup';

afterEach(endWorlds);

const WEIGHTS = 'model.safetensors';
const snapshot = (cacheDir: string) => join(cacheDir, 'models--tests--tiny', 'snapshots', COMMIT);

describe('repositories that cannot be used', () => {
  const withFiles = (change: (files: Record<string, Buffer>) => void) => {
    const files = tinyFiles();
    change(files);
    return { [MODEL]: { commit: COMMIT, files } };
  };

  test('without safetensors: UNSUPPORTED, before anything is fetched', async () => {
    const { resolve, hub } = await world(withFiles((files) => delete files[WEIGHTS]));
    const error = await errorOf(resolve());
    expect(error.code).toBe('UNSUPPORTED');
    expect(error.message).toContain('weights only as pytorch_model.bin, tf_model.h5');
    expect(error.message).toContain('safe_serialization=True');
    expect(hub.count('probe') + hub.count('content')).toBe(0);
  });

  test('a Dense module without safetensors: UNSUPPORTED', async () => {
    const { resolve } = await world(
      withFiles((files) => {
        files['2_Dense/config.json'] = Buffer.from('{}');
        files['2_Dense/pytorch_model.bin'] = bytes(2000);
      }),
    );
    const error = await errorOf(resolve());
    expect(error.code).toBe('UNSUPPORTED');
    expect(error.message).toContain('2_Dense/pytorch_model.bin');
  });

  test('without config.json', async () => {
    const { resolve } = await world(withFiles((files) => delete files['config.json']));
    expect(await errorOf(resolve())).toMatchObject({
      code: 'FILE_ERROR',
      details: { got: 'no config.json' },
    });
  });

  test.each(['../evil.json', '1_Pooling/../../evil', '/etc/evil', 'a\\..\\evil', 'C:evil', 'x\0y'])(
    'the file name %j is refused',
    async (path) => {
      const { resolve, hub } = await world(
        withFiles((files) => {
          files[path] = Buffer.from('x');
        }),
      );
      const error = await errorOf(resolve());
      expect(error.code).toBe('FILE_ERROR');
      expect(error.details.got).toBe(`the file name ${JSON.stringify(path)}`);
      expect(hub.count('probe') + hub.count('content')).toBe(0);
    },
  );

  test.each([
    ['a hash that is a path', { oid: '../'.repeat(13).padEnd(40, 'x') }],
    ['a short hash', { oid: 'abc' }],
    ['no hash', { oid: undefined }],
    ['a negative size', { size: -1 }],
    ['a size that is no number', { size: '12' }],
    ['no size', { size: undefined }],
  ])('a listing with %s is refused', async (_name, lie) => {
    const { resolve, hub } = await world({
      [MODEL]: { commit: COMMIT, files: tinyFiles(), lies: { 'config.json': lie } },
    });
    const error = await errorOf(resolve());
    expect(error.code).toBe('FILE_ERROR');
    expect(error.message).toContain('config.json: listed with hash');
    expect(hub.count('probe') + hub.count('content')).toBe(0);
  });

  test.each([
    ['no JSON', '{', 'WEIGHT_INVALID'],
    ['no weight_map', '{"metadata": {}}', 'WEIGHT_INVALID'],
    ['a path as a shard', '{"weight_map": {"a": "../x.safetensors"}}', 'WEIGHT_INVALID'],
    ['a number as a shard', '{"weight_map": {"a": 1}}', 'WEIGHT_INVALID'],
    ['another format as a shard', '{"weight_map": {"a": "x.bin"}}', 'WEIGHT_INVALID'],
    ['a shard that is not there', '{"weight_map": {"a": "x.safetensors"}}', 'WEIGHT_MISSING'],
  ])('a weight index with %s', async (_name, text, code) => {
    const { resolve } = await world(
      withFiles((files) => {
        delete files[WEIGHTS];
        files['model.safetensors.index.json'] = Buffer.from(text);
      }),
    );
    expect((await errorOf(resolve())).code).toBe(code);
  });
});

describe('the disk', () => {
  test('a cache that cannot be made', async () => {
    const { resolve, cacheDir } = await world();
    await writeFile(join(cacheDir, 'file'), '');
    const error = await errorOf(resolve(MODEL, { cacheDir: join(cacheDir, 'file', 'cache') }));
    expect(error.code).toBe('FILE_ERROR');
    expect(error.message).toContain('ENOTDIR');
  });

  test('config.json is linked last: a snapshot that could not be finished is unusable', async () => {
    const { resolve, cacheDir } = await world();
    await mkdir(join(snapshot(cacheDir), 'vocab.txt'), { recursive: true });
    const error = await errorOf(resolve());
    expect(error.code).toBe('FILE_ERROR');
    const linked = await filesBelow(snapshot(cacheDir));
    expect(linked).toContain('tokenizer.json');
    expect(linked).not.toContain('config.json');
    expect((await errorOf(resolve(MODEL, { localFilesOnly: true }))).code).toBe('FILE_ERROR');
  });

  test('a model larger than the disk is refused before it is fetched', async () => {
    const huge = Buffer.alloc(2000);
    Object.defineProperty(huge, 'length', { value: 2 ** 52 });
    const { resolve, hub } = await world({
      [MODEL]: { commit: COMMIT, files: { ...tinyFiles(), 'tokenizer.json': huge } },
    });
    const error = await errorOf(resolve());
    expect(error.code).toBe('FILE_ERROR');
    expect(error.message).toMatch(/\d+ bytes free, expected \d+ bytes for the model/);
    expect(hub.count('content')).toBe(0);
  });
});
