/** Snapshots that something else made: whole ones are used, others name what they lack. */

import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  bytes,
  COMMIT,
  endWorlds,
  errorOf,
  MODEL,
  NEEDED,
  tinyFiles,
  type World,
  world,
} from './setup';

afterEach(endWorlds);

const local = { localFilesOnly: true };

/** A snapshot as Python's hub library lays it out, with `refs/main`. */
async function lay(here: World, files: Record<string, Buffer>): Promise<string> {
  const repo = join(here.cacheDir, 'models--tests--tiny');
  const snapshot = join(repo, 'snapshots', COMMIT);
  for (const [i, [path, content]] of Object.entries(files).entries()) {
    const target = join(snapshot, path);
    await mkdir(dirname(target), { recursive: true });
    await mkdir(join(repo, 'blobs'), { recursive: true });
    await writeFile(join(repo, 'blobs', String(i)), content);
    await symlink(join(repo, 'blobs', String(i)), target);
  }
  await mkdir(join(repo, 'refs'), { recursive: true });
  await writeFile(join(repo, 'refs', 'main'), COMMIT);
  return snapshot;
}

function needed(...without: string[]): Record<string, Buffer> {
  const files = Object.entries(tinyFiles()).filter(
    ([path]) => NEEDED.includes(path) && !without.includes(path),
  );
  return Object.fromEntries(files);
}

test('a whole snapshot is used offline, by branch and by hash', async () => {
  const here = await world();
  const folder = await lay(here, needed());
  expect(await here.resolve(MODEL, local)).toEqual({ folder, revision: COMMIT });
  expect(await here.resolve(MODEL, { ...local, revision: COMMIT })).toEqual({
    folder,
    revision: COMMIT,
  });
  expect(await here.resolve(MODEL, { revision: COMMIT })).toEqual({ folder, revision: COMMIT });
  expect(here.hub.seen).toEqual([]);
});

test.each([
  ['config.json', 'config.json, model.safetensors'],
  ['model.safetensors', 'model.safetensors'],
  ['1_Pooling/config.json', '1_Pooling/config.json'],
])('a snapshot without %s is refused offline and completed online', async (path, lacks) => {
  const here = await world();
  await lay(here, needed(path));
  const error = await errorOf(here.resolve(MODEL, local));
  expect(error.code).toBe('FILE_ERROR');
  expect(error.details.got.split(' lacks ')[1]?.split(', ')[0]).toBe(lacks.split(', ')[0]);
  await here.resolve();
  expect((await here.resolve(MODEL, local)).revision).toBe(COMMIT);
});

test('a snapshot without a tokenizer serves offline, since a model runs on token ids; online it is completed', async () => {
  const here = await world();
  await lay(here, needed('tokenizer.json'));
  expect((await here.resolve(MODEL, local)).revision).toBe(COMMIT);
  await here.resolve(MODEL, { revision: COMMIT });
  expect(here.hub.count('content', 'tokenizer.json')).toBe(1);
});

test('a link that leads nowhere counts as missing and is replaced', async () => {
  const here = await world();
  const folder = await lay(here, needed());
  await rm(join(folder, 'model.safetensors'));
  await symlink('../../blobs/gone', join(folder, 'model.safetensors'));
  expect((await errorOf(here.resolve(MODEL, local))).details.got).toContain(
    'lacks model.safetensors',
  );
  await here.resolve();
  expect((await here.resolve(MODEL, local)).folder).toBe(folder);
});

test('a sharded snapshot needs every shard that its index names', async () => {
  const here = await world();
  const index = JSON.stringify({ weight_map: { a: 'x-1.safetensors', b: 'x-2.safetensors' } });
  const files = {
    ...needed('model.safetensors'),
    'model.safetensors.index.json': Buffer.from(index),
    'x-1.safetensors': bytes(10),
  };
  await lay(here, files);
  expect((await errorOf(here.resolve(MODEL, local))).details.got).toMatch(
    /lacks x-2\.safetensors$/,
  );
  const snapshot = join(here.cacheDir, 'models--tests--tiny', 'snapshots', COMMIT);
  await writeFile(join(snapshot, 'x-2.safetensors'), '');
  expect((await here.resolve(MODEL, local)).revision).toBe(COMMIT);
});

test('a snapshot with weights in another format only says what to do', async () => {
  const here = await world();
  await lay(here, { ...needed('model.safetensors'), 'pytorch_model.bin': bytes(10) });
  const error = await errorOf(here.resolve(MODEL, local));
  expect(error.code).toBe('UNSUPPORTED');
  expect(error.message).toContain('safe_serialization=True');
});

test.each(['', 'main', 'x'.repeat(40), COMMIT.slice(0, 39)])(
  'a ref that says %j is no ref',
  async (text) => {
    const here = await world();
    await lay(here, needed());
    await writeFile(join(here.cacheDir, 'models--tests--tiny', 'refs', 'main'), text);
    expect((await errorOf(here.resolve(MODEL, local))).details.got).toContain('not in the cache');
  },
);

test('a module folder in modules.json that is no folder name is not followed', async () => {
  const here = await world();
  const modules = [{ path: '../../x', type: 'a.Pooling' }, null, 3, { path: 7, type: 'a.Dense' }];
  await lay(here, { ...needed(), 'modules.json': Buffer.from(JSON.stringify(modules)) });
  expect((await here.resolve(MODEL, local)).revision).toBe(COMMIT);
});
