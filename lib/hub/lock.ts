/**
 * A lock between processes, as a file that says who holds it.
 *
 * It saves a second download, no more: blobs are checked and renamed into place, so two holders would waste bytes
 * and break nothing. A holder that died is recognised at once by its process id on the same machine, elsewhere by a
 * time stamp that it no longer renews. Python's own lock files (flock, beside ours) cannot be taken from Node.
 */

import { randomUUID } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { type FileHandle, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Sleep } from './failures';
import { throwIfAborted } from './failures';

const RENEW_MS = 5_000;
/** Six renewals: a holder whose event loop was busy, or a slow network file system, is not taken for dead. */
const STALE_MS = 30_000;
const POLL_MS = 100;
/** Longer than anyone takes from finding a dead holder to replacing its lock file. */
const SETTLE_MS = 100;

interface Owner {
  /** Tells two holders apart. */
  readonly token: string;
  readonly pid: number;
  /** Where the process id means something: machine and process namespace (containers may share a host name). */
  readonly machine: string;
}

function thisMachine(): string {
  try {
    return `${hostname()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return hostname();
  }
}

/**
 * Waits for the lock and takes it.
 *
 * @returns a function that gives it back
 * @throws {MultiheadError} ABORTED when the signal fires while waiting; the system's error when the folder of
 * `path` cannot be written
 */
export async function acquireLock(
  path: string,
  context: { readonly where: string; readonly signal?: AbortSignal; readonly sleep: Sleep },
): Promise<() => Promise<void>> {
  const owner: Owner = { token: randomUUID(), pid: process.pid, machine: thisMachine() };
  await mkdir(dirname(path), { recursive: true });
  for (;;) {
    throwIfAborted(context.where, context.signal);
    const handle = (await create(path, owner)) ?? (await takeOver(path, owner));
    if (handle) return hold(handle, path, owner);
    await context.sleep(POLL_MS, context.signal).catch(() => {}); // an abort is seen above
  }
}

/** Writes the lock file unless there is one. */
async function create(path: string, owner: Owner): Promise<FileHandle | undefined> {
  const handle = await open(path, 'wx').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST') return undefined;
    throw error;
  });
  await handle?.writeFile(JSON.stringify(owner));
  return handle;
}

/** Replaces the lock file of a dead holder. */
async function takeOver(path: string, owner: Owner): Promise<FileHandle | undefined> {
  if (!(await isStale(path, owner.machine))) return undefined;
  const mine = `${path}.${owner.token}`;
  const handle = await create(mine, owner);
  await rename(mine, path);
  // Others may have found the same dead holder and replace ours in turn: the last one has it.
  await delay(SETTLE_MS);
  if ((await readOwner(path))?.token === owner.token) return handle;
  await handle?.close();
  return undefined;
}

/** Renews the time stamp until the returned function gives the lock back. */
function hold(handle: FileHandle, path: string, owner: Owner): () => Promise<void> {
  // Through the handle: should the lock be taken over, the new holder's file is not touched.
  const renewal = setInterval(() => {
    const now = new Date();
    handle.utimes(now, now).catch(() => {});
  }, RENEW_MS);
  renewal.unref();
  return async () => {
    clearInterval(renewal);
    await handle.close();
    if ((await readOwner(path))?.token === owner.token) await rm(path, { force: true });
  };
}

async function isStale(path: string, machine: string): Promise<boolean> {
  const owner = await readOwner(path);
  const renewed = await stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => undefined,
  );
  if (renewed === undefined) return false; // given back meanwhile
  const died = owner?.machine === machine && !isAlive(owner.pid);
  return died || Date.now() - renewed >= STALE_MS;
}

/** Undefined when there is no lock or its holder has not written itself down yet. */
async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Owner;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
