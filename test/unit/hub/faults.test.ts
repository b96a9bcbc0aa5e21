import { once } from 'node:events';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { partialPath } from '../../../lib/hub/download';
import { HubUnavailableError, retryAfterMs, waitBeforeRetry } from '../../../lib/hub/failures';
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

const WEIGHTS = 'model.safetensors';
const weightsBlob = (cacheDir: string) =>
  join(cacheDir, 'models--tests--tiny', 'blobs', etagOf(bytes(WEIGHT_BYTES)));

async function writePartial(cacheDir: string, content: Buffer): Promise<string> {
  const path = partialPath(weightsBlob(cacheDir));
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return path;
}

describe('who may have it', () => {
  test('an unknown model', async () => {
    const { resolve } = await world();
    const error = await errorOf(resolve('tests/absent'));
    expect(error.code).toBe('FILE_ERROR');
    expect(error.message).toBe(
      'tests/absent@main: the hub answered 401 (RepoNotFound (fake)), expected an existing model and, ' +
        'if it is private or gated, HF_TOKEN of an account with access',
    );
  });

  test('an unknown revision, by name and by hash', async () => {
    const { resolve } = await world();
    for (const revision of ['v9', 'f'.repeat(40)]) {
      const error = await errorOf(resolve(MODEL, { revision }));
      expect(error.code).toBe('FILE_ERROR');
      expect(error.message).toContain(
        `${MODEL}@${revision}: the hub answered 404 (RevisionNotFound`,
      );
      expect(error.details.expected).toBe('an existing model and revision');
    }
  });

  const gated = {
    [MODEL]: { commit: COMMIT, files: tinyFiles(), token: 'mirror-token', gated: true },
  };

  test('a gated model without a token', async () => {
    const { resolve } = await world(gated);
    const error = await errorOf(resolve());
    expect(error.code).toBe('FILE_ERROR');
    expect(error.message).toContain('403 (GatedRepo');
    expect(error.details.expected).toContain('HF_TOKEN');
  });

  test('HF_TOKEN goes to the hub and not to the other origin', async () => {
    const { resolve, hub } = await world(gated);
    process.env['HF_TOKEN'] = ' mirror-token\n';
    await resolve();
    const tokens = hub.seen.map(({ path, authorization }) => [path, authorization]);
    expect(tokens).toContainEqual([MODEL, 'Bearer mirror-token']);
    expect(tokens).toContainEqual(['config.json', 'Bearer mirror-token']);
    expect(tokens).toContainEqual([WEIGHTS, undefined]);
  });

  test.each([
    ['HF_HOME/token', async (home: string) => join(home, 'token')],
    [
      'HF_TOKEN_PATH',
      async (home: string) => {
        process.env['HF_TOKEN_PATH'] = join(home, 'elsewhere');
        return join(home, 'elsewhere');
      },
    ],
  ])('the token file at %s', async (_name, place) => {
    const { resolve, cacheDir } = await world(gated);
    const path = await place(join(cacheDir, 'home'));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, 'mirror-token\n');
    expect((await resolve()).revision).toBe(COMMIT);
    process.env['HF_HUB_DISABLE_IMPLICIT_TOKEN'] = '1';
    expect((await errorOf(resolve())).code).toBe('FILE_ERROR');
  });
});

describe('a hub that refuses for a while', () => {
  test('429 is waited for as long as the hub asks, 500 with growing pauses', async () => {
    const { resolve, hub, waits } = await world();
    hub.plan('info', MODEL, { kind: 'status', status: 429, headers: { 'Retry-After': '7' } });
    hub.plan('tree', MODEL, { kind: 'status', status: 500 });
    hub.plan('tree', MODEL, { kind: 'status', status: 503 });
    hub.plan('probe', 'config.json', { kind: 'status', status: 502 });
    hub.plan('content', WEIGHTS, { kind: 'status', status: 504 });
    const { folder } = await resolve();
    expect(waits).toEqual([7000, 500, 1000, 500, 500]);
    expect(await filesBelow(folder)).toEqual(NEEDED);
  });

  test('after five tries it is an error that names the status', async () => {
    const { resolve, hub, waits } = await world();
    for (let i = 0; i < 5; i++) hub.plan('tree', MODEL, { kind: 'status', status: 503 });
    const error = await errorOf(resolve());
    expect(error).toMatchObject({
      code: 'FILE_ERROR',
      details: { got: expect.stringContaining('503') },
    });
    expect(waits).toEqual([500, 1000, 2000, 4000]);
  });

  test('a pause longer than a minute is not waited for', async () => {
    const { resolve, hub, waits } = await world();
    hub.plan('info', MODEL, { kind: 'status', status: 429, headers: { 'Retry-After': '3600' } });
    expect((await errorOf(resolve())).details.got).toContain('429');
    expect(waits).toEqual([]);
  });

  test('a refusal for good is not tried again', async () => {
    const { resolve, hub } = await world();
    hub.plan('content', WEIGHTS, { kind: 'status', status: 403 });
    expect((await errorOf(resolve())).code).toBe('FILE_ERROR');
    expect(hub.count('content', WEIGHTS)).toBe(1);
  });

  test('Retry-After is seconds or a date', () => {
    const now = Date.parse('2026-01-01T00:00:00Z');
    expect(retryAfterMs('5', now)).toBe(5000);
    expect(retryAfterMs('0', now)).toBe(0);
    expect(retryAfterMs('Thu, 01 Jan 2026 00:00:30 GMT', now)).toBe(30_000);
    expect(retryAfterMs('Wed, 31 Dec 2025 23:59:00 GMT', now)).toBe(0);
    expect(retryAfterMs('soon', now)).toBeUndefined();
    expect(retryAfterMs(null, now)).toBeUndefined();
  });

  test('only failures that may pass are waited for', () => {
    const details = { where: 'x', got: 'y' };
    expect(waitBeforeRetry(new HubUnavailableError(details, { retry: {} }), 1)).toBe(500);
    expect(waitBeforeRetry(new HubUnavailableError(details, { retry: {} }), 5)).toBeUndefined();
    expect(waitBeforeRetry(new HubUnavailableError(details, {}), 1)).toBeUndefined();
    expect(waitBeforeRetry(new Error('z'), 1)).toBeUndefined();
  });
});

describe('broken connections', () => {
  test('a cut body goes on where it stopped', async () => {
    const { resolve, hub } = await world();
    hub.plan('content', WEIGHTS, { kind: 'cut', after: 70_000 });
    hub.plan('content', WEIGHTS, { kind: 'cut', after: 0 });
    const { folder } = await resolve();
    expect(await sameBytes(join(folder, WEIGHTS), bytes(WEIGHT_BYTES))).toBe(true);
    const ranges = hub.ranges(WEIGHTS);
    expect(ranges).toHaveLength(3);
    expect(ranges[0]).toBeUndefined();
    // What reached us of the first 70,000 bytes is never asked for again.
    expect(ranges[1]).toBe(ranges[2]);
    const start = Number(/^bytes=(\d+)-199999$/.exec(ranges[1] ?? '')?.[1]);
    expect(start).toBeLessThanOrEqual(70_000);
  });

  test('a body that is cut five times in a row is an error, and what arrived is kept', async () => {
    const { resolve, hub, cacheDir } = await world();
    for (let i = 0; i < 5; i++) hub.plan('content', WEIGHTS, { kind: 'cut', after: 1000 });
    const error = await errorOf(resolve());
    expect(error.code).toBe('FILE_ERROR');
    expect(error.message).toContain(`${WEIGHTS}: the connection failed`);
    expect(hub.count('content', WEIGHTS)).toBe(5);
    const snapshots = join(cacheDir, 'models--tests--tiny', 'snapshots');
    expect(await filesBelow(snapshots).catch(() => [])).toEqual([]);
    await resolve();
  });

  test('an answer cut while the hub lists files is asked for again', async () => {
    const { resolve, hub, waits } = await world();
    hub.plan('tree', MODEL, { kind: 'cut', after: 0 });
    await resolve();
    expect(waits).toEqual([500]);
  });

  test('a server that ignores the range is not taken for one that continues', async () => {
    const { resolve, hub, cacheDir } = await world();
    await writePartial(cacheDir, bytes(WEIGHT_BYTES).subarray(0, 50_000));
    hub.plan('content', WEIGHTS, { kind: 'ignoreRange' });
    const error = await errorOf(resolve());
    expect(error.message).toContain('expected 206 with bytes=50000-199999');
    const { folder } = await resolve();
    expect(await sameBytes(join(folder, WEIGHTS), bytes(WEIGHT_BYTES))).toBe(true);
  });

  test('nobody listens: an error at once, without a cache', async () => {
    const { resolve, waits } = await world();
    const probe = createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as { port: number };
    await new Promise((done) => probe.close(done));
    process.env['HF_ENDPOINT'] = `http://127.0.0.1:${port}`;
    const error = await errorOf(resolve());
    expect(error.code).toBe('FILE_ERROR');
    expect(error.message).toContain('ECONNREFUSED');
    expect(waits).toEqual([]);
  });

  test.each([
    ['nobody listens', 0],
    ['the hub keeps answering 503', 5],
  ])('%s: the cached commit, with a warning', async (_name, refusals) => {
    const { resolve, hub } = await world();
    const first = await resolve();
    for (let i = 0; i < refusals; i++) hub.plan('info', MODEL, { kind: 'status', status: 503 });
    if (refusals === 0) await hub.stop();
    const warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
    try {
      expect(await resolve()).toEqual(first);
      expect(warn.mock.calls).toEqual([
        [
          expect.stringContaining(`using the cached commit ${COMMIT}`),
          { type: 'MultiheadWarning' },
        ],
      ]);
    } finally {
      warn.mockRestore();
    }
  });

  test('a hub that refuses access is not hidden by the cache', async () => {
    const { resolve, hub } = await world();
    await resolve();
    hub.plan('info', MODEL, { kind: 'status', status: 401 });
    expect((await errorOf(resolve())).details.got).toContain('401');
  });
});

describe('wrong content', () => {
  test.each([
    [WEIGHTS, 'WEIGHT_INVALID'],
    ['config.json', 'FILE_ERROR'],
    ['tokenizer.json', 'FILE_ERROR'],
  ])('%s with a wrong byte is %s and is not kept', async (path, code) => {
    const { resolve, hub, cacheDir } = await world();
    hub.plan('content', path, { kind: 'corrupt' });
    const error = await errorOf(resolve());
    expect(error.code).toBe(code);
    expect(error.message).toContain('another hash');
    const blobs = await filesBelow(join(cacheDir, 'models--tests--tiny', 'blobs'));
    expect(blobs.filter((name) => name.includes('incomplete'))).toEqual([]);
    expect(blobs).not.toContain(etagOf(tinyFiles()[path] as Buffer));
    expect((await resolve()).revision).toBe(COMMIT);
  });

  test('a partial file that is no beginning of the file is thrown away, once', async () => {
    const { resolve, hub, cacheDir } = await world();
    await writePartial(cacheDir, bytes(50_000, 99));
    const { folder } = await resolve();
    expect(await sameBytes(join(folder, WEIGHTS), bytes(WEIGHT_BYTES))).toBe(true);
    expect(hub.ranges(WEIGHTS)).toEqual(['bytes=50000-199999', undefined]);
  });

  test('a partial file that is too long is thrown away', async () => {
    const { resolve, hub, cacheDir } = await world();
    await writePartial(cacheDir, bytes(WEIGHT_BYTES + 1));
    const { folder } = await resolve();
    expect(hub.ranges(WEIGHTS)).toEqual([undefined]);
    expect(await sameBytes(join(folder, WEIGHTS), bytes(WEIGHT_BYTES))).toBe(true);
  });

  test('a partial file that is complete needs no request', async () => {
    const { resolve, hub, cacheDir } = await world();
    await writePartial(cacheDir, bytes(WEIGHT_BYTES));
    const { folder } = await resolve();
    expect(hub.ranges(WEIGHTS)).toEqual([]);
    expect(await sameBytes(join(folder, WEIGHTS), bytes(WEIGHT_BYTES))).toBe(true);
  });

  test('a blob of the wrong size is fetched again', async () => {
    const { resolve, hub, cacheDir } = await world();
    await mkdir(dirname(weightsBlob(cacheDir)), { recursive: true });
    await writeFile(weightsBlob(cacheDir), 'short');
    const { folder } = await resolve();
    expect(hub.count('content', WEIGHTS)).toBe(1);
    expect(await sameBytes(join(folder, WEIGHTS), bytes(WEIGHT_BYTES))).toBe(true);
  });
});

describe('abort', () => {
  test('before', async () => {
    const { resolve, hub } = await world();
    const reason = new Error('mine');
    const error = await errorOf(resolve(MODEL, { signal: AbortSignal.abort(reason) }));
    expect(error).toMatchObject({ code: 'ABORTED', cause: reason });
    expect(hub.seen).toEqual([]);
  });

  test.each(['info', 'tree', 'content'] as const)(
    'while the hub owes an answer (%s)',
    async (purpose) => {
      const { resolve, hub } = await world();
      hub.plan(purpose, '', { kind: 'wait', until: new Promise(() => {}) });
      const controller = new AbortController();
      const failing = errorOf(resolve(MODEL, { signal: controller.signal }));
      await hub.arrived(purpose, 1);
      controller.abort();
      expect((await failing).code).toBe('ABORTED');
    },
  );

  test('while a body stands still; what arrived is kept and the next call asks for the rest', async () => {
    const { resolve, hub, cacheDir } = await world();
    hub.plan('content', WEIGHTS, { kind: 'stall', after: 60_000 });
    const controller = new AbortController();
    let start: number | undefined;
    const failing = errorOf(
      resolve(MODEL, {
        signal: controller.signal,
        onProgress: ({ file, loaded }) => {
          if (file !== WEIGHTS) return;
          start ??= loaded;
          if (loaded - start === 60_000) setImmediate(() => controller.abort());
        },
      }),
    );
    expect((await failing).code).toBe('ABORTED');
    const partial = await stat(partialPath(weightsBlob(cacheDir)));
    expect(partial.size).toBe(60_000);
    await resolve();
    expect(hub.ranges(WEIGHTS)).toEqual([undefined, 'bytes=60000-199999']);
  });

  test('while waiting for the next try', async () => {
    const controller = new AbortController();
    const { resolve, hub } = await world(undefined, {
      sleep: async () => controller.abort(),
    });
    hub.plan('tree', MODEL, { kind: 'status', status: 500 });
    expect((await errorOf(resolve(MODEL, { signal: controller.signal }))).code).toBe('ABORTED');
  });

  test('the reason of the abort is the cause of the error', async () => {
    const { resolve, hub } = await world();
    hub.plan('info', '', { kind: 'wait', until: new Promise(() => {}) });
    const controller = new AbortController();
    const failing = errorOf(resolve(MODEL, { signal: controller.signal }));
    await hub.arrived('info', 1);
    controller.abort(new DOMException('too slow', 'TimeoutError'));
    expect(await failing).toMatchObject({ code: 'ABORTED', cause: { name: 'TimeoutError' } });
  });
});
