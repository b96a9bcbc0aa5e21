/** Downloads in processes of their own: killed in the middle, racing for one model. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve as resolvePath } from 'node:path';
import { transformFile } from '@swc/core';
import { partialPath } from '../../../lib/hub/download';
import { etagOf } from './fake-hub';
import {
  bytes,
  COMMIT,
  endWorlds,
  filesBelow,
  MODEL,
  NEEDED,
  sameBytes,
  WEIGHT_BYTES,
  type World,
  world,
} from './setup';

const ROOT = resolvePath(__dirname, '../../..');
const WEIGHTS = 'model.safetensors';
let compiled: string;

/** The library as plain JavaScript, for processes that jest does not compile for. */
beforeAll(async () => {
  compiled = await mkdtemp(join(tmpdir(), 'multihead-compiled-'));
  const sources = (await readdir(join(ROOT, 'lib/hub'))).map((name) => `hub/${name}`);
  for (const source of [...sources, 'errors.ts']) {
    const { code } = await transformFile(join(ROOT, 'lib', source), {
      configFile: false,
      jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
      module: { type: 'commonjs' },
    });
    const target = join(compiled, source.replace(/ts$/, 'js'));
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, code);
  }
});

afterAll(() => rm(compiled, { recursive: true, force: true }));

const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await endWorlds();
});

/** A process that resolves the model and prints the result. */
function start(): { child: ChildProcess; output: Promise<string> } {
  const program = `
    require(process.argv[1]).resolveModel(process.argv[2])
      .then(({ folder }) => process.stdout.write(folder), (error) => process.stdout.write('failed: ' + error.stack));
  `;
  const child = spawn(process.execPath, ['-e', program, join(compiled, 'hub/index.js'), MODEL], {
    env: { ...process.env, NODE_PATH: join(ROOT, 'node_modules') },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  let text = '';
  child.stdout?.on('data', (chunk) => {
    text += chunk;
  });
  return { child, output: once(child, 'close').then(() => text) };
}

const modelFolder = ({ cacheDir }: World) => join(cacheDir, 'models--tests--tiny');
const weightsPartial = (here: World) =>
  partialPath(join(modelFolder(here), 'blobs', etagOf(bytes(WEIGHT_BYTES))));

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((done) => setTimeout(done, 10));
}

async function killAfter(here: World, arrived: number): Promise<void> {
  here.hub.plan('content', WEIGHTS, { kind: 'stall', after: arrived });
  const { child } = start();
  await until(
    async () => (await stat(weightsPartial(here)).catch(() => undefined))?.size === arrived,
  );
  const ended = once(child, 'close');
  child.kill('SIGKILL');
  await ended;
}

test('a killed download leaves no broken model, and the next one asks for the missing bytes only', async () => {
  const here = await world();
  await killAfter(here, 120_000);
  const folder = modelFolder(here);
  expect(await filesBelow(join(folder, 'snapshots')).catch(() => [])).toEqual([]);
  expect(await filesBelow(join(folder, 'refs')).catch(() => [])).toEqual([]);
  expect(await filesBelow(join(here.cacheDir, '.locks'))).toEqual([
    'models--tests--tiny/multihead.lock',
  ]);

  const { output } = start();
  expect(await output).toBe(join(folder, 'snapshots', COMMIT));
  expect(here.hub.ranges(WEIGHTS)).toEqual([undefined, 'bytes=120000-199999']);
  const sent = here.hub.seen.filter(
    ({ path, purpose }) => path === WEIGHTS && purpose === 'content',
  );
  expect(sent.map((one) => one.sent)).toEqual([120_000, WEIGHT_BYTES - 120_000]);
  expect(await sameBytes(join(folder, 'snapshots', COMMIT, WEIGHTS), bytes(WEIGHT_BYTES))).toBe(
    true,
  );
  expect(await filesBelow(join(here.cacheDir, '.locks'))).toEqual([]);
});

test('a download that is killed again and again arrives in the end', async () => {
  const here = await world();
  for (const arrived of [30_000, 50_000, 20_000]) {
    const before = (await stat(weightsPartial(here)).catch(() => undefined))?.size ?? 0;
    here.hub.plan('content', WEIGHTS, { kind: 'stall', after: arrived });
    const { child } = start();
    await until(
      async () =>
        (await stat(weightsPartial(here)).catch(() => undefined))?.size === before + arrived,
    );
    const ended = once(child, 'close');
    child.kill('SIGKILL');
    await ended;
  }
  const { folder } = await here.resolve();
  expect(here.hub.ranges(WEIGHTS)).toEqual([
    undefined,
    'bytes=30000-199999',
    'bytes=80000-199999',
    'bytes=100000-199999',
  ]);
  expect(await sameBytes(join(folder, WEIGHTS), bytes(WEIGHT_BYTES))).toBe(true);
});

test('two processes that race for a model fetch each file once, and both have it', async () => {
  const here = await world();
  const { hub } = here;
  // The weights are held back until both have listed the files (four pages each): both are certain to want them.
  hub.plan('content', WEIGHTS, { kind: 'wait', until: hub.arrived('tree', 8) });
  const outputs = await Promise.all([start().output, start().output]);
  const folder = join(modelFolder(here), 'snapshots', COMMIT);
  expect(outputs).toEqual([folder, folder]);
  for (const path of NEEDED) {
    expect(hub.ranges(path)).toEqual(path === 'vocab.txt' ? [] : [undefined]);
  }
  expect(await filesBelow(folder)).toEqual(NEEDED);
  expect((await filesBelow(join(modelFolder(here), 'blobs'))).join()).not.toContain('incomplete');
});

test('two calls in one process fetch each file once', async () => {
  const here = await world();
  here.hub.plan('content', WEIGHTS, { kind: 'wait', until: here.hub.arrived('tree', 8) });
  const both = await Promise.all([here.resolve(), here.resolve()]);
  expect(both[0]).toEqual(both[1]);
  expect(here.hub.ranges(WEIGHTS)).toEqual([undefined]);
});

test('the lock of a killed process is recognised by its process id', async () => {
  const here = await world();
  await killAfter(here, 1000);
  const lock = join(here.cacheDir, '.locks/models--tests--tiny/multihead.lock');
  expect(JSON.parse(await readFile(lock, 'utf8'))).toMatchObject({ pid: expect.any(Number) });
  expect((await here.resolve()).revision).toBe(COMMIT);
  expect(here.waits).toEqual([]);
});
