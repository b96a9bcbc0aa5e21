import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { acquireLock } from '../../../lib/hub/lock';
import { errorOf } from './setup';

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'multihead-lock-'));
  path = join(folder, 'locks', 'one.lock');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const ELSEWHERE = JSON.stringify({ token: 'theirs', pid: 1, machine: 'another machine' });
const noWait = async () => {
  throw new Error('waited');
};

async function leaveLock(content: string, ageMs: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  const then = new Date(Date.now() - ageMs);
  await utimes(path, then, then);
}

/** A lock that must be had without waiting: waiting forever would hang, so the first wait is an error. */
async function acquireAtOnce(): Promise<() => Promise<void>> {
  const controller = new AbortController();
  return await acquireLock(path, {
    where: 'x',
    signal: controller.signal,
    sleep: async () => controller.abort(await noWait().catch((error) => error)),
  });
}

test('a free lock is taken and given back', async () => {
  const release = await acquireAtOnce();
  expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ pid: process.pid });
  await release();
  expect(await readdir(dirname(path))).toEqual([]);
});

test('a held lock is waited for, in this process too', async () => {
  const release = await acquireAtOnce();
  let waited = 0;
  const second = await acquireLock(path, {
    where: 'x',
    sleep: async () => {
      if (++waited === 3) await release();
    },
  });
  expect(waited).toBe(3);
  await second();
});

test('one of many waiters has the lock at a time', async () => {
  let holders = 0;
  let most = 0;
  const sleep = () => new Promise<void>((done) => setImmediate(done));
  const work = async () => {
    const release = await acquireLock(path, { where: 'x', sleep });
    most = Math.max(most, ++holders);
    await sleep();
    holders--;
    await release();
  };
  await Promise.all(Array.from({ length: 20 }, work));
  expect(most).toBe(1);
  expect(await readdir(dirname(path))).toEqual([]);
});

test('the lock of another machine holds while it is renewed, and not when it has grown old', async () => {
  await leaveLock(ELSEWHERE, 0);
  const controller = new AbortController();
  const waiting = acquireLock(path, {
    where: 'x',
    signal: controller.signal,
    sleep: async () => controller.abort(),
  });
  expect((await errorOf(waiting)).code).toBe('ABORTED');
  expect(await readFile(path, 'utf8')).toBe(ELSEWHERE);

  await leaveLock(ELSEWHERE, 31_000);
  const release = await acquireAtOnce();
  await release();
});

test.each([
  ['', 'nothing'],
  ['{', 'half an object'],
  ['null', 'null'],
])('a lock file with %j (%s) holds until it is old', async (content) => {
  await leaveLock(content, 0);
  const controller = new AbortController();
  const sleep = async () => controller.abort();
  const waiting = acquireLock(path, { where: 'x', signal: controller.signal, sleep });
  expect((await errorOf(waiting)).code).toBe('ABORTED');
  await leaveLock(content, 31_000);
  await (await acquireAtOnce())();
});

test('giving back does not take away the lock of who took over', async () => {
  const release = await acquireAtOnce();
  await leaveLock(ELSEWHERE, 0);
  await release();
  expect(await readFile(path, 'utf8')).toBe(ELSEWHERE);
});

test('many waiters behind a dead lock: still one at a time', async () => {
  await leaveLock(ELSEWHERE, 31_000);
  let holders = 0;
  let most = 0;
  const sleep = () => new Promise<void>((done) => setImmediate(done));
  const work = async () => {
    const release = await acquireLock(path, { where: 'x', sleep });
    most = Math.max(most, ++holders);
    await sleep();
    holders--;
    await release();
  };
  await Promise.all(Array.from({ length: 20 }, work));
  expect(most).toBe(1);
  expect(await readdir(dirname(path))).toEqual([]);
});
