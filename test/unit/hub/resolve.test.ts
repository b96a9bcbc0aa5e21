import { mkdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type DownloadProgress, resolveModel } from '../../../lib/hub/index';
import { etagOf } from './fake-hub';
import {
  bytes,
  COMMIT,
  endWorlds,
  errorOf,
  filesBelow,
  MODEL,
  NEEDED,
  sameBytes,
  tinyFiles,
  WEIGHT_BYTES,
  world,
} from './setup';

afterEach(endWorlds);

const snapshotOf = (cacheDir: string, commit = COMMIT) =>
  join(cacheDir, 'models--tests--tiny', 'snapshots', commit);

describe('a folder', () => {
  test('an existing folder wins over a model of the same name, without any network', async () => {
    const { cacheDir, hub } = await world();
    const folder = join(cacheDir, MODEL);
    await mkdir(folder, { recursive: true });
    const before = process.cwd();
    process.chdir(cacheDir);
    try {
      expect(await resolveModel(MODEL)).toEqual({ folder });
      expect(await resolveModel('./tests/tiny')).toEqual({ folder });
      expect(await resolveModel(folder)).toEqual({ folder });
    } finally {
      process.chdir(before);
    }
    expect(hub.seen).toEqual([]);
  });

  test.each(['./absent', '../absent', '/absent/model', '~/absent-model', '.'.repeat(3)])(
    '%s is a path, and must exist',
    async (path) => {
      const { resolve, hub } = await world();
      const error = await errorOf(resolve(path));
      expect(error.code).toBe('FILE_ERROR');
      expect(error.message).toMatch(/ENOENT/);
      expect(hub.seen).toEqual([]);
    },
  );

  test('a file is no folder', async () => {
    const { cacheDir, resolve } = await world();
    const path = join(cacheDir, 'model.safetensors');
    await writeFile(path, '');
    expect(await errorOf(resolve(path))).toMatchObject({
      code: 'FILE_ERROR',
      message: `${path}: a file, expected the folder of a model`,
    });
  });
});

describe('malformed arguments', () => {
  test.each([
    '',
    'a/b/c',
    'a b',
    'org/-name',
    'org/name-',
    'org/na--me',
    'org/na..me',
    'org/name.git',
    'models--org--name/x',
    'org\\name',
    'org/näme',
    'na\0me',
    '/absolute\0',
    'http:model',
    'x'.repeat(97),
    'org/',
  ])('%j is no model id', async (id) => {
    const { resolve, hub } = await world();
    const error = await errorOf(resolve(id));
    expect(error.code).toBe('INVALID_ARGUMENT');
    expect(error.details.got).toBe(JSON.stringify(id));
    expect(hub.seen).toEqual([]);
  });

  test.each([42, undefined, null, {}])('%p is no model id', async (id) => {
    expect((await errorOf(resolveModel(id as never))).code).toBe('INVALID_ARGUMENT');
  });

  test.each(['', '../up', 'a/../b', '/x', 'a//b', '.hidden', 'a\\b', 'a b', 'x.lock', 'ref?x', 7])(
    'revision %j is refused',
    async (revision) => {
      const { resolve, hub } = await world();
      const error = await errorOf(resolve(MODEL, { revision: revision as string }));
      expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', details: { where: 'revision' } });
      expect(hub.seen).toEqual([]);
    },
  );

  test.each(['', 7, null])('cacheDir %j is refused', async (cacheDir) => {
    const { resolve } = await world();
    const error = await errorOf(resolve(MODEL, { cacheDir: cacheDir as string }));
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', details: { where: 'cacheDir' } });
  });

  test('HF_ENDPOINT must be a URL', async () => {
    const { resolve } = await world();
    process.env['HF_ENDPOINT'] = 'hub.example';
    expect(await errorOf(resolve())).toMatchObject({
      code: 'INVALID_ARGUMENT',
      details: { where: 'HF_ENDPOINT', got: '"hub.example"' },
    });
  });
});

describe('a download', () => {
  test('fetches the needed files only, each once, into the shared layout', async () => {
    const { resolve, cacheDir, hub } = await world();
    const { folder, revision } = await resolve();
    expect({ folder, revision }).toEqual({ folder: snapshotOf(cacheDir), revision: COMMIT });
    expect(await filesBelow(folder)).toEqual(NEEDED);
    for (const [path, content] of Object.entries(tinyFiles())) {
      if (!NEEDED.includes(path)) {
        expect(hub.count('probe', path) + hub.count('content', path)).toBe(0);
        continue;
      }
      expect(await sameBytes(join(folder, path), content)).toBe(true);
      const up = path.includes('/') ? '../../../blobs' : '../../blobs';
      expect(await readlink(join(folder, path))).toBe(`${up}/${etagOf(content)}`);
      expect(hub.ranges(path)).toEqual(content.length > 0 ? [undefined] : []);
    }
    const repo = join(cacheDir, 'models--tests--tiny');
    expect(await readFile(join(repo, 'refs', 'main'), 'utf8')).toBe(COMMIT);
    expect(await filesBelow(join(repo, 'blobs'))).toEqual(
      NEEDED.map((path) => etagOf(tinyFiles()[path] as Buffer)).sort(),
    );
    expect(await filesBelow(join(cacheDir, '.locks'))).toEqual([]);
  });

  test('a second call asks only which commit the name means', async () => {
    const { resolve, hub } = await world();
    const first = await resolve();
    const before = hub.seen.length;
    expect(await resolve()).toEqual(first);
    expect(hub.seen.slice(before).map(({ purpose }) => purpose)).toEqual(['info']);
  });

  test('a full commit hash in the cache needs no network', async () => {
    const { resolve, hub } = await world();
    const first = await resolve();
    await hub.stop();
    const before = hub.seen.length;
    expect(await resolve(MODEL, { revision: COMMIT })).toEqual(first);
    expect(hub.seen.length).toBe(before);
  });

  test('a full commit hash that is not in the cache is fetched and leaves no ref', async () => {
    const { resolve, cacheDir, hub } = await world();
    expect(await resolve(MODEL, { revision: COMMIT })).toMatchObject({ revision: COMMIT });
    expect(hub.count('info')).toBe(0);
    expect(await filesBelow(join(cacheDir, 'models--tests--tiny'))).not.toContain(`refs/${COMMIT}`);
  });

  test('branches with slashes and tags resolve, and each keeps its ref', async () => {
    const files = tinyFiles();
    const { resolve, cacheDir } = await world({
      [MODEL]: { commit: COMMIT, files, refs: { 'refs/pr/1': COMMIT, 'v1.0': COMMIT } },
    });
    for (const revision of ['refs/pr/1', 'v1.0']) {
      expect((await resolve(MODEL, { revision })).revision).toBe(COMMIT);
      const ref = join(cacheDir, 'models--tests--tiny', 'refs', revision);
      expect(await readFile(ref, 'utf8')).toBe(COMMIT);
    }
  });

  test('a moved branch fetches only what changed', async () => {
    const newer = 'beef'.padEnd(40, '1');
    const repos = { [MODEL]: { commit: COMMIT, files: tinyFiles() } };
    const { resolve, hub, cacheDir } = await world(repos);
    await resolve();
    const before = hub.seen.length;
    repos[MODEL] = {
      commit: newer,
      files: { ...tinyFiles(), 'config.json': Buffer.from('{"model_type": "bert", "x": 1}') },
    };
    expect(await resolve()).toEqual({ folder: snapshotOf(cacheDir, newer), revision: newer });
    const content = hub.seen.slice(before).filter(({ purpose }) => purpose === 'content');
    expect(content.map(({ path }) => path)).toEqual(['config.json']);
    expect(await filesBelow(snapshotOf(cacheDir))).toEqual(NEEDED);
  });

  test('the cacheDir option comes before the environment', async () => {
    const { resolve, cacheDir } = await world();
    const other = join(cacheDir, 'other');
    const { folder } = await resolve(MODEL, { cacheDir: other });
    expect(folder).toBe(snapshotOf(other));
  });

  test('files that the hub keeps in chunks are fetched as plain bytes', async () => {
    const { resolve } = await world({ [MODEL]: { commit: COMMIT, files: tinyFiles(), xet: true } });
    const { folder } = await resolve();
    expect(await sameBytes(join(folder, 'model.safetensors'), bytes(WEIGHT_BYTES))).toBe(true);
  });

  test('progress counts all bytes, never goes back, and ends at the total', async () => {
    const { resolve } = await world();
    const steps: DownloadProgress[] = [];
    await resolve(MODEL, { onProgress: (step) => steps.push(step) });
    const files = tinyFiles();
    const total = NEEDED.reduce((sum, path) => sum + (files[path] as Buffer).length, 0);
    let last = 0;
    for (const step of steps) {
      expect(step.total).toBe(total);
      expect(step.loaded).toBeGreaterThanOrEqual(last);
      last = step.loaded;
    }
    expect(last).toBe(total);
    expect([...new Set(steps.map(({ file }) => file))].sort()).toEqual(NEEDED);
  });

  test("an error of the caller's onProgress is the caller's", async () => {
    const { resolve } = await world();
    const mine = new Error('mine');
    const failing = resolve(MODEL, {
      onProgress: () => {
        throw mine;
      },
    });
    await expect(failing).rejects.toBe(mine);
  });

  test('sharded weights: the index first, then only the shards that it names', async () => {
    const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
    const map = { a: shards[0], b: shards[1], c: shards[0] };
    const files: Record<string, Buffer> = { ...tinyFiles() };
    delete files['model.safetensors'];
    files['model.safetensors.index.json'] = Buffer.from(JSON.stringify({ weight_map: map }));
    for (const [i, shard] of shards.entries()) files[shard] = bytes(5000, 10 + i);
    files['model-00003-of-00003.safetensors'] = bytes(5000, 20);
    files['model.fp16.safetensors'] = bytes(5000, 21);
    const { resolve, hub } = await world({ [MODEL]: { commit: COMMIT, files } });
    const { folder } = await resolve();
    const found = await filesBelow(folder);
    expect(found.filter((path) => path.startsWith('model'))).toEqual([
      ...shards,
      'model.safetensors.index.json',
    ]);
    const first = hub.seen.find(({ purpose }) => purpose === 'content');
    expect(first?.path).toBe('model.safetensors.index.json');
  });

  test('a Dense module comes with its safetensors', async () => {
    const files = {
      ...tinyFiles(),
      '2_Dense/config.json': Buffer.from('{}'),
      '2_Dense/model.safetensors': bytes(4000, 30),
      '2_Dense/pytorch_model.bin': bytes(4000, 31),
    };
    const { resolve } = await world({ [MODEL]: { commit: COMMIT, files } });
    const { folder } = await resolve();
    expect((await filesBelow(folder)).filter((path) => path.startsWith('2_'))).toEqual([
      '2_Dense/config.json',
      '2_Dense/model.safetensors',
    ]);
  });
});

describe('offline', () => {
  const ways: [string, () => { localFilesOnly?: boolean }][] = [
    ['localFilesOnly', () => ({ localFilesOnly: true })],
    [
      'HF_HUB_OFFLINE',
      () => {
        process.env['HF_HUB_OFFLINE'] = '1';
        return { localFilesOnly: false };
      },
    ],
  ];

  test.each(ways)('%s reads the cache and nothing else', async (_name, choose) => {
    const { resolve, hub } = await world();
    const first = await resolve();
    const before = hub.seen.length;
    const options = choose();
    expect(await resolve(MODEL, options)).toEqual(first);
    expect(await resolve(MODEL, { ...options, revision: COMMIT })).toEqual(first);
    expect(hub.seen.length).toBe(before);
  });

  test.each(ways)('%s with an empty cache says so', async (_name, choose) => {
    const { resolve, hub, cacheDir } = await world();
    const error = await errorOf(resolve(MODEL, choose()));
    expect(error.code).toBe('FILE_ERROR');
    expect(error.message).toContain(`${MODEL}@main: not in the cache (${cacheDir}`);
    expect(hub.seen).toEqual([]);
  });
});
